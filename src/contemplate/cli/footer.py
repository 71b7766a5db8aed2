"""The lines below the rows of the live view: what there is to say of the run as a whole, as far as it fits."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text

from ..views.pace import SEPARATOR

FOOTER_LINES = 2


def filled(parts: Sequence[str], width: int) -> list[str]:
    """Return parts in lines of so many cells, two at most; the last is cut where it does not fit."""
    lines = [""]
    for part in parts:
        line = SEPARATOR.join(filter(None, (lines[-1], part)))
        if cell_len(line) > width and lines[-1] and len(lines) < FOOTER_LINES:
            lines.append(part)
        else:
            lines[-1] = line
    for place, line in enumerate(lines):
        cut = Text(line)
        cut.truncate(max(1, width), overflow="ellipsis")
        lines[place] = cut.plain
    return lines
