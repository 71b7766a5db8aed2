"""Merge all results into one answer with a model call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..agents.output import parse_with_repair, with_schema
from ..agents.withheld_answers import check_given
from ..arguments import checked_arguments
from ..errors import AggregationError, ConfigurationError, LimitExceeded, ModelContextError, ModelError
from ..models import Model, ModelRequest, ModelResponse
from ..models.tokens import request_tokens, text_tokens
from ..prompts import Prompts, fence_mark, fenced
from ..prompts.results import result_text
from ..result import Conclusion, TaskResult
from ..run.context import RunContext
from ..run.context_windows import room_after
from ..settings import ModelSettings
from .citations import citations_in
from .conclusions import conclusion_of, images_of, nothing_answered, shuffled
from .hierarchical_summary import FENCE_TOKENS, MIN_ROOM_TOKENS, Material, Summarise, calls_for, condense, shorten
from .open_points import (
    Point,
    PointsOrAnswer,
    answer_in,
    asked_before,
    form_for,
    is_answer_so_far,
    points_in,
    tasks_for,
)
from .output_stream import OutputStream

MAX_REPAIRS = 2
TOKENS_PER_WORD = 2
LEAST_TOKENS_OF_EACH = 2 * FENCE_TOKENS
# One that names points, one for a point, and one to conclude.
CALLS_TO_ASK = 3


@dataclass(frozen=True)
class _Prompt:
    """What a merging model is shown: results, what came of open points, and how many more it may name."""

    question: str
    material: Sequence[Material]
    closing: str
    missing: Sequence[TaskResult]
    found: Sequence[Material] = ()
    asks: int = 0


class _Synthesize:
    def __init__(
        self,
        model: str | Model | None,
        settings: ModelSettings | None,
        instructions: str | None,
        context: int | None,
        ask_again: int,
        ask_instructions: str | None,
        cite: bool,
    ) -> None:
        if context is None:
            self.model_calls = 2 if ask_again else 1
        if ask_again:
            self.more_tasks = ask_again
        self._cite = cite or None
        self._ask_again = ask_again or None
        self._ask_instructions = ask_instructions
        self.models = (model,)
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
        stream = OutputStream(ctx)
        results = asked_before(ctx)
        prompt = _Prompt(question, *_material(usable, ctx), missing, _found(results, ctx.prompts))
        if self._context is not None:
            prompt = await self._condensed(prompt, self._room(prompt, ctx), ctx)
        fitted = self._fitted(prompt, ctx)
        if fitted is None:
            return _unmerged(ctx)
        cut = fitted is not prompt
        if not (cut or results) and self._may_ask(fitted, ctx):
            fitted = replace(fitted, asks=self._ask_again or 0)
        prompt, output, response = await self._answer(fitted, stream, ctx)
        text = response.message.text
        if prompt.asks:
            points, text, output = _points_or_answer(text, output)
            if points is None:
                stream.show(text)
            else:
                if output is not None:
                    early = Conclusion(text=text, output=output, complete=False)
                    ctx.offer(lambda: early)
                results = await self._looked_into(points, prompt, ctx)
                prompt = replace(prompt, asks=0, found=_found(results, ctx.prompts))
                fitted = self._fitted(prompt, ctx)
                if fitted is None:
                    return _unmerged(ctx)
                cut = fitted is not prompt
                prompt, output, response = await self._answer(fitted, stream, ctx)
                text = response.message.text
        if not (text.strip() or response.message.images):
            raise AggregationError(f"the merged answer is empty (finish reason: {response.finish})")
        read = {task for each in (*prompt.material, *prompt.found) for task in each.tasks}
        usable = [*usable, *(each for each in results if each.answered)]
        complete = not missing and all(each.answered and each.id in read for each in (*usable, *results))
        return Conclusion(
            text=text,
            output=output,
            images=response.message.images or images_of(each for each in usable if each.id in read),
            support=tuple(each.id for each in usable if each.id in read),
            complete=complete and not cut and response.finish != "length",
            citations=citations_in(text, prompt.material, prompt.found, ctx) if self._cites(ctx) else (),
        )

    def _cites(self, ctx: RunContext) -> bool:
        """Return whether the answer is to say on what it rests; a value of a type has no place for that."""
        return bool(self._cite) and ctx.output is None

    def _fitted(self, prompt: _Prompt, ctx: RunContext) -> _Prompt | None:
        """Return `prompt` with what the limits leave room for; None, with a note, if that is too little."""
        around = self._around_tokens(prompt, ctx)
        texts = [*prompt.material, *prompt.found]
        length = sum(each.tokens for each in texts)
        room = ctx.prompt_room("aggregator", around + length) - around
        if room >= length:
            return prompt
        if room < LEAST_TOKENS_OF_EACH * len(texts):
            ctx.note("the limits leave no room for merging the results; they stand side by side")
            return None
        ctx.note("the limits leave no room for all that the results say; the longest of them are merged shortened")
        texts = shorten(texts, room, ctx.prompts)
        count = len(prompt.material)
        return replace(prompt, material=texts[:count], found=texts[count:])

    def _may_ask(self, prompt: _Prompt, ctx: RunContext) -> bool:
        """Return whether the limits leave room for a point to be asked again, and for a second merging call."""
        if not self._ask_again or ctx.parent_run_id is not None:
            return False
        wanted = CALLS_TO_ASK * (self._around_tokens(prompt, ctx) + sum(each.tokens for each in prompt.material))
        # That nothing is asked again is no limit reached.
        if ctx.tasks_left >= 1 and ctx.calls_left >= CALLS_TO_ASK - 1 and ctx.prompt_room("aggregator", 0) >= wanted:
            return True
        ctx.note("the limits leave no room for asking again what the results leave open")
        return False

    async def _looked_into(self, points: Sequence[Point], prompt: _Prompt, ctx: RunContext) -> list[TaskResult]:
        most = min(self._ask_again or 0, ctx.tasks_left, max(1, ctx.calls_left))
        tasks = tasks_for(points, most, prompt.material, self._ask_instructions, ctx)
        if not tasks:
            ctx.note("what was named as open says nothing new; the answer is asked for without it")
        return list(await ctx.run_tasks(tasks))

    async def _answer(
        self, prompt: _Prompt, stream: OutputStream, ctx: RunContext
    ) -> tuple[_Prompt, Any, ModelResponse]:
        """Ask for the answer; return the prompt that fitted, the value if there is a type for it, and the response."""
        form = ctx.output
        holds = None
        if prompt.asks:
            form = None if form is None else form_for(form)
            # The form of a value is not that of the answer.
            holds = is_answer_so_far if form is None else lambda _: False

        async def ask(request: ModelRequest, *, whole: bool = False) -> ModelResponse:
            on_delta = stream.begin(holds)
            return await ctx.call("aggregator", request, model=self._model, on_delta=on_delta, whole=whole)

        request = with_schema(self._request(prompt, ctx), form)
        try:
            response = await ask(request, whole=True)
        except ModelContextError as error:
            room = room_after(error, request) - self._around(prompt, ctx)
            prompt = await self._condensed_to_fit(prompt, room, ctx)
            request = with_schema(self._request(prompt, ctx), form)
            response = await ask(request)
        check_given(response)
        if form is None:
            return prompt, None, response
        output, response = await parse_with_repair(
            response, request, ask, form, repairs=MAX_REPAIRS, prompts=ctx.prompts
        )
        return prompt, output, response

    async def _condensed(self, prompt: _Prompt, room: int, ctx: RunContext) -> _Prompt:
        """Return `prompt` with its material, or with summaries of it that fit into `room` tokens."""
        condensed = await condense(prompt.material, room, self._summariser(prompt.question, ctx))
        if condensed == prompt.material:
            return prompt
        return replace(prompt, material=condensed, closing=ctx.prompts.render("synthesis_summaries"))

    async def _condensed_to_fit(self, prompt: _Prompt, room: int, ctx: RunContext) -> _Prompt:
        """Condense what the model refused; what cannot be summarised stays as it is, to be shortened."""
        try:
            if room < MIN_ROOM_TOKENS:
                raise AggregationError("the question leaves no room for summaries")
            if calls_for(prompt.material, room) >= ctx.calls_left:
                raise AggregationError("the limits leave no calls for summaries")
            condensed = await self._condensed(prompt, room, ctx)
        except (AggregationError, LimitExceeded) as error:
            ctx.note(f"the results do not fit into the context, and cannot be summarised: {error.message}")
            return prompt
        ctx.note("the results do not fit into the context; they are summarised, and the summaries merged")
        return condensed

    def _request(self, prompt: _Prompt, ctx: RunContext) -> ModelRequest:
        prompts = ctx.prompts
        parts = [_question_with(prompt.question, prompt.material, prompts)]
        if prompt.found:
            mark, found = _fenced(prompt.found)
            parts.append(prompts.render("synthesis_found", mark=mark, found=found))
        if prompt.missing:
            missing = "; ".join(each.task.label for each in prompt.missing)
            parts.append(prompts.render("synthesis_missing", missing=missing))
        parts.append(prompt.closing)
        if self._cites(ctx):
            parts.append(prompts.render("synthesis_cite"))
            if prompt.found:
                parts.append(prompts.render("synthesis_cite_found"))
        if self._instructions:
            parts.append(self._instructions)
        if prompt.asks:
            name = "synthesis_ask" if ctx.output is None else "synthesis_ask_in_form"
            parts.append(prompts.render(name, most=str(prompt.asks)))
        messages = ctx.opening("aggregator", prompts.render("synthesis"), "\n\n".join(parts))
        return ModelRequest(messages, ctx.settings_for_answer(self._settings))

    def _room(self, prompt: _Prompt, ctx: RunContext) -> int:
        """Return the tokens left for material in the longer of the two prompts."""
        room = (self._context or 0) - self._around(prompt, ctx)
        if room < MIN_ROOM_TOKENS:
            raise ConfigurationError(
                f"synthesize(context={self._context}) leaves no room for the results after the question",
                hint=f"give at least {(self._context or 0) - room + MIN_ROOM_TOKENS}",
            )
        return room

    def _around(self, prompt: _Prompt, ctx: RunContext) -> int:
        """Return the tokens of the longer of the two prompts without material."""
        request = with_schema(self._request(replace(prompt, material=()), ctx), ctx.output)
        requests = request, self._summary_request(prompt.question, (), 1, ctx)
        return max(_tokens(each, ctx) for each in requests)

    def _around_tokens(self, prompt: _Prompt, ctx: RunContext) -> int:
        """Return the tokens of the merging prompt without material and without what was found."""
        bare = self._request(replace(prompt, material=(), found=()), ctx)
        return _tokens(with_schema(bare, ctx.output), ctx)

    def _summary_request(
        self, question: str, material: Sequence[Material], tokens: int, ctx: RunContext
    ) -> ModelRequest:
        length = ctx.prompts.render("synthesis_summary_length", words=str(tokens // TOKENS_PER_WORD))
        asked = f"{_question_with(question, material, ctx.prompts)}\n\n{length}"
        messages = ctx.opening("aggregator", ctx.prompts.render("synthesis_summary"), asked)
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
    ask_again: int = 0,
    ask_instructions: str | None = None,
    cite: bool = False,
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

    With `ask_again`, the model may name points that the results leave open or in conflict, instead of an answer. They
    become tasks of the run, which see the results that they are about, and the model concludes after them. If it names
    none, that costs nothing; else a call for each point and one more to conclude, of depth two. Nothing is asked again
    where the limits leave no room for it, with a note.

    With `cite`, the model marks each sentence with the numbers of the texts on which it rests, such as [1, 3], and
    `result.citations` says which tasks these are. The marks stay in the text, as it streams; `result.uncited` is the
    text without them. Numbers that no text has are dropped, with a note. Answers of an output type cite nothing.

    Args:
        model: the merging model; the run's model if None.
        settings: settings of its calls.
        instructions: added at the end of the prompt, such as the format of the answer.
        context: maximum tokens of a prompt; leave room for the answer. If None, as many as the model takes.
        ask_again: maximum number of points.
        ask_instructions: added to the tasks for points, such as how long their answers may be.
        cite: whether the answer says on which tasks its sentences rest.

    Raises:
        ConfigurationError: `ask_again` is negative.
    """
    if ask_again < 0:
        raise ConfigurationError(f"synthesize({ask_again=}): it must be at least 0")
    return _Synthesize(model, settings, instructions, context, ask_again, ask_instructions, cite)


