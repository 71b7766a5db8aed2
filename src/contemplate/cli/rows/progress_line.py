"""How far a batch is, in a line: drawn again and again on a terminal, written every ten seconds elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ...batch import BatchProgress
from ..console import say
from ..heartbeat import Heartbeat
from ..view import is_drawn_on

SECONDS = 10.0
WIDTH = 24


def line_of(progress: BatchProgress, before: int = 0) -> str:
    """Return how far a batch is, such as "312 of 1,000 · 3 failed · 2.1 a second · $0.42 · 5 min left".

    Args:
        progress: how far it is.
        before: how many rows an earlier call had done.
    """
    done = f"{progress.done + before:,}"
    said = [done if progress.total is None else f"{done} of {progress.total + before:,}"]
    if progress.failed:
        said.append(f"{progress.failed:,} failed")
    if progress.incomplete:
        said.append(f"{progress.incomplete:,} incomplete")
    if progress.done:
        said.append(_rate(progress.rate))
    if progress.usage.cost_usd:
        said.append(f"${progress.usage.cost_usd:,.4f}")
    elif progress.usage.total_tokens:
        said.append(f"{progress.usage.total_tokens:,} tokens")
    if progress.seconds_left is not None and progress.seconds_left >= 1:
        said.append(f"{duration(progress.seconds_left)} left")
    return " · ".join(said)


def duration(seconds: float) -> str:
    """Return a duration in words."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


@contextmanager
def shown(progress: Callable[[], BatchProgress], before: int, *, quiet: bool, plain: bool) -> Iterator[None]:
    """Show how far a batch is, until the block is left."""
    if quiet:
        yield
        return
    if not plain and is_drawn_on(sys.stderr):
        from rich.console import Console
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        from ..live_area import LiveArea

        def drawn() -> Table:
            now = progress()
            grid = Table.grid(padding=(0, 1))
            cells: list[Any] = [Text(line_of(now, before))]
            if now.total is not None:
                cells.insert(0, ProgressBar(now.total + before, now.done + before, width=WIDTH))
            grid.add_row(*cells)
            return grid

        area = LiveArea(Console(stderr=True), drawn)
        area.start()
        try:
            yield
        finally:
            area.stop()
        return
    beat = Heartbeat(SECONDS, lambda: say(line_of(progress(), before)))
    beat.start()
    try:
        yield
    finally:
        beat.stop()


def _rate(rate: float) -> str:
    return f"{rate:,.1f} a second" if rate >= 1 else f"{rate * 60:,.1f} a minute"
