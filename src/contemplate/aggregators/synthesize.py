"""Merge all results into one answer with a model call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from ..agents.output import parse_with_repair, with_schema
from ..agents.withheld import check_given
from ..arguments import checked_arguments
from ..errors import AggregationError, ConfigurationError, LimitExceeded, ModelContextError, ModelError
from ..events import OutputDelta
from ..models import Delta, DeltaSink, Model, ModelRequest, ModelResponse
from ..models.tokens import request_tokens
from ..prompts import fence_mark, fenced, render
from ..prompts.results import result_text
from ..result import Conclusion, TaskResult
from ..run.context import RunContext
from ..run.context_windows import room_after
from ..settings import ModelSettings
from .conclusions import conclusion_of, images_of, nothing_answered, shuffled
from .condense import FENCE_TOKENS, MIN_ROOM_TOKENS, Material, Summarise, calls_for, condense, shorten

MAX_REPAIRS = 2
TOKENS_PER_WORD = 2
LEAST_TOKENS_OF_EACH = 2 * FENCE_TOKENS


class _Synthesize:
    def __init__(
        self,
        model: str | Model | None,
        settings: ModelSettings | None,
        instructions: str | None,
        context: int | None,
    ) -> None:
        if context is None:
            self.model_calls = 1
        self._model = model
        self._settings = settings or ModelSettings()
        self._instructions = instructions
        self._context = context

    async def __call__(self, question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> Conclusion:
        ctx.offer(lambda: _unmerged(ctx))
        seen = [result async for result in results]
        usable, missing = _usable_and_missing(seen)
        if not usable:
            raise nothing_answered(seen)
        if len(seen) == 1 and seen[0].answered and seen[0].task.kind != "part":
            return conclusion_of(seen[0], ctx)
        return await self._merged(question, usable, missing, ctx)

    async def _merged(
        self, question: str, usable: list[TaskResult], missing: list[TaskResult], ctx: RunContext
    ) -> Conclusion:
        written = False

        async def ask(request: ModelRequest, *, whole: bool = False) -> ModelResponse:
            nonlocal written
            on_delta = _output_sink(ctx) if ctx.listening and ctx.streaming else None
            if written and on_delta is not None:
                on_delta(Delta(restart=True))
            written = True
            return await ctx.call("aggregator", request, model=self._model, on_delta=on_delta, whole=whole)

        material, closing = _material(usable, ctx)
        if self._context is not None:
            context = self._room(question, closing, missing, ctx)
            material, closing = await self._condensed(question, material, closing, context, ctx)
        whole = material
        around = request_tokens(self._request(question, (), closing, missing, ctx))
        length = sum(each.tokens for each in material)
        room = ctx.prompt_room("aggregator", around + length) - around
        if room < length:
            if room < LEAST_TOKENS_OF_EACH * len(material):
                ctx.note("the limits leave no room for merging the results; they stand side by side")
                return _unmerged(ctx)
            ctx.note("the limits leave no room for all that the results say; the longest of them are merged shortened")
            material = shorten(material, room)
        cut = material is not whole
        request = self._request(question, material, closing, missing, ctx)
        try:
            response = await ask(request, whole=True)
        except ModelContextError as error:
            room = room_after(error, request) - self._around(question, closing, missing, ctx)
            material, closing = await self._condensed_to_fit(question, material, closing, room, ctx)
            request = self._request(question, material, closing, missing, ctx)
            response = await ask(request)
        check_given(response)
        output: Any = None
        if ctx.output is not None:
            output, response = await parse_with_repair(response, request, ask, ctx.output, repairs=MAX_REPAIRS)
        if not (response.message.text.strip() or response.message.images):
            raise AggregationError(f"the merged answer is empty (finish reason: {response.finish})")
        read = {task for each in material for task in each.tasks}
        complete = not missing and all(each.answered and each.id in read for each in usable)
        return Conclusion(
            text=response.message.text,
            output=output,
            images=response.message.images or images_of(each for each in usable if each.id in read),
            support=tuple(each.id for each in usable if each.id in read),
            complete=complete and not cut and response.finish != "length",
        )

    async def _condensed(
        self, question: str, material: list[Material], closing: str, room: int, ctx: RunContext
    ) -> tuple[list[Material], str]:
        """Return the material, or summaries of it that fit into `room` tokens, and the closing instructions."""
        condensed = await condense(material, room, self._summariser(question, ctx))
        return condensed, closing if condensed == material else render("synthesis_summaries")

    async def _condensed_to_fit(
        self, question: str, material: list[Material], closing: str, room: int, ctx: RunContext
    ) -> tuple[list[Material], str]:
        """Condense what the model refused; what cannot be summarised stays as it is, to be shortened."""
        try:
            if room < MIN_ROOM_TOKENS:
                raise AggregationError("the question leaves no room for summaries")
            if calls_for(material, room) >= ctx.calls_left:
                raise AggregationError("the limits leave no calls for summaries")
            condensed = await self._condensed(question, material, closing, room, ctx)
        except (AggregationError, LimitExceeded) as error:
            ctx.note(f"the results do not fit into the context, and cannot be summarised: {error.message}")
            return material, closing
        ctx.note("the results do not fit into the context; they are summarised, and the summaries merged")
        return condensed

    def _request(
        self,
        question: str,
        material: Sequence[Material],
        closing: str,
        missing: Sequence[TaskResult],
        ctx: RunContext,
    ) -> ModelRequest:
        parts = [_question_with(question, material, ctx)]
        if missing:
            parts.append(render("synthesis_missing", missing="; ".join(each.task.label for each in missing)))
        parts.append(closing)
        if self._instructions:
            parts.append(self._instructions)
        messages = ctx.opening("aggregator", render("synthesis"), "\n\n".join(parts))
        return with_schema(ModelRequest(messages, ctx.settings_for_answer(self._settings)), ctx.output)

    def _room(self, question: str, closing: str, missing: Sequence[TaskResult], ctx: RunContext) -> int:
        """Return the tokens left for material in the longer of the two prompts."""
        room = (self._context or 0) - self._around(question, closing, missing, ctx)
        if room < MIN_ROOM_TOKENS:
            raise ConfigurationError(
                f"synthesize(context={self._context}) leaves no room for the results after the question",
                hint=f"give at least {(self._context or 0) - room + MIN_ROOM_TOKENS}",
            )
        return room

    def _around(self, question: str, closing: str, missing: Sequence[TaskResult], ctx: RunContext) -> int:
        """Return the tokens of the longer of the two prompts without material."""
        requests = self._request(question, (), closing, missing, ctx), self._summary_request(question, (), 1, ctx)
        return max(map(request_tokens, requests))

    def _summary_request(
        self, question: str, material: Sequence[Material], tokens: int, ctx: RunContext
    ) -> ModelRequest:
        length = render("synthesis_summary_length", words=str(tokens // TOKENS_PER_WORD))
        asked = f"{_question_with(question, material, ctx)}\n\n{length}"
        messages = ctx.opening("aggregator", render("synthesis_summary"), asked)
        return ModelRequest(messages, self._settings)

    def _summariser(self, question: str, ctx: RunContext) -> Summarise:
        async def summarise(material: Sequence[Material], tokens: int) -> str | None:
            request = self._summary_request(question, material, tokens, ctx)
            try:
                response = await ctx.call("aggregator", request, model=self._model)
            except ModelError as error:
                ctx.note(f"{len(material)} of the results could not be summarised: {error.message}")
                return None
            return response.message.text if response.message.text.strip() else None

        return summarise


@checked_arguments
def synthesize(
    *,
    model: str | Model | None = None,
    settings: ModelSettings | None = None,
    instructions: str | None = None,
    context: int | None = None,
) -> _Synthesize:
    """Wait for all results, and let a model merge them into one answer. Costs one call.

    The prompt contains the question and each result in a numbered fence. Attempts at the whole question are anonymised
    and shuffled; parts keep their order and titles. Failed tasks are named as missing. A single answer to the whole
    question is returned without a call. The answer streams.

    After Self-MoA, Li et al. 2025, https://arxiv.org/abs/2502.00674.

    With `context`, results that exceed it are first summarised in groups, in parallel, and the summaries are merged.
    One level of summaries suffices for hundreds of thousands of tokens; more levels are added if necessary. Costs one
    more call per group, and one more in depth per level. A group whose call fails is omitted, with a note, and the
    result is incomplete.

    Without `context`, results that the model refuses as too long are summarised likewise, in the size that it names;
    if that fails, the longest are shortened, with a note, and the result is incomplete.

    Args:
        model: the merging model; the run's model if None.
        settings: settings of its calls.
        instructions: added at the end of the prompt, such as the format of the answer.
        context: maximum tokens of a prompt; leave room for the answer. If None, as many as the model takes.
    """
    return _Synthesize(model, settings, instructions, context)


def _material(usable: Sequence[TaskResult], ctx: RunContext) -> tuple[list[Material], str]:
    """Return the texts to be merged, and the closing instructions of the prompt."""
    candidates = all(each.task.kind != "part" for each in usable)
    if candidates:
        usable = shuffled(usable, ctx, "synthesize")
    material = [
        Material(f"answer {number}", _body(each, candidates), (each.id,)) for number, each in enumerate(usable, start=1)
    ]
    return material, render("synthesis_candidates" if candidates else "synthesis_parts")


def _question_with(question: str, material: Sequence[Material], ctx: RunContext) -> str:
    """Return the question, followed by the material between fences."""
    texts = [(each.label, each.text) for each in material]
    mark = fence_mark(texts)
    header = render("synthesis_question", question=question)
    return f"{header}\n\n{render('synthesis_material', mark=mark, material=fenced(texts, mark))}"


def _usable_and_missing(seen: Sequence[TaskResult]) -> tuple[list[TaskResult], list[TaskResult]]:
    """Return the results that can be merged and those that are missing, both in the order of their launch.

    A text truncated by a limit or the deadline is usable; the model is told that it is incomplete.
    """
    usable: list[TaskResult] = []
    missing: list[TaskResult] = []
    for each in sorted(seen, key=lambda result: result.index):
        has_text = each.answered or (each.outcome in ("capped", "cancelled") and each.text)
        (usable if has_text else missing).append(each)
    return usable, missing


def _output_sink(ctx: RunContext) -> DeltaSink:
    def on_delta(delta: Delta) -> None:
        ctx.emit(OutputDelta(text=delta.text, reasoning=delta.reasoning, restart=delta.restart))

    return on_delta


def _body(result: TaskResult, candidates: bool) -> str:
    text = result_text(result)
    return text if candidates else f"Task: {result.task.label}\n{text}"


def _heading(result: TaskResult) -> str:
    return result.task.label if result.answered else f"{result.task.label} (incomplete)"


def _unmerged(ctx: RunContext) -> Conclusion:
    """Return the results without merging them, for when there is no time for the call."""
    seen = list(ctx.results.values())
    usable, _ = _usable_and_missing(seen)
    answered = [each for each in usable if each.answered]
    if ctx.output is not None:
        usable = answered
    if not usable:
        raise nothing_answered(seen)
    if ctx.output is not None or usable[0].task.kind != "part":
        return conclusion_of((answered or usable)[0], ctx, complete=False)
    text = "\n\n".join(f"## {_heading(each)}\n\n{each.text.strip()}" for each in usable)
    support = tuple(each.id for each in usable)
    return Conclusion(text=text, images=images_of(usable), support=support, complete=False)
