"""A tournament: pairwise comparisons by a model, until the best answer is known."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from functools import partial
from itertools import islice
from typing import Literal

from ..arguments import checked_arguments
from ..errors import ConfigurationError
from ..events import STRONGEST, StandingsChanged
from ..models import Model
from ..result import Conclusion, Dissent, TaskResult
from ..run.answer_keys import Key, key_of
from ..run.context import RunContext
from ..settings import ModelSettings
from .conclusions import conclusion_of, in_launch_order, nothing_answered
from .pairwise import Comparison, PairJudge
from .parallel import run_in_parallel
from .standings import Knockout, Pair, Round, Standings, Swiss, swiss_rounds

System = Literal["swiss", "knockout"]


@checked_arguments
def tournament(
    *,
    system: System = "swiss",
    rounds: int | None = None,
    key: Key | None = None,
    model: str | Model | None = None,
    criteria: str | None = None,
    settings: ModelSettings | None = None,
) -> _Tournament:
    """Wait for all results, and let a model compare them two by two; return the answer that wins, unchanged.

    Each pair is judged in both orders, since judges prefer places, and all pairs of a round at the same time. A
    comparison won is a point, a draw half a point; with `settings=ModelSettings(logprobs=5)`, it is the expected score
    by the probabilities of the verdict, if the model gives them. Answers with the same key are one candidate, and each
    further one is half a point ahead, as if they had met and drawn. Ties go to the candidate that was launched first.

    In a Swiss tournament of n candidates, who stand alike and have not met are compared, in log2(n) + 1 rounds of n
    calls; only those go on who can still be first, and it ends when no pairing that is left could change the winner.
    In a knockout, who loses is out: 2 * (n - 1) calls in log2(n) rounds.

    A judge that misses its form is told so once. A comparison without a verdict is a draw, with a note, and the result
    is incomplete; if a whole round has none, the tournament ends with it. Only texts are judged, not images.

    Pairwise comparisons in a Swiss tournament after V1-Infer, Singh et al. 2026, https://arxiv.org/abs/2603.04304.

    Args:
        system: "swiss" or "knockout".
        rounds: number of rounds of a Swiss tournament; log2(n) + 1, rounded up, if None.
        key: returns the key of an answer's text, or of its value if the run has an output type. The default is
            `answers.final` for text, and the whole value for typed output. An answer whose key is None equals no other.
        model: the model that judges; the run's model if None.
        criteria: criteria of a good answer; correctness and completeness if None.
        settings: settings of the judging calls.

    Raises:
        ConfigurationError: `rounds` is less than one, or given for a knockout.
    """
    if rounds is not None and system == "knockout":
        raise ConfigurationError("tournament(rounds=...) is for a Swiss tournament", hint="leave rounds out")
    if rounds is not None and rounds < 1:
        raise ConfigurationError(f"tournament({rounds=}): rounds must be at least 1")
    return _Tournament(system, rounds, key, model, criteria, settings or ModelSettings())


class _Tournament:
    def __init__(
        self,
        system: System,
        rounds: int | None,
        key: Key | None,
        model: str | Model | None,
        criteria: str | None,
        settings: ModelSettings,
    ) -> None:
        self._system = system
        self._rounds = rounds
        self._key = key
        self.models = (model,)
        self._model = model
        self._criteria = criteria
        self._settings = settings

    def model_calls(self, candidates: int) -> int:
        """Return how many calls it makes at most among so many candidates."""
        if self._system == "knockout":
            return 2 * max(candidates - 1, 0)
        return 2 * (candidates // 2) * swiss_rounds(candidates, self._rounds)

    async def __call__(self, question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> Conclusion:
        ctx.offer(lambda: self._best_so_far(ctx.results.values(), ctx))
        seen = [result async for result in results]
        candidates = self._candidates(seen, ctx)
        if not candidates:
            raise nothing_answered(seen)
        judge = PairJudge(question, ctx, self._model, self._criteria, self._settings)
        played, complete = Round(0, self._begin(candidates)), all(each.answered for each in seen)
        _tell(played, candidates, ctx)
        while following := played.next():
            played = following
            ctx.offer(partial(_conclusion, candidates, played, ctx, complete=False))
            judged = await self._play(played, candidates, judge, ctx)
            complete = complete and judged == len(played.pairs)
            if not judged:
                break
        return _conclusion(candidates, played, ctx, complete=complete)

    async def _play(
        self, playing: Round, candidates: Sequence[Sequence[TaskResult]], judge: PairJudge, ctx: RunContext
    ) -> int:
        """Add the scores of a round as they come; return how many pairs were judged."""

        async def play(pair: Pair) -> Comparison:
            one, other = pair
            comparison = await judge.compare(candidates[one][0], candidates[other][0])
            playing.scores[pair] = comparison.score
            _tell(playing, candidates, ctx, pair, comparison)
            return comparison

        comparisons = await run_in_parallel([partial(play, pair) for pair in playing.pairs])
        if failures := [each for comparison in comparisons for each in comparison.failures]:
            verdicts = 2 * len(playing.pairs)
            ctx.note(f"{len(failures)} of {verdicts} verdicts of a round of the tournament are missing: {failures[0]}")
        return sum(each.judged for each in comparisons)

    def _begin(self, candidates: Sequence[Sequence[TaskResult]]) -> Standings:
        votes = [len(equal) for equal in candidates]
        return Knockout.of(votes) if self._system == "knockout" else Swiss.of(votes, self._rounds)

    def _candidates(self, results: Iterable[TaskResult], ctx: RunContext) -> list[list[TaskResult]]:
        """Return the answers, with equal ones together, in the order of their launch."""
        equal: dict[object, list[TaskResult]] = {}
        for each in in_launch_order(results):
            key = None if each.images else key_of(each, self._key, ctx)
            equal.setdefault((each.id,) if key is None else key, []).append(each)
        return list(equal.values())

    def _best_so_far(self, results: Iterable[TaskResult], ctx: RunContext) -> Conclusion:
        candidates = self._candidates(results, ctx)
        if not candidates:
            raise nothing_answered(ctx.results.values())
        return _conclusion(candidates, Round(0, self._begin(candidates)), ctx, complete=False)


def _tell(
    playing: Round,
    candidates: Sequence[Sequence[TaskResult]],
    ctx: RunContext,
    pair: Pair | None = None,
    comparison: Comparison | None = None,
) -> None:
    """Tell the standings: before the first round, and after each comparison."""
    if ctx.listening:
        ctx.emit(
            StandingsChanged(
                points=dict(islice(_points(candidates, playing.now()).items(), STRONGEST)),
                decided=playing.decided,
                round=playing.number or None,
                pair=None if pair is None else (candidates[pair[0]][0].id, candidates[pair[1]][0].id),
                score=comparison.score if comparison is not None and comparison.judged else None,
            )
        )


def _points(candidates: Sequence[Sequence[TaskResult]], standings: Standings) -> dict[str, float]:
    return {candidates[each][0].id: standings.points_of(each) for each in standings.ranking()}


def _conclusion(
    candidates: Sequence[Sequence[TaskResult]], playing: Round, ctx: RunContext, *, complete: bool
) -> Conclusion:
    """Return who is first by the comparisons so far, with all equal answers; the others are its dissent."""
    standings = playing.now()
    first, *others = standings.ranking()
    dissent = tuple(
        Dissent(answer=candidates[each][0].text.strip(), tasks=tuple(equal.id for equal in candidates[each]))
        for each in others
    )
    support = tuple(each.id for each in candidates[first])
    conclusion = conclusion_of(candidates[first][0], ctx, support=support, dissent=dissent, complete=complete)
    return conclusion.model_copy(update={"points": _points(candidates, standings)})
