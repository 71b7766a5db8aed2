"""Checks: user functions that decide whether an answer is good."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ..arguments import checked_arguments
from ..errors import ConfigurationError, OutputError
from ..plan import Task
from ..prompts import Prompts, fence_mark, fenced
from ..result import TaskResult
from ..run.protocols import AgentFunction, Answer, WrappedAgent
from ..run.task_context import TaskContext
from ..tools.user_code import call_function

Verdict = bool | str
Check = Callable[[TaskResult], Verdict | Awaitable[Verdict]]


async def problem_with(result: TaskResult, check: Check, prompts: Prompts) -> str | None:
    """Return what `check` finds wrong with an answer; None if it passes.

    If it does not say what, `prompts` do. A synchronous function runs in a worker thread, so that it does not block the
    subagents.

    Raises:
        ConfigurationError: `check` raised an error, or returned neither True, False nor a text.
    """
    try:
        verdict = await call_function(check, result)
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
    return None if verdict is True else verdict or prompts.render("check_failed")


@checked_arguments
def checked(agent: AgentFunction, check: Check, *, attempts: int = 2) -> AgentFunction:
    """Wrap an agent so that its answers must pass `check`; after a failure it tries again and is told what was wrong.

    If the last attempt fails the check, the task fails, so that no aggregator uses its answer. A truncated answer is
    not checked. Costs what `agent` costs, up to `attempts` times in sequence.

    Args:
        agent: the agent to wrap, such as `Agent()`.
        check: judges an answer. Returns True if it is good; False, or a text that says what is wrong, if not. May be
            async.
        attempts: maximum number of attempts.

    Raises:
        ConfigurationError: `attempts` is less than one.
    """
    if attempts < 1:
        raise ConfigurationError(f"checked({attempts=}): attempts must be at least 1")

    return _Checked(agent, check, attempts)


class _Checked(WrappedAgent):
    def __init__(self, agent: AgentFunction, check: Check, attempts: int) -> None:
        super().__init__(agent)
        self._check = check
        self._attempts = attempts

    async def __call__(self, task: Task, ctx: TaskContext) -> Answer:
        attempt = task
        for number in range(1, self._attempts + 1):
            answer = await self.agent(attempt, ctx)
            if answer.outcome != "answered":
                return answer
            problem = await problem_with(_as_result(task, answer, ctx), self._check, ctx.run.prompts)
            if problem is None:
                return answer
            if number < self._attempts:
                attempt = _with_problem(task, problem, answer.text, ctx)
        raise OutputError(f"the answer did not pass the check after {self._attempts} attempts: {problem}")


def _as_result(task: Task, answer: Answer, ctx: TaskContext) -> TaskResult:
    return TaskResult(
        task=task,
        outcome=answer.outcome,
        text=answer.text,
        output=answer.output,
        images=answer.images,
        usage=ctx.usage,
        messages=ctx.messages,
    )


def _with_problem(task: Task, problem: str, text: str, ctx: TaskContext) -> Task:
    """Return `task` with instructions that describe what was wrong with the last attempt."""
    texts = [("problem", problem), ("attempt", text)]
    mark = fence_mark(texts)
    retry = ctx.run.prompts.render("another_attempt", mark=mark, problem=fenced(texts, mark))
    return task.model_copy(update={"instructions": "\n\n".join(filter(None, (task.instructions, retry)))})
