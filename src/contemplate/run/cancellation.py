"""Tell the current task's own cancellation from that of something it waited for."""

from __future__ import annotations

import math

import anyio


def being_cancelled() -> bool:
    """Return whether the current task itself is being cancelled, and not only something it waited for."""
    return anyio.current_effective_deadline() == -math.inf
