"""A thread that does something from time to time, as long as that is to be done."""

from __future__ import annotations

import threading
from collections.abc import Callable

from .outage import Outage


class RenewalThread:
    """Calls `beat` every so many seconds in a thread of its own, until it returns False.

    Args:
        beat: is to be called; if it raises something, that is told, and it is called again.
        seconds: how often.
    """

    def __init__(self, beat: Callable[[], bool], seconds: float) -> None:
        self._beat = beat
        self._seconds = seconds
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wanted = False

    def go_on(self) -> None:
        """Begin, or do not end yet."""
        with self._lock:
            self._wanted = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="contemplate heartbeat", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        pause, outage = threading.Event(), Outage("heartbeat")
        while True:
            pause.wait(self._seconds)
            with self._lock:
                self._wanted = False
            try:
                goes_on = self._beat()
                outage.ended()
            except Exception as error:
                # Whatever it is, such as no file to be had: without a heartbeat all runs would be taken from here.
                outage.failed(error)
                goes_on = True
            with self._lock:
                if not (goes_on or self._wanted):
                    self._thread = None
                    return
