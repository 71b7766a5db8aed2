"""A line every few seconds, for where nothing else shows that a run goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress


class Heartbeat:
    """Says something every `seconds`, in a thread of its own, from `start` until `stop`."""

    def __init__(self, seconds: float, beat: Callable[[], None]) -> None:
        self._seconds = seconds
        self._beat = beat
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, unless it has begun."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._go_on, name="heartbeat", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End; nothing is said afterwards."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _go_on(self) -> None:
        # Nobody may be there to read it: that is found out, and told, where the answer is written.
        with suppress(OSError, ValueError):
            while not self._over.wait(self._seconds):
                self._beat()
