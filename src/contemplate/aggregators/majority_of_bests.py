"""Majority of the bests: best of n where scores are not to be trusted one by one."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import partial
from itertools import groupby
from numbers import Real

import anyio

from ..arguments import checked_arguments
from ..errors import AggregationError, ConfigurationError
from ..events import STRONGEST, VoteCounted
from ..result import Conclusion, Dissent, TaskResult
from ..run.answer_keys import Key, bare_answer, key_of, value_of
from ..run.context import RunContext
from ..tools.user_code import call_function
from .conclusions import NoModelCalls, conclusion_of, nothing_answered
from .weights import Weights

Score = Callable[[TaskResult], float | Awaitable[float | None] | None]


@checked_arguments
def majority_of_bests(score: Score | Weights, *, subset: int | None = None, key: Key | None = None) -> _MajorityOfBests:
    """Wait for all results, and return the answer that is most often the best of a random subset. Makes no model calls.

    Best of n takes the one answer with the highest score, and so whatever deceives the score most. Here each subset of
    the answers votes for its best; subsets need not be drawn, as the chances of the answers are known exactly
    (`chances`). A subset of one is a plain vote, a very large one best of n. Only the order of scores counts, not their
    scale. Ties go to the answer that was launched first.

    Rakhsha et al. 2025, https://arxiv.org/abs/2511.18630, who choose the size of the subsets from the scores.

    Args:
        score: returns the score of a result, the higher the better; None for an answer that has none, which abstains.
            May be async, and is called for several results at a time; a synchronous function runs in a worker thread.
            Or weights, such as `by_confidence()`.
        subset: size of the subsets, which are drawn with replacement; the square root of the number of answers, rounded
            up, if None.
        key: returns the key of an answer's text, or of its value if the run has an output type; a key of None is an
            abstention. The default is `answers.final` for text, and the whole value for typed output.

    Raises:
        ConfigurationError: `subset` is less than one.
    """
    if subset is not None and subset < 1:
        raise ConfigurationError(f"majority_of_bests({subset=}): subset must be at least 1")
    return _MajorityOfBests(score, subset, key)


def chances(scores: Sequence[float], subset: int) -> list[Fraction]:
    """Return for each score the probability that it is the highest of `subset` ones drawn with replacement.

    Of n scores, at most k of which are no higher than some score and j lower, it is (k^m - j^m) / n^m, for all scores
    that equal it together, by which it is divided: who ties is as likely to be taken.
    """
    n = len(scores)
    ranked = sorted(range(n), key=scores.__getitem__)
    found = [Fraction(0)] * n
    lower = 0
    for _, group in groupby(ranked, key=scores.__getitem__):
        equal = list(group)
        upper = lower + len(equal)
        share = Fraction(upper**subset - lower**subset, n**subset * len(equal))
        for place in equal:
            found[place] = share
        lower = upper
    return found


@dataclass(frozen=True, slots=True)
class _Candidate:
    result: TaskResult
    key: str
    score: float


class _MajorityOfBests(NoModelCalls):
    def __init__(self, score: Score | Weights, subset: int | None, key: Key | None) -> None:
        self._score = score
        self._subset = subset
        self._key = key

    async def __call__(self, question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> Conclusion:
        seen: list[TaskResult] = []
        candidates: list[_Candidate] = []
        ctx.offer(lambda: self._conclusion(candidates, seen, ctx, complete=False))

        async def add(result: TaskResult, key: str) -> None:
            score = await self._score_of(result, ctx)
            if score is not None:
                candidates.append(_Candidate(result, key, score))

        try:
            async with anyio.create_task_group() as scoring:
                async for result in results:
                    seen.append(result)
                    if (key := key_of(result, self._key, ctx)) is not None:
                        scoring.start_soon(add, result, key)
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        conclusion = self._conclusion(candidates, seen, ctx, complete=all(each.answered for each in seen))
        if ctx.listening:
            votes = dict(list(conclusion.votes.items())[:STRONGEST])
            ctx.emit(VoteCounted(task_id=seen[-1].id, votes=votes, decided=True))
        return conclusion

    async def _score_of(self, result: TaskResult, ctx: RunContext) -> float | None:
        """Return the score of a result.

        Raises:
            AggregationError: the function raised an error, or returned no number.
        """
        weights = self._score
        function = weights if callable(weights) else partial(_weight, weights, ctx)
        try:
            score: float | None = await call_function(function, result)
            # It cannot be compared with every other kind of number.
            score = float(score) if isinstance(score, Decimal) else score
        except Exception as error:
            raise AggregationError(
                f"the score function raised {type(error).__name__} on the answer of task {result.id!r}: {error}",
                hint="return None for an answer that has no score",
            ) from error
        if score is not None and not _is_number(score):
            raise AggregationError(
                f"the score function returned {score!r:.100} for the answer of task {result.id!r}",
                hint="return a number, or None for an answer that has no score",
            )
        return score

    def _conclusion(
        self, candidates: Sequence[_Candidate], seen: Sequence[TaskResult], ctx: RunContext, *, complete: bool
    ) -> Conclusion:
        if not candidates:
            if not any(each.answered for each in seen):
                raise nothing_answered(seen)
            raise AggregationError(
                "no answer has both a key and a score",
                hint="ask for a parsable format, such as a last line 'Answer: ...', or pass another key=",
            )
        groups = self._groups(candidates)
        (_, supporters), *others = groups.items()
        best = max(supporters, key=lambda each: (each.score, -each.result.index)).result
        support = (best.id, *(each.result.id for each in supporters if each.result.id != best.id))
        dissent = tuple(Dissent(answer=key, tasks=tuple(each.result.id for each in group)) for key, group in others)
        conclusion = conclusion_of(best, ctx, support=support, dissent=dissent, complete=complete)
        votes = {key: len(group) for key, group in groups.items()}
        return conclusion.model_copy(update={"answer": bare_answer(best, ctx), "votes": votes})

    def _groups(self, candidates: Sequence[_Candidate]) -> Mapping[str, list[_Candidate]]:
        """Return the candidates by their keys, in the order of launch, the likeliest key first."""
        in_order = sorted(candidates, key=lambda each: each.result.index)
        subset = self._subset or math.isqrt(len(in_order) - 1) + 1
        groups: dict[str, list[_Candidate]] = {}
        totals: dict[str, Fraction] = {}
        for each, chance in zip(in_order, chances([each.score for each in in_order], subset), strict=True):
            groups.setdefault(each.key, []).append(each)
            totals[each.key] = totals.get(each.key, Fraction(0)) + chance
        return {key: groups[key] for key in sorted(groups, key=lambda key: -totals[key])}


def _weight(weights: Weights, ctx: RunContext, result: TaskResult) -> float | None:
    # A weight of 0 is an abstention.
    return weights.weigh(value_of(result, ctx), result) or None


def _is_number(score: object) -> bool:
    # Not by `math.isnan`, which cannot read an int beyond all floats.
    return isinstance(score, Real) and score == score
