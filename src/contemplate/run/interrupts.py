"""Ctrl-C while an event loop is blocked."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def ctrl_c_raises() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt in the block, where asyncio would keep it for a loop that the block blocks.

    Only the main thread receives signals. A handler of the user's own stays as it is.
    """
    if threading.current_thread() is not threading.main_thread() or not _asyncios(signal.getsignal(signal.SIGINT)):
        yield
        return

    before = signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _asyncios(handler: Any) -> bool:
    """Return whether `handler` is one of asyncio's, that of `asyncio.run` or of `loop.add_signal_handler`."""
    function = getattr(handler, "func", handler)
    return str(getattr(function, "__module__", "")).partition(".")[0] == "asyncio"
