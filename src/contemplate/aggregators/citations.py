"""Marks in an answer, such as [1] or [1, 3], that say on which texts a passage rests."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ..result import Citation
from ..run.context import RunContext
from .hierarchical_summary import Material

_NAME = r"(?:(?:text|answer|summary|point)\s+)?\d{1,4}"
_MARK = rf"\[\s*{_NAME}(?:\s*[,;]\s*{_NAME})*\s*\](?!\()"
# What stands in code is no mark, and neither is the text of a link.
_MARKS_OR_CODE = re.compile(rf"```.*?(?:```|\Z)|`[^`\n]*`|(?P<marks>[ \t]*{_MARK}(?:[ \t]*{_MARK})*)", re.DOTALL)
_NAMES = re.compile(r"(point\s+)?(\d+)")
# Behind these a passage begins: the end of a sentence, or of a line.
_ENDS = re.compile(r"(?<=[.!?])[\"')\]*_]*\s+(?=\S)|(?<=[\u3002\uff01\uff1f])(?=\S)|\n+")
_BEFORE = re.compile(r"[\s.,;:!?)*_#>-]*")


def citations_in(
    text: str, material: Sequence[Material], found: Sequence[Material], ctx: RunContext
) -> tuple[Citation, ...]:
    """Return the citations in an answer that was made of `material`, and of what was `found` on open points.

    A passage is the sentence before its marks, or what of it stands behind earlier marks. Numbers that no text has are
    dropped, with a note.
    """
    citations: list[Citation] = []
    unknown: dict[str, None] = {}
    for begin, end, behind in _marks(text):
        tasks: dict[str, None] = {}
        for point, number in _NAMES.findall(text[end:behind]):
            texts = found if point else material
            if 0 < int(number) <= len(texts):
                tasks |= dict.fromkeys(texts[int(number) - 1].tasks)
            else:
                unknown[f"{point}{number}"] = None
        if tasks and begin < end:
            citations.append(Citation(start=begin, end=end, marks_end=behind, tasks=tuple(tasks)))
    if unknown:
        ctx.note(f"the answer cites what it was not shown: {', '.join(unknown)}")
    return tuple(citations)


def _marks(text: str) -> Iterator[tuple[int, int, int]]:
    """Return where passages begin and end, and where the marks behind them end."""
    before = 0
    for each in _MARKS_OR_CODE.finditer(text):
        if each["marks"] is None:
            continue
        end, behind = each.span()
        passage = text[before:end].rstrip()
        ends = [found.end() for found in _ENDS.finditer(passage)]
        begin = before + (ends[-1] if ends else 0)
        leading = _BEFORE.match(text, begin, before + len(passage))
        yield begin if leading is None else leading.end(), end, behind
        before = behind
