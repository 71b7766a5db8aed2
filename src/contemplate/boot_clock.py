"""A clock for what other machines count, too: it also goes while this one sleeps."""

from __future__ import annotations

import time


def boot_clock() -> float:
    """Return the seconds of a clock that is never set, and also goes while the machine sleeps, where there is one."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)
