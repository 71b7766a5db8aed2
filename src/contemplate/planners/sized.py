"""Planners with known size, for estimates, and planners that call other planners."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from ..errors import LimitExceeded, ModelError
from ..plan import Task
from ..run.context import RunContext
from ..run.protocols import Planner


@dataclass(frozen=True, slots=True)
class Sized:
    """A planner with bounds for estimates: (min, max) of its own model calls and of its tasks.

    `samples` is the maximum number of samples per task.
    """

    plan: Planner
    calls: tuple[int, int]
    tasks: tuple[int, int]
    samples: int = 1

    def __call__(self, question: str, ctx: RunContext) -> AsyncIterator[Task]:
        """Plan tasks for `question`."""
        return self.plan(question, ctx)


async def parts_of(planner: Planner, question: str, ctx: RunContext) -> list[Task]:
    """Return all tasks that another planner yields for `question`; none, with a note, if its call fails.

    That planner must not wait for results, since its tasks do not run yet.
    """
    try:
        return [task async for task in planner(question, ctx)]
    except (ModelError, LimitExceeded) as error:
        ctx.note(f"the question could not be decomposed: {error.message}")
        return []
