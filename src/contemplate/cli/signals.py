"""Ctrl-C and SIGTERM, as the cancellation of a run."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import anyio

SHOW_CURSOR = b"\x1b[?25h"


@contextmanager
def cancel_on_signal(scope: anyio.CancelScope) -> Iterator[list[signal.Signals]]:
    """Let the first Ctrl-C or SIGTERM cancel `scope`; it is then in the list. The second ends the process at once.

    Works in an asyncio task of the main thread; Python's own handlers are used, as Windows has no others.
    """
    received: list[signal.Signals] = []
    loop = asyncio.get_running_loop()

    def stop(number: int, _: FrameType | None) -> None:
        if received:
            _end_process(128 + number)
        received.append(signal.Signals(number))
        loop.call_soon_threadsafe(scope.cancel)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_process(code: int) -> None:
    # Whatever holds up the orderly end is not waited for; the live view has hidden the cursor.
    if os.isatty(1) and os.environ.get("TERM") not in ("dumb", "unknown"):
        os.write(1, SHOW_CURSOR)
    os._exit(code)
