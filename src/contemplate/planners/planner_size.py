"""Planners with known size, for estimates, and planners that call other planners."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from ..errors import LimitExceeded, ModelError
from ..models import Model
from ..plan import Program, Task
from ..run.context import RunContext
from ..run.protocols import Planner

Span = tuple[int, int | None]


@dataclass(frozen=True, slots=True)
class Sized:
    """A planner with bounds for estimates.

    Args:
        plan: the planner.
        calls: (min, max) of its own model calls; None if there is no maximum.
        tasks: (min, max) of its tasks.
        samples: maximum number of samples per task.
        repairs: maximum number of repairs of a task's program.
        likely: (min, max) of its calls and tasks together in most runs; as by `calls` and `tasks` if None.
        models: those that its calls and tasks are for; None is the run's.
    """

    plan: Planner
    calls: Span
    tasks: Span
    samples: int = 1
    repairs: int = 0
    likely: tuple[int, int] | None = None
    models: tuple[str | Model | None, ...] = (None,)

    def __call__(self, question: str, ctx: RunContext) -> AsyncIterator[Task]:
        """Plan tasks for `question`."""
        return self.plan(question, ctx)


def most(planner: Planner) -> tuple[int | None, int | None, int]:
    """Return the largest numbers of calls and tasks of another planner, None if unknown, and of a task's repairs."""
    if isinstance(planner, Sized):
        return planner.calls[1], planner.tasks[1], planner.repairs
    return None, None, 0


def most_repairs(programs: Iterable[Program | None]) -> int:
    """Return the largest number of repairs among `programs`."""
    return max((program.repairs for program in programs if program is not None), default=0)


async def parts_of(planner: Planner, question: str, ctx: RunContext) -> list[Task]:
    """Return all tasks that another planner yields for `question`; none, with a note, if its call fails.

    That planner must not wait for results, since its tasks do not run yet.
    """
    try:
        return [task async for task in planner(question, ctx)]
    except (ModelError, LimitExceeded) as error:
        ctx.note(f"the question could not be decomposed: {error.message}")
        return []
