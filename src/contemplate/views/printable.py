"""Text that does not steer a terminal."""

from __future__ import annotations

import sys
from contextlib import suppress

_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)]) | {ord("\n"): "\n", ord("\t"): "\t"}


def printable(text: str) -> str:
    """Return `text` without control characters: what a model or a server says must not steer the terminal."""
    return text.translate(_CONTROLS)


def print_line(line: str) -> None:
    """Write a line to standard output, if that can be written: whoever reads it may be gone, and the work goes on."""
    # A file that was closed raises a ValueError.
    with suppress(OSError, ValueError):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
