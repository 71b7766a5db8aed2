"""Telling one's own cancellation from that of something that one waited for."""

from __future__ import annotations

import math

import anyio


def being_cancelled() -> bool:
    """Return whether the current task is being cancelled, and not only something that it waited for."""
    return anyio.current_effective_deadline() == -math.inf
