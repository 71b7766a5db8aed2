"""Run calls in parallel."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio

T = TypeVar("T")


async def run_in_parallel(calls: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """Return the results of `calls`, in order. If one raises, cancel the others and re-raise its error."""
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
