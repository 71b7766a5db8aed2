"""Calls at the same time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio

T = TypeVar("T")


async def together(calls: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """What each of `calls` returns, in their order. If one raises, the others are cancelled, and it is raised."""
    returned: dict[int, T] = {}

    async def run(place: int) -> None:
        returned[place] = await calls[place]()

    try:
        async with anyio.create_task_group() as group:
            for place in range(len(calls)):
                group.start_soon(run, place)
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [returned[place] for place in range(len(calls))]
