"""One call that merges all results into one answer."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

from ..context import RunContext
from ..errors import AggregationError
from ..events import OutputDelta
from ..messages import Message
from ..models import Delta, DeltaSink, Model, ModelRequest, ModelResponse
from ..prompts import fence_mark, fenced, render
from ..result import Conclusion, TaskResult
from ..settings import ModelSettings
from ..typed import parsed, with_schema
from .base import nothing_answered
from .kept import concluded

MAX_REPAIRS = 2


class _Synthesize:
    model_calls = 1

    def __init__(self, model: str | Model | None, settings: ModelSettings | None, instructions: str | None) -> None:
        self._model = model
        self._settings = settings or ModelSettings()
        self._instructions = instructions

    async def __call__(self, question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> Conclusion:
        ctx.offer(lambda: _laid_side_by_side(ctx))
        seen = [result async for result in results]
        usable, missing = _sorted_out(seen)
        if not usable:
            raise nothing_answered(seen)
        if len(seen) == 1 and seen[0].answered and seen[0].task.kind != "part":
            return concluded(seen[0], ctx)
        return await self._merged(question, usable, missing, ctx)

    async def _merged(
        self, question: str, usable: list[TaskResult], missing: list[TaskResult], ctx: RunContext
    ) -> Conclusion:
        turn = 0

        async def ask(request: ModelRequest) -> ModelResponse:
            nonlocal turn
            turn += 1
            on_delta = _shown(ctx) if ctx.listening else None
            if turn > 1 and on_delta is not None:
                on_delta(Delta(restart=True))
            return await ctx.call("aggregator", request, model=self._model, turn=turn - 1, on_delta=on_delta)

        request = with_schema(ModelRequest(self._messages(question, usable, missing, ctx), self._settings), ctx.output)
        response = await ask(request)
        output: Any = None
        if ctx.output is not None:
            output, response = await parsed(response, request, ask, ctx.output, repairs=MAX_REPAIRS)
        if response.finish == "content_filter" or not (response.message.text.strip() or response.message.images):
            raise AggregationError(f"the merged answer is empty (finish reason: {response.finish})")
        complete = not missing and response.finish != "length" and all(each.answered for each in usable)
        return Conclusion(
            text=response.message.text,
            output=output,
            images=response.message.images,
            support=tuple(each.id for each in usable),
            complete=complete,
        )

    def _messages(
        self, question: str, usable: list[TaskResult], missing: Sequence[TaskResult], ctx: RunContext
    ) -> tuple[Message, ...]:
        candidates = all(each.task.kind != "part" for each in usable)
        if candidates:
            # A candidate's place must not speak for it; the run's id makes the order one that can be replayed.
            usable = random.Random(ctx.run_id).sample(usable, len(usable))  # noqa: S311
        texts = [(f"answer {number}", _body(each, candidates)) for number, each in enumerate(usable, start=1)]
        mark = fence_mark(ctx.run_id, texts)
        said = [
            render("synthesis_question", question=question),
            render("synthesis_material", mark=mark, material=fenced(texts, mark)),
        ]
        if missing:
            said.append(render("synthesis_missing", missing="; ".join(each.task.label for each in missing)))
        said.append(render("synthesis_candidates" if candidates else "synthesis_parts"))
        if self._instructions:
            said.append(self._instructions)
        return Message.system(render("synthesis")), Message.user("\n\n".join(said), ctx.images)


def synthesize(
    *, model: str | Model | None = None, settings: ModelSettings | None = None, instructions: str | None = None
) -> _Synthesize:
    """Wait for all results, and let a model merge them into one answer. Costs one call.

    The question stands in the prompt, and each result in a numbered fence. Attempts at the whole question are
    anonymous and shuffled; parts keep their order, and their titles. Failed tasks are named as missing. Where the
    planner asked the question as it is, its answer is passed on without a call. The answer streams.

    After Self-MoA, Li et al. 2025, https://arxiv.org/abs/2502.00674.

    Args:
        model: which model merges; the run's own if None.
        settings: of the merging call.
        instructions: said last, such as the form that the answer shall have.
    """
    return _Synthesize(model, settings, instructions)


def _sorted_out(seen: Sequence[TaskResult]) -> tuple[list[TaskResult], list[TaskResult]]:
    """What can be merged and what is missing, each in the order of its launch.

    A text that was cut off, by a limit or the deadline, was paid for; the model is told that it is incomplete.
    """
    usable: list[TaskResult] = []
    missing: list[TaskResult] = []
    for each in sorted(seen, key=lambda result: result.index):
        has_text = each.answered or (each.outcome in ("capped", "cancelled") and each.text)
        (usable if has_text else missing).append(each)
    return usable, missing


def _shown(ctx: RunContext) -> DeltaSink:
    def on_delta(delta: Delta) -> None:
        ctx.emit(OutputDelta(text=delta.text, reasoning=delta.reasoning, restart=delta.restart))

    return on_delta


def _body(result: TaskResult, candidates: bool) -> str:
    text = result.text if result.answered else render("incomplete", text=result.text)
    return text if candidates else f"Task: {result.task.label}\n{text}"


def _laid_side_by_side(ctx: RunContext) -> Conclusion:
    """What to conclude when there is no time to merge."""
    seen = ctx.results.values()
    usable = sorted((each for each in seen if each.answered), key=lambda each: each.index)
    if not usable:
        raise nothing_answered(seen)
    if ctx.output is not None or usable[0].task.kind != "part":
        return concluded(usable[0], ctx, complete=False)
    text = "\n\n".join(f"## {each.task.label}\n\n{each.text.strip()}" for each in usable)
    return Conclusion(text=text, support=tuple(each.id for each in usable), complete=False)
