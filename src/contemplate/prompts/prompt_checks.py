"""Checks of prompts that replace the defaults: one that would break a run is refused when it is set."""

from __future__ import annotations

from difflib import get_close_matches
from string import Template

from ..errors import ConfigurationError
from .fixed_words import FIXED_WORDS
from .templates import names, template


def checked_prompt(name: str, text: object, source: str) -> str:
    """Return `text` without the space around it, if it can replace the prompt `name`.

    Args:
        name: the name of a prompt.
        text: its text, with the placeholders of the default.
        source: where it comes from, for errors.

    Raises:
        ConfigurationError: there is no such prompt, or the text is empty, has other placeholders than the default, or
            lacks words that code reads in the answer.
    """
    if name not in names():
        near = get_close_matches(name, names(), n=1)
        hint = f"did you mean {near[0]!r}?" if near else "`contemplate prompts` lists the names"
        raise ConfigurationError(f"{source}: there is no prompt {name!r}", hint=hint)
    if not isinstance(text, str):
        raise ConfigurationError(f"{source}: the prompt {name!r} is a {type(text).__name__}", hint="give a text")
    text = text.strip()
    if not text:
        raise ConfigurationError(
            f"{source}: the prompt {name!r} is empty", hint="leave it out, and the default is used"
        )
    _check_placeholders(name, Template(text), source)
    missing = [words for words in FIXED_WORDS.get(name, ()) if words not in text]
    if missing:
        raise ConfigurationError(
            f"{source}: the prompt {name!r} lacks {_listed(missing)}, which code reads in what the model answers",
            hint="keep these as they are, in any language",
        )
    return text


def _check_placeholders(name: str, own: Template, source: str) -> None:
    if not own.is_valid():
        raise ConfigurationError(
            f"{source}: the prompt {name!r} has a $ that begins no placeholder", hint="write $$ for a dollar sign"
        )
    known, used = template(name).get_identifiers(), own.get_identifiers()
    unknown = [f"${each}" for each in used if each not in known]
    missing = [f"${each}" for each in known if each not in used]
    has = f"it has {_listed([f'${each}' for each in known])}" if known else "it has none"
    if unknown:
        raise ConfigurationError(
            f"{source}: the prompt {name!r} does not know {_listed(unknown)}",
            hint=f"{has}; write $$ for a dollar sign",
        )
    if missing:
        raise ConfigurationError(f"{source}: the prompt {name!r} lacks {_listed(missing)}", hint=f"{has}; use each")


def _listed(words: list[str]) -> str:
    return ", ".join(words)
