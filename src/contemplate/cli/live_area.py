"""What is drawn again and again at the bottom of a terminal, with what is printed for good above it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import rich.live
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

from .heartbeat import Heartbeat

SECONDS = 1 / 12


class LiveArea:
    """Draws `shown` anew some times a second, from `start` until `stop`.

    All is drawn under one lock. In Rich's own thread, a drawing could come between the moment in which a print finds
    out how many lines it is to erase, and the print, so that others were erased.

    Args:
        console: where to.
        shown: called for what stands there each time, so that nothing stands there longer than it should.
        transient: whether it is erased at the end.
    """

    def __init__(self, console: Console, shown: Callable[[], RenderableType], *, transient: bool = False) -> None:
        self._console = console
        self._live = rich.live.Live(_Shown(shown), console=console, auto_refresh=False, transient=transient)
        self._live.vertical_overflow = "crop"
        self._lock = threading.Lock()
        self._clock = Heartbeat(SECONDS, self._draw)

    def start(self) -> None:
        """Begin to draw."""
        self._live.start()
        self._clock.start()

    def stop(self) -> None:
        """Draw it for the last time, in full however high it is, or erase it."""
        self._clock.stop()
        self._live.stop()

    @contextmanager
    def above(self) -> Iterator[Console]:
        """Let what is printed in the block stand above it."""
        with self._lock, self._console:
            yield self._console

    def _draw(self) -> None:
        with self._lock:
            self._live.refresh()


class _Shown:
    def __init__(self, shown: Callable[[], RenderableType]) -> None:
        self._shown = shown

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._shown()
