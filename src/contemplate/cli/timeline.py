"""A run's calls as bars over time, for a terminal of any width."""

from __future__ import annotations

import shutil
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence

from ..journal import Entry
from ..result import TaskResult
from .call_tree import lane_of

# What each character of a bar says; the later has the last word where several calls of a lane share a character.
WAITS, READS, WRITES, USES = "·", "░", "█", "▒"
_STRENGTH = {" ": 0, WAITS: 1, READS: 2, USES: 3, WRITES: 4}
LEGEND = f"{WAITS} waits for its turn  {READS} to the first token  {WRITES} writes  {USES} tool"
WIDTH_OF_FILES = 100
NARROWEST, MOST_LANES = 40, 60


def width() -> int:
    """Return how many columns there are: those of the terminal, or `COLUMNS`; 100 in a file or a pipe."""
    fallback = (80 if sys.stdout.isatty() else WIDTH_OF_FILES, 24)
    return max(NARROWEST, shutil.get_terminal_size(fallback).columns - 1)


def timeline(entries: Sequence[Entry], results: Mapping[str, TaskResult], columns: int) -> Iterator[str]:
    """Yield the lines of a timeline: a lane for each task, planner and aggregator, with all calls made within it.

    Args:
        entries: the calls of the run, and of the runs within it.
        results: the results of its tasks, by their ids.
        columns: how wide a line may be.
    """
    end = max((entry.started + entry.seconds for entry in entries), default=0.0)
    if end <= 0:
        return
    lanes: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=lambda each: each.started):
        lanes.setdefault(lane_of(entry, results), []).append(entry)
    labels = columns // 3
    bar = columns - labels - 1
    last = f"{end:.1f} s"
    yield " " * (labels + 1) + "0 s" + last.rjust(bar - 3)
    for name in list(lanes)[:MOST_LANES]:
        result = results.get(name)
        label = name if result is None else result.task.label
        yield f"{fitted(label, labels)} {_bar(lanes[name], end, bar)}".rstrip()
    if len(lanes) > MOST_LANES:
        yield f"and {len(lanes) - MOST_LANES} more: contemplate view shows all"
    if len(LEGEND) <= columns:
        yield " " * (labels + 1) + LEGEND if len(LEGEND) + labels + 1 <= columns else LEGEND


def _bar(entries: Sequence[Entry], end: float, columns: int) -> str:
    drawn = [" "] * columns
    for entry in entries:
        turn = entry.started + entry.queued
        over = entry.started + entry.seconds
        first = over if entry.first is None else min(turn + entry.first, over)
        spans = [(turn, over, USES)]
        if entry.role != "tool":
            # A call that was not streamed has no first token: it is all one.
            wrote = turn if entry.first is None else first
            spans = [(entry.started, turn, WAITS), (turn, wrote, READS), (wrote, over, WRITES)]
        # However short it was, that it was there is seen.
        for begins, ends, mark in [each for each in spans if each[1] > each[0]] or spans[-1:]:
            _draw(drawn, begins / end, ends / end, mark)
    return "".join(drawn)


def _draw(drawn: list[str], begins: float, ends: float, mark: str) -> None:
    columns = len(drawn)
    start = min(int(begins * columns), columns - 1)
    for place in range(start, max(start + 1, min(round(ends * columns), columns))):
        if _STRENGTH[mark] >= _STRENGTH[drawn[place]]:
            drawn[place] = mark


def fitted(text: str, columns: int) -> str:
    """Return `text` on one line, cut or padded to so many columns; letters of East Asia take two."""
    text = " ".join(text.split())
    cut, used = "", 0
    for letter in text:
        wide = _columns(letter)
        if used + wide > columns:
            break
        cut, used = cut + letter, used + wide
    if len(cut) < len(text):
        while cut and used + 1 > columns:
            used -= _columns(cut[-1])
            cut = cut[:-1]
        cut, used = f"{cut}…", used + 1
    return cut + " " * (columns - used)


def wrapped(line: str, columns: int) -> Iterator[str]:
    """Yield a line in lines of so many columns, broken between words, behind its margin; a long word is not broken."""
    words = line.split(" ")
    margin = next((at for at, word in enumerate(words) if word), 0)
    text, used = " " * margin, margin
    begun = False
    for word in words[margin:]:
        wide = sum(map(_columns, word))
        if begun and used + 1 + wide > columns:
            yield text
            text, used, begun = " " * margin, margin, False
        text, used = f"{text} {word}" if begun else text + word, used + wide + begun
        begun = True
    yield text


def _columns(letter: str) -> int:
    if unicodedata.combining(letter) or unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1
