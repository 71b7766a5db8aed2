"""The first answer that passes a check."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ..agents.checks import Check, problem_with
from ..errors import AggregationError
from ..result import Conclusion, TaskResult
from ..run.context import RunContext
from .conclusions import NoModelCalls, nothing_answered, picked


def check(fn: Check) -> _Check:
    """Take the first answer that passes your check, and cancel the rest. Makes no calls.

    Where an answer can be checked, by tests, arithmetic or a schema, this finds what a vote misses. Answers are checked
    one after the other, as they come in; none that has not passed is ever the conclusion, not at the deadline either.
    To tell the subagents what was wrong, wrap them as well: `checked(Agent(), fn)`.

    Args:
        fn: looks at an answer: True if it is good; False, or a text that says what is wrong with it, if not. A plain
            function runs in a worker thread; it may be async.
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
            problem = await problem_with(result, self._fn)
            if problem is None:
                return picked(result, seen, ctx)
            problems[result.id] = problem
        if not problems:
            raise nothing_answered(seen)
        first, problem = next(iter(problems.items()))
        raise AggregationError(
            f"none of the {len(problems)} answers passed the check; {first!r}: {problem}",
            hint="ask for more samples, or wrap the agent: checked(Agent(), ...)",
        )
