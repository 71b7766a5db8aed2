"""A single task without fan-out: the question itself."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ..arguments import checked_arguments
from ..plan import Task
from ..run.context import RunContext
from ..run.protocols import Planner
from ..settings import ModelSettings
from .planner_size import Sized


@checked_arguments
def direct(*, instructions: str | None = None, settings: ModelSettings | None = None) -> Planner:
    """Plan one task, the question itself, whose text streams as the run's output. Costs one call.

    Without `instructions` the default agent sends the question alone, and no system message but its own instructions.

    Args:
        instructions: a persona or a strategy, added after the question.
        settings: settings of the call.
    """

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield Task(
            id="answer", prompt=question, kind="answer", title="Answer", instructions=instructions, settings=settings
        )

    return Sized(plan, calls=(0, 0), tasks=(1, 1))
