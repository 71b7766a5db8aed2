"""A model that picks the best answer, by its number."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, create_model

from ..agents.output import parsed, with_schema
from ..errors import AggregationError, OutputError
from ..messages import Message
from ..models import Model, ModelRequest, ModelResponse
from ..prompts import fence_mark, fenced, render
from ..result import Conclusion, TaskResult
from ..run.context import RunContext
from ..run.output_type import OutputType
from ..settings import ModelSettings
from .conclusions import earliest, in_launch_order, nothing_answered, picked
from .parallel import together

MAX_REPAIRS = 1


def judge(
    *,
    model: str | Model | None = None,
    both_orders: bool = False,
    criteria: str | None = None,
    settings: ModelSettings | None = None,
) -> _Judge:
    """Wait for all results, and let a model pick the best answer by its number. Costs one call, or two.

    The answers are anonymous, fenced and shuffled, by the run's id; what the winner said is passed on as it stands.
    Answers that are the same, word for word, are shown once, and one answer alone is taken without a call. A judge
    that names none of them is told so once. Only the texts are judged, not images.

    Judges prefer places: with `both_orders` the answers are shown a second time the other way round, at the same time,
    and if the choices differ, the one that was launched first wins, with a note.

    After Universal Self-Consistency, Chen et al. 2023, https://arxiv.org/abs/2311.17311, which picks by number too, and
    Zheng et al. 2023, https://arxiv.org/abs/2306.05685, on the bias of places.

    Args:
        model: which model judges; the run's own if None.
        both_orders: whether it judges twice.
        criteria: what makes an answer good; correctness and completeness if None.
        settings: of the judging calls.
    """
    return _Judge(model, both_orders, criteria, settings)


class _Judge:
    def __init__(
        self, model: str | Model | None, both_orders: bool, criteria: str | None, settings: ModelSettings | None
    ) -> None:
        self.model_calls = 2 if both_orders else 1
        self._model = model
        self._criteria = criteria or render("judge_criteria")
        self._settings = settings or ModelSettings()

    async def __call__(self, question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> Conclusion:
        ctx.offer(lambda: earliest(ctx))
        seen = [result async for result in results]
        candidates = _distinct(in_launch_order(seen))
        if not candidates:
            raise nothing_answered(seen)
        winner = candidates[0] if len(candidates) == 1 else await self._best(question, candidates, ctx)
        return picked(winner, seen, ctx, complete=all(each.answered for each in seen))

    async def _best(self, question: str, candidates: list[TaskResult], ctx: RunContext) -> TaskResult:
        # Repeatable by the run's id, so that a run that is continued asks the same.
        shuffled = random.Random(f"{ctx.run_id}/judge").sample(candidates, len(candidates))  # noqa: S311
        orders = [shuffled, shuffled[::-1]][: self.model_calls]
        asked = [partial(self._choice, question, shown, ctx) for shown in orders]
        first, *others = sorted(await together(asked), key=lambda each: each.index)
        if any(each.id != first.id for each in others):
            ctx.note(f"the judge chose {first.id!r} in one order and {others[0].id!r} in the other; the first is taken")
        return first

    async def _choice(self, question: str, shown: Sequence[TaskResult], ctx: RunContext) -> TaskResult:
        numbers = [str(number) for number in range(1, len(shown) + 1)]
        texts = [(f"candidate {number}", each.text) for number, each in zip(numbers, shown, strict=True)]
        mark = fence_mark(ctx.run_id, texts)
        said = render(
            "judge_candidates",
            question=question,
            mark=mark,
            candidates=fenced(texts, mark),
            criteria=self._criteria,
        )

        async def ask(request: ModelRequest) -> ModelResponse:
            return await ctx.call("aggregator", request, model=self._model)

        choice = _choice_of(numbers)
        messages = Message.system(render("judge")), Message.user(said, ctx.images_for("aggregator"))
        request = with_schema(ModelRequest(messages, self._settings), choice)
        try:
            chosen, _ = await parsed(await ask(request), request, ask, choice, repairs=MAX_REPAIRS)
        except OutputError as error:
            raise AggregationError(
                f"the judge named none of the {len(shown)} candidates: {error.message}", hint="use a stronger model"
            ) from None
        return shown[numbers.index(chosen.best)]


def _distinct(candidates: Sequence[TaskResult]) -> list[TaskResult]:
    """One for each text; those with images are all different."""
    kept: dict[object, TaskResult] = {}
    for each in candidates:
        kept.setdefault(each.id if each.images else (each.text.strip(),), each)
    return list(kept.values())


def _choice_of(numbers: Sequence[str]) -> OutputType[Any]:
    # The reason first: what is written before the choice can still change it. A number is as good as its name.
    best: Any = Annotated[Literal[tuple(numbers)], BeforeValidator(str)]
    return OutputType(create_model("Choice", reason=(str, ...), best=(best, ...)))
