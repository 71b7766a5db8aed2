"""Prompts of one's own, instead of the defaults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from string import Template
from typing import Self, Unpack

from ..errors import ConfigurationError
from .prompt_checks import checked_prompt
from .prompt_texts import PromptTexts
from .templates import SUFFIX, template


@dataclass(frozen=True, init=False)
class Prompts:
    """The prompts of a run: texts of your own for some names, and the defaults for all others.

    A text has the placeholders of the default, each at least once; what is put in their places is never searched for
    placeholders. Words that code reads in answers must stay as they are.

    Example:
        Contemplator(prompts=Prompts(synthesis="Du schreibst die endgültige Antwort ..."))

    Attributes:
        texts: the texts that replace a default, by the names of the prompts, which `contemplate prompts` lists.

    Raises:
        ConfigurationError: there is no such prompt, or its text is empty, has other placeholders, or lacks such words.
    """

    texts: Mapping[str, str]

    def __init__(self, **texts: Unpack[PromptTexts]) -> None:
        given: Mapping[str, object] = {**texts}
        self._set((name, text, "Prompts(...)") for name, text in given.items())

    @classmethod
    def from_folder(cls, folder: str | Path) -> Self:
        """Return the prompts in the files of `folder`: `synthesis.md` replaces the prompt `synthesis`.

        Hidden files, whose names begin with a dot, are left out.

        Raises:
            ConfigurationError: there is no such folder, a file cannot be read or is no prompt, or a text is wrong.
        """
        prompts = cls.__new__(cls)
        prompts._set((path.stem, _read(path), str(path)) for path in _files(Path(folder)))
        return prompts

    def _set(self, given: Iterator[tuple[str, object, str]]) -> None:
        checked = {name: checked_prompt(name, text, source) for name, text, source in given}
        object.__setattr__(self, "texts", dict(sorted(checked.items())))

    def render(self, name: str, **values: str) -> str:
        """Return the prompt `name`, with each `$placeholder` replaced by its value.

        Raises:
            KeyError: a placeholder has no value.
        """
        own = self.texts.get(name)
        return (template(name) if own is None else Template(own)).substitute(values)

    def instead_of(self, text: str) -> str:
        """Return the own text of the prompt whose default is `text`, such as `strategies.analogy`; else `text`."""
        return next((own for name, own in self.texts.items() if template(name).template == text), text)

    @property
    def digests(self) -> Mapping[str, str]:
        """A digest of each text that replaces a default, by the name of the prompt."""
        return {name: blake2b(own.encode(), digest_size=4).hexdigest() for name, own in self.texts.items()}

    def __hash__(self) -> int:
        return hash(tuple(self.texts.items()))


def _files(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise ConfigurationError(
            f"there is no folder of prompts {folder}", hint="`contemplate prompts --copy-to DIR` makes one"
        )
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.suffix != SUFFIX or not path.is_file():
            raise ConfigurationError(
                f"{path} is no prompt", hint=f"name it after one, such as synthesis{SUFFIX}, or move it elsewhere"
            )
        yield path


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}", hint="save it as UTF-8") from None


DEFAULTS = Prompts()
"""The default prompts."""
