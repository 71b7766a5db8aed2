"""The first answer that passes a check."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ..agents.checks import Check, problem_with
from ..arguments import checked_arguments
from ..errors import AggregationError
from ..result import Conclusion, TaskResult
from ..run.context import RunContext
from .conclusions import NoModelCalls, conclusion_with_dissent, nothing_answered


@checked_arguments
def check(fn: Check) -> _Check:
    """Return the first answer that passes your check, and cancel the rest. Makes no model calls.

    If answers can be verified, by tests, arithmetic or a schema, this finds correct answers that a vote misses. Answers
    are checked in the order of arrival; one that has not passed is never the conclusion, even at the deadline. To tell
    the subagents what was wrong, also wrap the agent: `checked(Agent(), fn)`.

    Args:
        fn: judges an answer. Returns True if it is good; False, or a text that says what is wrong, if not. May be
            async; a synchronous function runs in a worker thread.
    """
    return _Check(fn)


class _Check(NoModelCalls):
    def __init__(self, fn: Check) -> None:
        self._fn = fn

    async def __call__(self, question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> Conclusion:
        seen: list[TaskResult] = []
        problems: dict[str, str] = {}
        async for result in results:
            seen.append(result)
            if not result.answered:
                continue
            problem = await problem_with(result, self._fn, ctx.prompts)
            if problem is None:
                return conclusion_with_dissent(result, seen, ctx)
            problems[result.id] = problem
        if not problems:
            raise nothing_answered(seen)
        first, problem = next(iter(problems.items()))
        raise AggregationError(
            f"none of the {len(problems)} answers passed the check; {first!r}: {problem}",
            hint="ask for more samples, or wrap the agent: checked(Agent(), ...)",
        )
