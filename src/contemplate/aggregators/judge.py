"""A model that selects the best answer by its number."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, create_model

from ..agents.output import parse_with_repair, with_schema
from ..arguments import checked_arguments
from ..errors import ModelResponseError, OutputError
from ..models import Model, ModelRequest, ModelResponse
from ..prompts import fence_mark, fenced
from ..result import Conclusion, TaskResult
from ..run.context import RunContext
from ..run.output_type import OutputType
from ..settings import ModelSettings
from .conclusions import conclusion_with_dissent, earliest_answer, in_launch_order, nothing_answered, shuffled
from .missed_form import FormMissed, OrElse, WithFallback
from .parallel import run_in_parallel

MAX_REPAIRS = 1


@checked_arguments
def judge(
    *,
    model: str | Model | None = None,
    both_orders: bool = False,
    criteria: str | None = None,
    settings: ModelSettings | None = None,
    or_else: OrElse = "first",
) -> _Judge:
    """Wait for all results, and let a model select the best answer by its number. Costs one call, or two.

    The answers are anonymised, fenced and shuffled, seeded by the run's seed and the answers; the winner is returned
    unchanged.
    Identical answers are shown once, and a single answer is returned without a call. A choice that does not name a
    candidate is repaired once; if it still names none, `or_else` concludes, with a note, and the result is incomplete.
    Only texts are judged, not images.

    Judges have position bias: with `both_orders`, a second call in parallel sees the answers in reverse order, and if
    the choices differ, the one that was launched first wins, with a note.

    After Universal Self-Consistency, Chen et al. 2023, https://arxiv.org/abs/2311.17311, which also selects by number,
    and Zheng et al. 2023, https://arxiv.org/abs/2306.05685, on position bias.

    Args:
        model: the model that judges; the run's model if None.
        both_orders: whether to judge in both orders.
        criteria: criteria of a good answer; correctness and completeness if None.
        settings: settings of the judging calls.
        or_else: what concludes if the judge names no candidate: "first" (the answer that was launched first), "vote",
            "synthesize", or an aggregator.
    """
    return _Judge(model, both_orders, criteria, settings, or_else)


class _Judge(WithFallback):
    def __init__(
        self,
        model: str | Model | None,
        both_orders: bool,
        criteria: str | None,
        settings: ModelSettings | None,
        or_else: OrElse,
    ) -> None:
        super().__init__(or_else, model)
        self._orders = 2 if both_orders else 1
        self._criteria = criteria
        self._settings = settings or ModelSettings()

    def model_calls(self, candidates: int) -> int | None:
        """Return how many calls are made at most among so many candidates: each repaired, and those of `or_else`."""
        return self.calls_after(self._orders * (1 + MAX_REPAIRS), candidates) if candidates > 1 else 0

    def likely_calls(self, candidates: int) -> int:
        """Return how many calls are made where each choice names a candidate."""
        return self._orders if candidates > 1 else 0

    async def __call__(self, question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> Conclusion:
        ctx.offer(lambda: earliest_answer(ctx))
        seen = [result async for result in results]
        candidates = _distinct(in_launch_order(seen))
        if not candidates:
            raise nothing_answered(seen)
        try:
            winner = candidates[0] if len(candidates) == 1 else await self._best(question, candidates, ctx)
        except FormMissed as missed:
            return await self.conclude_instead(question, seen, ctx, missed)
        return conclusion_with_dissent(winner, seen, ctx, complete=all(each.answered for each in seen))

    async def _best(self, question: str, candidates: list[TaskResult], ctx: RunContext) -> TaskResult:
        shown = shuffled(candidates, ctx, "judge")
        orders = [shown, shown[::-1]][: self._orders]
        calls = [partial(self._choice_or_miss, question, order, ctx) for order in orders]
        choices = await run_in_parallel(calls)
        chosen = [each for each in choices if isinstance(each, TaskResult)]
        if not chosen:
            raise next(each for each in choices if isinstance(each, FormMissed))
        if len(chosen) < len(orders):
            ctx.note("the judge named no candidate in one of the two orders; its choice in the other is taken")
        first, *others = sorted(chosen, key=lambda each: each.index)
        if any(each.id != first.id for each in others):
            ctx.note(f"the judge chose {first.id!r} in one order and {others[0].id!r} in the other; the first is taken")
        return first

    async def _choice_or_miss(
        self, question: str, candidates: Sequence[TaskResult], ctx: RunContext
    ) -> TaskResult | FormMissed:
        try:
            return await self._choice(question, candidates, ctx)
        except FormMissed as missed:
            return missed

    async def _choice(self, question: str, candidates: Sequence[TaskResult], ctx: RunContext) -> TaskResult:
        numbers = [str(number) for number in range(1, len(candidates) + 1)]
        texts = [(f"candidate {number}", each.text) for number, each in zip(numbers, candidates, strict=True)]
        mark = fence_mark(texts)
        user = ctx.prompts.render(
            "judge_candidates",
            question=question,
            mark=mark,
            candidates=fenced(texts, mark),
            criteria=self._criteria or ctx.prompts.render("judge_criteria"),
        )

        async def ask(request: ModelRequest) -> ModelResponse:
            return await ctx.call("aggregator", request, model=self._model)

        choice = _choice_type(numbers)
        messages = ctx.opening("aggregator", ctx.prompts.render("judge"), user)
        request = with_schema(ModelRequest(messages, self._settings), choice)
        try:
            chosen, _ = await parse_with_repair(
                await ask(request), request, ask, choice, repairs=MAX_REPAIRS, prompts=ctx.prompts
            )
        except (OutputError, ModelResponseError) as error:
            raise FormMissed(f"the judge named none of the {len(candidates)} candidates: {error.message}") from None
        return candidates[numbers.index(chosen.best)]


def _distinct(candidates: Sequence[TaskResult]) -> list[TaskResult]:
    """Return one candidate for each text; candidates with images are never merged."""
    kept: dict[object, TaskResult] = {}
    for each in candidates:
        kept.setdefault(each.id if each.images else (each.text.strip(),), each)
    return list(kept.values())


def _choice_type(numbers: Sequence[str]) -> OutputType[Any]:
    # The reason comes first, so that it can still change the choice. `str` also accepts a number.
    best: Any = Annotated[Literal[tuple(numbers)], BeforeValidator(str)]
    return OutputType(create_model("Choice", reason=(str, ...), best=(best, ...)))
