"""What a planner is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from ..context import RunContext
from ..errors import LimitExceeded, ModelError
from ..plan import Task


class Planner(Protocol):
    """Yields the tasks of a run, and may look at the results so far (`ctx.results`, `ctx.finished`) in between.

    A task starts as soon as it is yielded and what it needs is done. A task may need only tasks yielded before it.
    """

    def __call__(self, question: str, ctx: RunContext) -> AsyncIterator[Task]:
        """Plan for `question`. What it raises ends the run, with all that was finished in the error's `partial`."""
        ...


@dataclass(frozen=True, slots=True)
class Sized:
    """A planner that says how much it plans, for estimates: its own model calls, and its tasks, each from ... to ...

    `samples` is the most that one of its tasks may ask for.
    """

    plan: Planner
    calls: tuple[int, int]
    tasks: tuple[int, int]
    samples: int = 1

    def __call__(self, question: str, ctx: RunContext) -> AsyncIterator[Task]:
        """Plan for `question`."""
        return self.plan(question, ctx)


async def parts_of(planner: Planner, question: str, ctx: RunContext) -> list[Task]:
    """The whole plan that another planner makes for `question`; nothing, with a note, if its call fails.

    That planner must not wait for results: none of its tasks runs yet.
    """
    try:
        return [task async for task in planner(question, ctx)]
    except (ModelError, LimitExceeded) as error:
        ctx.note(f"the question could not be decomposed: {error.message}")
        return []
