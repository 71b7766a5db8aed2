"""Every prompt, a file each. Values are put in once and never looked at again for placeholders."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from hashlib import blake2s
from importlib.resources import files
from itertools import count
from string import Template


@cache
def _template(name: str) -> Template:
    return Template(files(__name__).joinpath(f"{name}.md").read_text(encoding="utf-8").strip())


def render(name: str, **values: str) -> str:
    """The prompt `name`, with each `$placeholder` replaced by its value.

    Raises:
        KeyError: a placeholder has no value.
    """
    return _template(name).substitute(values)


def fence_mark(salt: str, texts: Sequence[tuple[str, str]]) -> str:
    """The mark for the fences around `texts`, which occurs in none of them.

    It is a digest of the texts themselves: a text that carried its own mark would have another mark. So it is the same
    when a run is resumed, and who knows the salt can still not write it beforehand.

    Args:
        salt: the run's id, where there is one: random, unless the user chose it.
        texts: the labels and texts that will be fenced.
    """
    said = "\0".join(map(_read, (salt, *(text for pair in texts for text in pair))))
    seed = blake2s(said.encode(errors="surrogatepass")).digest()
    marks = (blake2s(seed + number.to_bytes(8), digest_size=5).hexdigest() for number in count())
    return next(mark for mark in marks if mark not in said)


def fenced(texts: Iterable[tuple[str, str]], mark: str) -> str:
    """Untrusted texts, each under its label and between fences that carry `mark`, which `fence_mark` made of them.

    A text cannot close its fence, as the mark does not occur in it.
    """
    return "\n\n".join(f"<<{label} {mark}>>\n{text.strip()}\n<<end {mark}>>" for label, text in texts)


def _read(text: str) -> str:
    """`text` as a model may read it: look-alikes as what they look like, and nothing invisible."""
    if text.isascii():
        return text.casefold()
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(letter for letter in folded if unicodedata.category(letter) != "Cf")
