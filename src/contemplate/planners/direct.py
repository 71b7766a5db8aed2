"""No fan-out: the question as it is, to one subagent."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ..plan import Task
from ..run.context import RunContext
from ..run.protocols import Planner
from ..settings import ModelSettings
from .sized import Sized


def direct(*, instructions: str | None = None, settings: ModelSettings | None = None) -> Planner:
    """One task, the question itself; its text streams as the run's output. Costs one call.

    Args:
        instructions: a persona or a strategy, said after the question.
        settings: of the call.
    """

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield Task(
            id="answer", prompt=question, kind="answer", title="Answer", instructions=instructions, settings=settings
        )

    return Sized(plan, calls=(0, 0), tasks=(1, 1))
