"""The functions that make up a run: planners, agents and aggregators; and what they return."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from pydantic import JsonValue, TypeAdapter, ValidationError

from ..data import Text
from ..errors import validation_problems
from ..messages import ImagePart, TokenLogprob
from ..plan import Task
from ..result import Conclusion, Dissent, Outcome, TaskResult
from .context import RunContext
from .task_context import TaskContext


class Planner(Protocol):
    """Yields the tasks of a run, and may look at the results so far (`ctx.results`, `ctx.finished`) in between.

    A task starts once it has been yielded and all that it needs is done. It may need only tasks yielded before it.

    A planner may say how many tasks it yields with an attribute `tasks`, the least and the most: then early calls need
    not wait for the rest of the plan where what the limits leave suffices for all.
    """

    def __call__(self, question: str, ctx: RunContext) -> AsyncIterator[Task]:
        """Yield tasks for `question`. An exception ends the run; the results so far are in the error's `partial`."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What an agent returns for a task. The outcome "capped" means that a limit of the agent's own cut it short.

    `output` is the value, if the run has an output type; if it is None, the value is parsed from `text`. `support` and
    `dissent` are for an agent that asks several subagents: those on whose answers this one rests, and the other
    answers. It is not `complete` if something was left out. `logprobs` are those of the task's last model call if None.
    `metadata` is the user's own data, as JSON: `TaskResult.metadata`.

    Raises:
        TypeError: `metadata` is not JSON.
    """

    text: Text
    output: Any = None
    images: tuple[ImagePart, ...] = ()
    outcome: Outcome = "answered"
    support: tuple[str, ...] = ()
    dissent: tuple[Dissent, ...] = ()
    complete: bool = True
    logprobs: tuple[TokenLogprob, ...] | None = None
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.metadata:
            try:
                _METADATA.validate_python(self.metadata)
            except ValidationError as error:
                raise TypeError(f"Answer(metadata=...) is not JSON: {validation_problems(error)}") from None


_METADATA: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])


class ParsedAnswer(Answer):
    """An answer whose output this package has parsed, so that nobody checks it again: not all types allow that."""

    __slots__ = ()


class AgentFunction(Protocol):
    """Answers one task: an `Agent`, or any async function with this signature."""

    async def __call__(self, task: Task, ctx: TaskContext) -> Answer:
        """Answer `task`. An exception becomes the error of a failed result; other tasks go on."""
        ...


@runtime_checkable
class Preparing(Protocol):
    """An agent that prepares itself before a run's first task."""

    async def prepare(self, run: RunContext) -> None:
        """Prepare for `run`. An exception ends the run before any model is called."""
        ...


async def prepare(agent: AgentFunction, run: RunContext) -> None:
    """Prepare `agent` for `run`, if it has a method for that."""
    if isinstance(agent, Preparing):
        await agent.prepare(run)


def can_wait(agent: AgentFunction) -> bool:
    """Return whether `agent` has tools whose calls wait for an approval, or for their result, as far as it says."""
    return bool(getattr(agent, "waits", False))


class Aggregator(Protocol):
    """Draws a conclusion from the results of a run, as they arrive.

    The stream ends when all tasks are done, or when a limit is reached: then conclude from what is there. If time runs
    out before the function returns, what it set with `ctx.offer` is used.

    A function that makes no model calls may say so with an attribute `model_calls = 0`; then no share of the limits is
    kept for it.
    """

    async def __call__(self, question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> Conclusion | str:
        """Return the conclusion. An exception ends the run; the results so far are in the error's `partial`."""
        ...


def needs_a_share(aggregator: Aggregator) -> bool:
    """Return whether to keep a share of the limits for `aggregator`: it makes model calls, or does not say."""
    return bool(getattr(aggregator, "model_calls", 1))


def most_tasks(planner: Planner) -> int | None:
    """Return the most tasks that `planner` hands out, if its attribute `tasks` says so: the least and the most."""
    span = getattr(planner, "tasks", None)
    most = span[1] if isinstance(span, tuple) and len(span) == 2 else None
    return most if isinstance(most, int) else None
