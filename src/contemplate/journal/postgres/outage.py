"""What is said of a database that is away: that it is, now and then that it still is, and that it is back."""

from __future__ import annotations

import logging
import math
import time

from ...redaction import redact

# After how many seconds more it is said again; and for how long all is well before an outage is a new one.
PAUSES = (1.0, 5.0, 30.0, 300.0)
CALM = 30.0


class Outage:
    """Tells the log of what fails again and again, and of its end, in few words.

    Args:
        what: what is away.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._since: float | None = None
        self._over, self._due = -math.inf, -math.inf
        self._times = 0

    def failed(self, error: BaseException) -> None:
        """Say that it is away, unless that was said a moment ago."""
        now = time.monotonic()
        if self._since is None:
            self._since, self._told = now, False
            if now > self._over + CALM:
                self._due, self._times = now, 0
        if now >= self._due:
            self._due = now + PAUSES[min(self._times, len(PAUSES) - 1)]
            self._times, self._told = self._times + 1, True
            _say("%s: %s: %s%s", self._what, type(error).__name__, in_a_line(error), _for(now - self._since))

    def ended(self) -> None:
        """Say that it is back, if it was said that it was away."""
        if self._since is not None:
            self._over = time.monotonic()
            if self._told:
                _say("%s: back after %.0f s", self._what, self._over - self._since)
            self._since = None


def in_a_line(error: BaseException) -> str:
    """Return what an error says, in one line, without secrets."""
    return " ".join(redact(str(error)).split())


def _for(seconds: float) -> str:
    return f" (for {seconds:.0f} s)" if seconds else ""


_say = logging.getLogger("contemplate").warning
