"""Plurality vote over canonical answers, with early stopping."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Literal, NamedTuple

import anyio

from ..arguments import checked_arguments
from ..errors import AggregationError, ConfigurationError
from ..events import VoteCounted
from ..models import Model
from ..result import Conclusion, TaskResult
from ..run.answer_keys import Key, key_of, value_of
from ..run.context import RunContext
from ..settings import ModelSettings
from .certificate import Certificate
from .consensus import Consensus
from .meaning import Meanings
from .vote_count import Count
from .weights import Weights

Stop = Literal["exact", "beta", "certificate", "consensus"]
DEFAULT_CONFIDENCE = 0.95
DEFAULT_ERROR = 0.05
DEFAULT_CONSENSUS = 0.95
DEFAULT_WARMUP = 16


@checked_arguments
def vote(
    *,
    key: Key | None = None,
    stop: Stop | None = "exact",
    confidence: float | None = None,
    error: float | None = None,
    consensus: float | None = None,
    after: int | None = None,
    quorum: int = 1,
    weights: Weights | None = None,
    by_meaning: bool = False,
    model: str | Model | None = None,
    settings: ModelSettings | None = None,
) -> _Vote:
    """Vote over canonical keys; a tie goes to the answer that was launched first. Only `by_meaning` makes calls.

    With `stop="exact"` it returns, and running tasks are cancelled, as soon as no pending answer can change the winner:
    the result equals that of the full vote. With `stop="beta"` it also returns once the leader is likely enough
    (Adaptive-Consistency, https://arxiv.org/abs/2305.11860): cheaper, not exact, and biased towards short answers,
    because those arrive first. With `stop="certificate"` it also returns once the leader is certified as the model's
    most probable answer: the probability that it is not is at most `error`, however often one looks. That holds for
    samples of one model and one prompt; votes are counted towards it in the order of launch, so that a late call
    delays it. With `stop="consensus"` it also returns once the leader has a share `consensus` of the weight of all
    votes, counted in the order of launch, when `after` calls have ended (DeepConf, https://arxiv.org/abs/2508.15260): a
    heuristic, which says nothing of what is still running.

    A call that failed or was cut short might have changed the winner: the result is complete only if it could not have,
    by the same exact rule. An answer that the key cannot read is an abstention, and changes nothing.

    With `by_meaning`, a model compares each new key with the first answer of each earlier group: at most
    n * (n - 1) / 2 short calls for n answers, and none for equal keys. Answers are then processed in the order of their
    launch, so that the groups do not depend on the order of arrival; this delays an early stop.

    Args:
        key: returns the key of an answer's text, or of its value if the run has an output type; a key of None is an
            abstention. The default is `answers.final` for text, and the whole value for typed output, whose None is an
            answer like any other.
        stop: when to return; None waits for all results.
        confidence: for `stop="beta"`: required probability of the leader, in (0.5, 1); 0.95 if None.
        error: for `stop="certificate"`: maximum probability that the answer is not the most probable one, in (0, 1);
            0.05 if None.
        consensus: for `stop="consensus"`: required share of the leader, in (0.5, 1]; 0.95 if None.
        after: for `stop="consensus"`: the first so many calls must have ended, at least two; 16 if None.
        quorum: minimum number of counted answers, abstentions excluded.
        weights: `by_confidence()`, `by_accuracy(...)`, `by_logprobs()` or your own; all votes weigh the same if None.
        by_meaning: whether to group answers with different keys by meaning.
        model: for `by_meaning`: the model that compares; the run's model if None.
        settings: for `by_meaning`: settings of these calls. A temperature of 0, if the model supports it, makes the
            verdicts repeatable.

    Raises:
        ConfigurationError: a number is out of range, or given without its `stop`, `stop="beta"` or `stop="certificate"`
            with `weights`, or `model` or `settings` without `by_meaning`.
    """
    for number in (
        _Number("confidence", confidence, "beta", lambda each: 0.5 < each < 1, "between 0.5 and 1"),
        _Number("error", error, "certificate", lambda each: 0 < each < 1, "between 0 and 1"),
        _Number("consensus", consensus, "consensus", lambda each: 0.5 < each <= 1, "above 0.5 and at most 1"),
        _Number("after", after, "consensus", lambda each: each >= 2, "at least 2, as one answer agrees with itself"),
    ):
        number.check(stop)
    if quorum < 1:
        raise ConfigurationError(f"vote({quorum=}): quorum must be at least 1")
    if weights is not None and stop in ("beta", "certificate"):
        raise ConfigurationError(
            f'vote(stop="{stop}") counts votes and cannot weigh them', hint='use stop="exact" or "consensus"'
        )
    for name, given in (("model", model), ("settings", settings)):
        if given is not None and not by_meaning:
            raise ConfigurationError(f"vote({name}=...) requires by_meaning=True", hint="pass by_meaning=True")
    wrong = (DEFAULT_ERROR if error is None else error) if stop == "certificate" else None
    sure = DEFAULT_CONFIDENCE if confidence is None else confidence
    agreed = None
    if stop == "consensus":
        agreed = (DEFAULT_CONSENSUS if consensus is None else consensus, DEFAULT_WARMUP if after is None else after)
    return _Vote(key, stop, sure, wrong, agreed, quorum, weights, by_meaning, model, settings)


class _Number(NamedTuple):
    """A number that one of the stops takes."""

    name: str
    value: float | None
    stop: Stop
    fits: Callable[[float], bool]
    words: str

    def check(self, stop: Stop | None) -> None:
        if self.value is None:
            return
        if not self.fits(self.value):
            raise ConfigurationError(f"vote({self.name}={self.value}): {self.name} must be {self.words}")
        if stop != self.stop:
            hint = f"leave out {self.name}, or stop so"
            raise ConfigurationError(f'vote({self.name}=...) is for stop="{self.stop}"', hint=hint)


class _Vote:
    def __init__(
        self,
        key: Key | None,
        stop: Stop | None,
        confidence: float,
        error: float | None,
        consensus: tuple[float, int] | None,
        quorum: int,
        weights: Weights | None,
        by_meaning: bool,
        model: str | Model | None,
        settings: ModelSettings | None,
    ) -> None:
        self.model_calls: int | Callable[[int], int] = _comparisons if by_meaning else 0
        self.subagent_settings: ModelSettings | None = getattr(weights, "subagent_settings", None)
        self._key = key
        self._stop = stop
        self._confidence = confidence
        self._error = error
        self._consensus = consensus
        self._quorum = quorum
        self._weights = weights
        self._by_meaning = by_meaning
        self.models = (model,)
        self._model = model
        self._settings = settings or ModelSettings()

    async def __call__(self, question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> Conclusion:
        certificate = None if self._error is None else Certificate(self._error)
        consensus = None if self._consensus is None else Consensus(*self._consensus)
        count = Count(ctx, self._weights, certificate, consensus)
        meanings = Meanings(question, ctx, self._model, self._settings) if self._by_meaning else None
        queue = _Queue(count, in_order=self._by_meaning)
        ctx.offer(lambda: self._conclude_without_calls(count, queue, meanings, ctx))
        with anyio.CancelScope() as counting:

            def planned() -> None:
                # The vote could not be decided while more tasks could be planned, and the next answer may be far off.
                count.launch()
                if self._decided(count, ctx):
                    counting.cancel()

            ctx.when_planned(planned)
            async for result in results:
                queue.add(result)
                if await self._count(queue.due(), count, meanings, ctx):
                    return self._conclusion(count, ctx)
            await self._count(queue.rest(), count, meanings, ctx)
        return self._conclusion(count, ctx)

    async def _count(self, due: Iterator[TaskResult], count: Count, meanings: Meanings | None, ctx: RunContext) -> bool:
        """Count the results that are due; return whether the vote is decided."""
        decided = False
        for result in due:
            key = self._key_of(result, count, ctx)
            if key is not None and meanings is not None:
                key = await meanings.group(key, result)
            self._cast(result, key, count, ctx)
            decided = self._decided(count, ctx)
            if ctx.listening:
                ctx.emit(VoteCounted(task_id=result.id, votes=count.votes, decided=decided))
            if decided:
                break
        return decided

    def _conclude_without_calls(
        self, count: Count, queue: _Queue, meanings: Meanings | None, ctx: RunContext
    ) -> Conclusion:
        """Conclude without model calls when time is up: queued results count by their keys."""
        for result in queue.rest():
            key = self._key_of(result, count, ctx)
            self._cast(result, key if key is None or meanings is None else meanings.known(key), count, ctx)
        return self._conclusion(count, ctx)

    def _cast(self, result: TaskResult, key: str | None, count: Count, ctx: RunContext) -> None:
        weight = 1.0
        try:
            if key is not None and self._weights is not None:
                weight = self._weights.weigh(value_of(result, ctx), result)
            count.cast(result, key, weight)
        except Exception as error:
            raise AggregationError(
                f"the answer of task {result.id!r} cannot be weighed: {type(error).__name__}: {error}",
                hint="return None for an answer without a score, and pass highest= if scores exceed 1",
            ) from error

    def _key_of(self, result: TaskResult, count: Count, ctx: RunContext) -> str | None:
        if result.answered and count.selection is not None and not count.selection.counts(result):
            return None
        return key_of(result, self._key, ctx)

    def _decided(self, count: Count, ctx: RunContext) -> bool:
        if self._stop is None or count.counted < self._quorum:
            return False
        # More samples make up for some that failed; what was cut off at its own limit would be so again.
        return self._likely(count) or (_all_known(ctx) and count.ballot.certain())

    def _likely(self, count: Count) -> bool:
        return count.suffices or (self._stop == "beta" and count.ballot.confidence() >= self._confidence)

    def _conclusion(self, count: Count, ctx: RunContext) -> Conclusion:
        complete = self._likely(count) or (_all_known(ctx) and count.ballot.certain(cut_off=True))
        return count.conclusion(quorum=self._quorum, complete=complete)


def _comparisons(answers: int) -> int:
    """Return how many pairs there are of so many answers."""
    return answers * (answers - 1) // 2


def _all_known(ctx: RunContext) -> bool:
    """Return whether it is known how many tasks there will be."""
    return ctx.plan_done or ctx.expected is not None


class _Queue:
    """Results to be counted, in the order of arrival or of launch; each is kept until it is counted."""

    def __init__(self, count: Count, *, in_order: bool) -> None:
        self._count = count
        self._in_order = in_order
        self._next = 0
        self._waiting: dict[int, TaskResult] = {}

    def add(self, result: TaskResult) -> None:
        """Add a result."""
        selection = self._count.selection
        self._keep((result,) if selection is None else selection.add(result))

    def _keep(self, results: Iterable[TaskResult]) -> None:
        self._waiting |= {self._count.number(each): each for each in results}

    def due(self) -> Iterator[TaskResult]:
        """Yield the results that can be counted now."""
        if not self._in_order:
            yield from self._all()
        while self._next in self._waiting:
            yield self._waiting[self._next]
            self._waiting.pop(self._next)
            self._next += 1

    def rest(self) -> Iterator[TaskResult]:
        """Yield all remaining results in the order of launch."""
        if self._count.selection is not None:
            self._keep(self._count.selection.rest())
        yield from self._all()

    def _all(self) -> Iterator[TaskResult]:
        for number in sorted(self._waiting):
            yield self._waiting[number]
            self._waiting.pop(number)