def _material(usable: Sequence[TaskResult], ctx: RunContext) -> tuple[list[Material], str]:
    """Return the texts to be merged, and the closing instructions of the prompt."""
    candidates = all(each.task.kind != "part" for each in usable)
    if candidates:
        usable = shuffled(usable, ctx, "synthesize")
    material = [
        Material(f"answer {number}", _body(each, candidates, ctx.prompts), (each.id,))
        for number, each in enumerate(usable, start=1)
    ]
    return material, ctx.prompts.render("synthesis_candidates" if candidates else "synthesis_parts")


def _question_with(question: str, material: Sequence[Material], prompts: Prompts) -> str:
    """Return the question, followed by the material between fences."""
    mark, texts = _fenced(material)
    header = prompts.render("synthesis_question", question=question)
    return f"{header}\n\n{prompts.render('synthesis_material', mark=mark, material=texts)}"


def _fenced(material: Sequence[Material]) -> tuple[str, str]:
    """Return the mark of the fences around texts, and the texts between them."""
    texts = [(each.label, each.text) for each in material]
    mark = fence_mark(texts)
    return mark, fenced(texts, mark)


def _found(results: Sequence[TaskResult], prompts: Prompts) -> list[Material]:
    """Return what came of points that were asked again."""
    return [
        Material(f"point {number}", f"Task: {each.task.prompt}\n{result_text(each, prompts)}", (each.id,))
        for number, each in enumerate(results, start=1)
    ]


def _points_or_answer(text: str, output: Any) -> tuple[Sequence[Point] | None, str, Any]:
    """Return the points that a merging model names, or None; and its answer, as text and as a value."""
    if isinstance(output, PointsOrAnswer):
        return output.points or None, answer_in(text), output.answer
    return points_in(text), text, None


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


def _tokens(request: ModelRequest, ctx: RunContext) -> int:
    """Return the tokens of a prompt, with the instructions that are added to it."""
    return request_tokens(request) + text_tokens(ctx.instructions.get("aggregator", ""))


def _body(result: TaskResult, candidates: bool, prompts: Prompts) -> str:
    text = result_text(result, prompts)
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
