"""The contenders, a file each: one plan call, N subagents in parallel, one aggregation.

Each has `opened(url)`, an async context manager of two functions: `fan_out(n)`, which returns when all is done, and
`stream(n)`, which reads n streamed answers at once and returns how many pieces of text it saw (None where a framework
offers no streams).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

FanOut = Callable[[int], Awaitable[None]]
Stream = Callable[[int], Awaitable[int]]
Ways = tuple[FanOut, Stream | None]

MODEL = "gpt-4o-mini"
KEY = "unused"
QUESTION = "What is to be done?"


def parts(n: int) -> list[str]:
    """The questions of n subagents."""
    return [f"{QUESTION} Part {i}." for i in range(n)]
