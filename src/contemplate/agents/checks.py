"""Checks: a function of the user's that knows a good answer when it sees one."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable

import anyio.to_thread

from ..errors import ConfigurationError, OutputError
from ..plan import Task
from ..prompts import fence_mark, fenced, render
from ..result import TaskResult
from ..run.context import RunContext
from ..run.protocols import AgentFunction, Answer, prepare
from ..run.task_context import TaskContext

Verdict = bool | str
Check = Callable[[TaskResult], Verdict | Awaitable[Verdict]]


async def problem_with(result: TaskResult, check: Check) -> str | None:
    """What `check` finds wrong with an answer; None if it passes.

    A plain function runs in a worker thread, so that a slow one does not hold up the subagents.

    Raises:
        ConfigurationError: `check` raised, or returned neither True, False nor a text.
    """
    try:
        verdict = await _verdict(result, check)
    except Exception as error:
        raise ConfigurationError(
            f"the check raised {type(error).__name__} on the answer of task {result.id!r}: {error}",
            hint="return False, or a text that says what is wrong, for an answer that cannot be checked",
        ) from error
    if not isinstance(verdict, bool | str):
        raise ConfigurationError(
            f"the check returned {verdict!r:.100} for the answer of task {result.id!r}",
            hint="return True, False, or a text that says what is wrong",
        )
    return None if verdict is True else verdict or render("check_failed")


async def _verdict(result: TaskResult, check: Check) -> object:
    if inspect.iscoroutinefunction(check):
        return await check(result)
    # In a tuple, because trio refuses what is to be awaited.
    (verdict,) = await anyio.to_thread.run_sync(lambda: (check(result),), abandon_on_cancel=True)
    return await verdict if inspect.isawaitable(verdict) else verdict


def checked(agent: AgentFunction, check: Check, *, attempts: int = 2) -> AgentFunction:
    """An agent whose answers pass `check`: one that does not is made again, and told what was wrong.

    After the last attempt the task has failed, so that no aggregator takes its answer for one. An answer that was cut
    off is not checked. Costs what `agent` costs, up to `attempts` times, one after the other.

    Args:
        agent: answers the tasks, such as `Agent()`.
        check: looks at an answer: True if it is good; False, or a text that says what is wrong with it, if not. May be
            async.
        attempts: how often the agent may try.

    Raises:
        ConfigurationError: `attempts` is less than one.
    """
    if attempts < 1:
        raise ConfigurationError(f"checked(attempts={attempts}): at least 1 is needed")

    return _Checked(agent, check, attempts)


class _Checked:
    def __init__(self, agent: AgentFunction, check: Check, attempts: int) -> None:
        self._agent = agent
        self._check = check
        self._attempts = attempts

    async def prepare(self, run: RunContext) -> None:
        await prepare(self._agent, run)

    async def __call__(self, task: Task, ctx: TaskContext) -> Answer:
        attempt = task
        for number in range(1, self._attempts + 1):
            given = await self._agent(attempt, ctx)
            if given.outcome != "answered":
                return given
            problem = await problem_with(_as_result(task, given, ctx), self._check)
            if problem is None:
                return given
            if number < self._attempts:
                attempt = _told(task, problem, given.text, ctx)
        raise OutputError(f"the answer did not pass the check after {self._attempts} attempts: {problem}")


def _as_result(task: Task, given: Answer, ctx: TaskContext) -> TaskResult:
    return TaskResult(
        task=task,
        outcome=given.outcome,
        text=given.text,
        output=given.output,
        images=given.images,
        usage=ctx.usage,
        messages=ctx.messages,
    )


def _told(task: Task, problem: str, text: str, ctx: TaskContext) -> Task:
    """`task`, for an agent that shall know what was wrong with the last attempt."""
    wrong = [("problem", problem), ("attempt", text)]
    mark = fence_mark(ctx.run.run_id, wrong)
    said = render("another_attempt", mark=mark, problem=fenced(wrong, mark))
    return task.model_copy(update={"instructions": "\n\n".join(filter(None, (task.instructions, said)))})
