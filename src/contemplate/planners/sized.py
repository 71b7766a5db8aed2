"""Planners that say how much they plan, and planners within planners."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from ..errors import LimitExceeded, ModelError
from ..plan import Task
from ..run.context import RunContext
from ..run.protocols import Planner


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
