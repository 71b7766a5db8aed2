"""Every prompt, a file each. Values are put in once and never looked at again for placeholders."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from hashlib import blake2s
from importlib.resources import files
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


def fence_mark(run_id: str, place: str) -> str:
    """A mark for fences that no model can know, and that is the same when the run is resumed."""
    return blake2s(f"{run_id}/{place}".encode(), digest_size=5).hexdigest()


def fenced(texts: Iterable[tuple[str, str]], mark: str) -> str:
    """Untrusted texts, each under its label and between fences that carry `mark`.

    A text cannot close its fence: whoever wrote it did not know the mark.
    """
    return "\n\n".join(f"<<{label} {mark}>>\n{text.strip()}\n<<end {mark}>>" for label, text in texts)
