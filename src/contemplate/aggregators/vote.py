"""The answer that most subagents give."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, Literal

import anyio

from .. import answers
from ..context import RunContext
from ..errors import AggregationError, ConfigurationError, QuorumNotReached
from ..events import VoteCounted
from ..result import Conclusion, Dissent, TaskResult
from .ballot import Ballot
from .base import nothing_answered
from .kept import NoModelCalls, concluded

Key = Callable[[Any], object]
Stop = Literal["exact", "beta"]


def vote(
    *,
    key: Key | None = None,
    stop: Stop | None = "exact",
    confidence: float = 0.95,
    quorum: int = 1,
) -> _Vote:
    """Plurality vote over canonical keys; a tie goes to the answer that was launched first. Makes no calls.

    With `stop="exact"` it returns, and what is still running is cancelled, as soon as no answer that is still out can
    change the winner: the result is the one that the full vote would give. With `stop="beta"` it returns as soon as
    the leader is likely enough (Adaptive-Consistency, https://arxiv.org/abs/2305.11860): cheaper, not exact, and biased
    towards short answers, because those arrive first.

    Args:
        key: makes the key of an answer: of its text, or of its value where the run has an output type. None from it
            is an abstention. If None: `answers.final` for text, the whole value for typed output.
        stop: when to return; None waits for all.
        confidence: for `stop="beta"`: how likely the leader must be, in (0.5, 1).
        quorum: how many answers must have been counted at least, abstentions left out.

    Raises:
        ConfigurationError: `confidence` or `quorum` is out of range.
    """
    if not 0.5 < confidence < 1:
        raise ConfigurationError(f"vote(confidence={confidence}): a number between 0.5 and 1 is needed")
    if quorum < 1:
        raise ConfigurationError(f"vote(quorum={quorum}): at least 1 is needed")
    return _Vote(key, stop, confidence, quorum)


class _Vote(NoModelCalls):
    def __init__(self, key: Key | None, stop: Stop | None, confidence: float, quorum: int) -> None:
        self._key = key
        self._stop = stop
        self._confidence = confidence
        self._quorum = quorum

    async def __call__(self, question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> Conclusion:
        ballot, roll = Ballot(), _Roll(ctx)
        seen: list[TaskResult] = []
        supporters: dict[str, list[TaskResult]] = {}
        ctx.offer(lambda: self._concluded(ballot, supporters, seen, ctx))
        with anyio.CancelScope() as counting:

            def planned() -> None:
                # As long as more could be planned, nothing was decided; and perhaps no other answer will come soon.
                ballot.launch(len(roll))
                if self._decided(ballot, supporters, ctx):
                    counting.cancel()

            ctx.when_planned(planned)
            async for result in results:
                seen.append(result)
                key = self._key_of(result, ctx)
                call = roll.number(result)
                ballot.launch(max(len(roll), ctx.expected or 0))
                ballot.cast(call, key)
                if key is not None:
                    supporters.setdefault(key, []).append(result)
                decided = self._decided(ballot, supporters, ctx)
                if ctx.listening:
                    votes = {each: len(given) for each, given in supporters.items()}
                    ctx.emit(VoteCounted(task_id=result.id, votes=votes, decided=decided))
                if decided:
                    break
        return self._concluded(ballot, supporters, seen, ctx)

    def _key_of(self, result: TaskResult, ctx: RunContext) -> str | None:
        if not result.answered:
            return None
        value: object = result.text
        key: Key = self._key or answers.final
        if ctx.output is not None and result.task.kind != "part":
            value = ctx.output.load(result.output)
            key = self._key or answers.typed
        try:
            made = key(value)
        except Exception as error:
            raise AggregationError(
                f"the vote's key function raised {type(error).__name__} on the answer of task {result.id!r}: {error}",
                hint="return None for an answer that cannot be read",
            ) from error
        return made if made is None or isinstance(made, str) else answers.typed(made)

    def _decided(self, ballot: Ballot, supporters: dict[str, list[TaskResult]], ctx: RunContext) -> bool:
        if self._stop is None or sum(map(len, supporters.values())) < self._quorum:
            return False
        if self._stop == "beta":
            return ballot.confidence() >= self._confidence
        return (ctx.plan_done or ctx.expected is not None) and ballot.decided()

    def _concluded(
        self, ballot: Ballot, supporters: dict[str, list[TaskResult]], seen: list[TaskResult], ctx: RunContext
    ) -> Conclusion:
        winner = ballot.leader()
        if winner is None:
            if any(result.answered for result in seen):
                raise QuorumNotReached(
                    f"none of the {len(seen)} answers could be read by the vote's key function",
                    hint="ask for a form that it can read, such as a last line 'Answer: ...', or pass another key=",
                )
            raise nothing_answered(seen)
        counted = sum(map(len, supporters.values()))
        if counted < self._quorum:
            raise QuorumNotReached(f"{counted} answers were counted, and quorum={self._quorum} are needed")
        first, *others = sorted(supporters[winner], key=lambda result: result.index)
        dissent = [
            Dissent(answer=key, tasks=tuple(result.id for result in given))
            for key, given in supporters.items()
            if key != winner
        ]
        all_in = ctx.plan_done and (ballot.decided() or self._stop == "beta")
        complete = all_in or self._decided(ballot, supporters, ctx)
        support = (first.id, *(result.id for result in others))
        return concluded(first, ctx, support=support, dissent=tuple(dissent), complete=complete)


class _Roll:
    """Who votes: each task in the order of the plan, and one that is held back when it is released."""

    def __init__(self, ctx: RunContext) -> None:
        self._ctx = ctx
        self._read = 0
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        for task in self._ctx.planned[self._read :]:
            if not task.held:
                self._numbers[task.id] = len(self._numbers)
        self._read = len(self._ctx.planned)
        return len(self._numbers)

    def number(self, result: TaskResult) -> int:
        """The number of `result`'s call."""
        return self._numbers.setdefault(result.id, len(self))
