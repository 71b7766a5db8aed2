"""The functions that make up a run: planners, agents and aggregators; and what they return."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol, runtime_checkable

from ..models import Model
from ..plan import Task
from ..result import Conclusion, TaskResult
from ..settings import ModelSettings
from ..tools.toolset import Toolset
from .answer import Answer as Answer
from .answer import ParsedAnswer as ParsedAnswer
from .context import RunContext
from .task_context import TaskContext


class Planner(Protocol):
    """Yields the tasks of a run, and may look at the results so far (`ctx.results`, `ctx.finished`) in between.

    A task starts once it has been yielded and all that it needs is done. It may need only tasks yielded before it.

    A planner may say how many tasks it yields with an attribute `tasks`, the least and the most: then early calls need
    not wait for the rest of the plan where what the limits leave suffices for all. For estimates it may say which
    models its calls and its tasks are for, with an attribute `models`: a tuple, in which None is the run's.
    """

    def __call__(self, question: str, ctx: RunContext) -> AsyncIterator[Task]:
        """Yield tasks for `question`. An exception ends the run; the results so far are in the error's `partial`."""
        ...


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


def toolsets_of(agent: AgentFunction) -> Sequence[Toolset]:
    """Return the toolsets of `agent`, if its attribute `toolsets` names them."""
    named = getattr(agent, "toolsets", ())
    return [each for each in named if isinstance(each, Toolset)] if isinstance(named, list | tuple) else ()


def models_of(part: Planner | AgentFunction | Aggregator) -> tuple[str | Model | None, ...]:
    """Return the models that calls of `part` are made with, if its attribute `models` names them; None is the run's."""
    named: object = getattr(part, "models", (None,))
    return named if isinstance(named, tuple) else (None,)


def can_wait(agent: AgentFunction) -> bool:
    """Return whether `agent` has tools whose calls wait for an approval, or for their result, as far as it says."""
    return bool(getattr(agent, "waits", False))


def needing_deps(agent: AgentFunction) -> Sequence[str]:
    """Return the names of `agent`'s tools that cannot be used in a run without deps, as far as it says."""
    names = getattr(agent, "needs_deps", ())
    return names if isinstance(names, tuple) else ()


class WrappedAgent:
    """The base of an agent that does something around another one, for which it stands with whatever that one says.

    Attributes:
        agent: the agent within.
    """

    def __init__(self, agent: AgentFunction) -> None:
        self.agent = agent

    @property
    def toolsets(self) -> tuple[Toolset, ...]:
        """The toolsets of the wrapped agent."""
        return tuple(toolsets_of(self.agent))

    @property
    def models(self) -> tuple[str | Model | None, ...]:
        """The models of the wrapped agent's calls."""
        return models_of(self.agent)

    @property
    def waits(self) -> bool:
        """Whether its tools' calls may have to wait for a decision."""
        return can_wait(self.agent)

    @property
    def needs_deps(self) -> tuple[str, ...]:
        """The names of its tools that cannot be used in a run without deps."""
        return tuple(needing_deps(self.agent))

    async def prepare(self, run: RunContext) -> None:
        """Prepare the wrapped agent."""
        await prepare(self.agent, run)


class Aggregator(Protocol):
    """Draws a conclusion from the results of a run, as they arrive.

    The stream ends when all tasks are done, or when a limit is reached: then conclude from what is there. If time runs
    out before the function returns, what it set with `ctx.offer` is used.

    A function that makes no model calls may say so with an attribute `model_calls = 0`; then no share of the limits is
    kept for it. For estimates, the attribute is how many it makes at most, or a function that returns this for a number
    of tasks, None if it is not known; repairs count only where another aggregator concludes after them. One that rarely
    makes so many says with a function `likely_calls` how many are usual. One that adds tasks to the run
    (`ctx.run_tasks`) may say how many at most with an attribute `more_tasks`, also for estimates. One whose calls are
    made with other models than the run's says so with an attribute `models`, as planners do. One that needs
    something of the subagents' calls, such as log-probabilities, says so with an attribute `subagent_settings`, which
    hold where these have none of their own.
    """

    async def __call__(self, question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> Conclusion | str:
        """Return the conclusion. An exception ends the run; the results so far are in the error's `partial`."""
        ...


def needs_a_share(aggregator: Aggregator) -> bool:
    """Return whether to keep a share of the limits for `aggregator`: it makes model calls, or does not say."""
    return bool(getattr(aggregator, "model_calls", 1))


def most_model_calls(aggregator: Aggregator, tasks: int | None) -> int | None:
    """Return how many calls `aggregator` makes at most to conclude from so many tasks; None if that is not known."""
    calls = getattr(aggregator, "model_calls", None)
    if callable(calls):
        calls = None if tasks is None else calls(tasks)
    return None if calls is None else int(calls)


def likely_model_calls(aggregator: Aggregator, tasks: int | None) -> int | None:
    """Return how many calls `aggregator` usually makes at most; those of `most_model_calls`, if it does not say."""
    calls = getattr(aggregator, "likely_calls", None)
    if calls is None or tasks is None:
        return most_model_calls(aggregator, tasks)
    usual = calls(tasks)
    return None if usual is None else int(usual)


def more_tasks(aggregator: Aggregator) -> int:
    """Return how many tasks `aggregator` may add to a run, as its attribute of this name says: none without one."""
    return int(getattr(aggregator, "more_tasks", 0))


def subagent_settings(aggregator: Aggregator) -> ModelSettings | None:
    """Return the settings that `aggregator` needs for the subagents' calls, as its attribute of this name says."""
    settings = getattr(aggregator, "subagent_settings", None)
    return settings if isinstance(settings, ModelSettings) else None


def most_tasks(planner: Planner) -> int | None:
    """Return the most tasks that `planner` hands out, if its attribute `tasks` says so: the least and the most."""
    span = getattr(planner, "tasks", None)
    most = span[1] if isinstance(span, tuple) and len(span) == 2 else None
    return most if isinstance(most, int) else None
