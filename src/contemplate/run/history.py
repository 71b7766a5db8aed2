"""The conversation before a run's question."""

from __future__ import annotations

from collections.abc import Sequence

from ..messages import Message


def checked_history(history: Sequence[Message]) -> tuple[Message, ...]:
    """Return the conversation before a question, if it is one.

    Raises:
        ConfigurationError: it ends with tool calls without results, or begins with results of no calls.
    """
    return tuple(history)
