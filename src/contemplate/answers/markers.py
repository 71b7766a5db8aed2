"""Where in a text its answer stands."""

from __future__ import annotations

import re

MAX_CHARACTERS = 200_000

_MARKER = re.compile(r"(?:\banswer\b\**\s*(?:is\b|:|=)|####)\s*:?", re.IGNORECASE)


def after_marker(said: str) -> str | None:
    """The line after the last "answer is", "Answer:" or "####"; None where there is no such mark."""
    place = None
    for found in _MARKER.finditer(said[-MAX_CHARACTERS:]):
        place = found.end()
    if place is None:
        return None
    rest = said[-MAX_CHARACTERS:][place:].strip().strip("*").strip()
    return rest.split("\n", 1)[0].strip() or None


def last_boxed(said: str) -> str | None:
    r"""The content of the last `\boxed{...}` whose braces balance; None if there is none."""
    said = said[-MAX_CHARACTERS:]
    end = len(said)
    while (start := said.rfind("\\boxed{", 0, end)) >= 0:
        inner = _balanced(said, start + len("\\boxed{"), end)
        if inner is not None:
            return inner
        # An unclosed box inside another cannot be closed further left, so what is right of it is not looked at again.
        end = start
    return None


def _balanced(said: str, start: int, end: int) -> str | None:
    depth = 1
    for place in range(start, min(end + 1, len(said))):
        letter = said[place]
        if letter == "{":
            depth += 1
        elif letter == "}":
            depth -= 1
            if depth == 0:
                return said[start:place]
    return None
