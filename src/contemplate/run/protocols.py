"""What planners, agents and aggregators are, the functions from which a run is put together; and what they return."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from pydantic import JsonValue

from ..messages import ImagePart
from ..plan import Task
from ..result import Conclusion, Dissent, Outcome, TaskResult
from .context import RunContext
from .task_context import TaskContext


class Planner(Protocol):
    """Yields the tasks of a run, and may look at the results so far (`ctx.results`, `ctx.finished`) in between.

    A task starts as soon as it is yielded and what it needs is done. A task may need only tasks yielded before it.
    """

    def __call__(self, question: str, ctx: RunContext) -> AsyncIterator[Task]:
        """Plan for `question`. What it raises ends the run, with all that was finished in the error's `partial`."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What an agent makes of a task. "capped" means that a limit of the agent's own cut it short.

    `support` and `dissent` are for one that asks several subagents: on whose answers this one rests, and the others;
    it is not `complete` if something was left out.
    """

    text: str
    output: JsonValue = None
    images: tuple[ImagePart, ...] = ()
    outcome: Outcome = "answered"
    support: tuple[str, ...] = ()
    dissent: tuple[Dissent, ...] = ()
    complete: bool = True


class AgentFunction(Protocol):
    """What turns one task into one answer: an `Agent`, or any async function of this form."""

    async def __call__(self, task: Task, ctx: TaskContext) -> Answer:
        """Answer `task`. What it raises becomes the error of a failed result; siblings go on."""
        ...


@runtime_checkable
class Preparing(Protocol):
    """An agent that gets ready before a run's first task."""

    async def prepare(self, run: RunContext) -> None:
        """Get ready. What it raises ends the run before any model is called."""
        ...


async def prepare(agent: AgentFunction, run: RunContext) -> None:
    """Have `agent` get ready, if it is one that does."""
    if isinstance(agent, Preparing):
        await agent.prepare(run)


class Aggregator(Protocol):
    """Concludes from the results of a run as they come in.

    The stream ends when all tasks are done, or when a limit is reached: then conclude from what is there. What is
    left with `ctx.offer` is taken if the time runs out before the function returns.

    A function that makes no model calls may say so with an attribute `model_calls = 0`, so that no share of the limits
    is kept for it.
    """

    async def __call__(self, question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> Conclusion | str:
        """Conclude. What it raises ends the run, with all that was finished in the error's `partial`."""
        ...


def needs_a_share(aggregator: Aggregator) -> bool:
    """Whether a share of the limits is kept for `aggregator`: it makes model calls, or does not say."""
    return bool(getattr(aggregator, "model_calls", 1))
