"""The default prompts: a file each."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from string import Template

SUFFIX = ".md"


@cache
def template(name: str) -> Template:
    """Return the default prompt `name`."""
    return Template(files(__package__).joinpath(f"{name}{SUFFIX}").read_text(encoding="utf-8").strip())


@cache
def names() -> tuple[str, ...]:
    """Return the names of all prompts that a run uses, sorted: not those that try a model out."""
    found = (each.name for each in files(__package__).iterdir())
    return tuple(sorted(name.removesuffix(SUFFIX) for name in found if name.endswith(SUFFIX)))


def render(name: str, **values: str) -> str:
    """Return the default prompt `name`, with each `$placeholder` replaced by its value.

    Raises:
        KeyError: a placeholder has no value.
    """
    return template(name).substitute(values)
