"""Text that does not steer a terminal."""

from __future__ import annotations

_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)]) | {ord("\n"): "\n", ord("\t"): "\t"}


def printable(text: str) -> str:
    """Return `text` without control characters: what a model or a server says must not steer the terminal."""
    return text.translate(_CONTROLS)
