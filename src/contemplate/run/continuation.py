"""Answers that were cut off by their share of a limit, and go on when it is known what the others leave."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from time import perf_counter

from ..errors import JournalError, LimitExceeded, error_info
from ..messages import Message, TextPart
from ..models import Delta, DeltaSink, ModelRequest, ModelResponse
from ..models.accounting import accounted
from ..models.tokens import MESSAGE_TOKENS, text_tokens
from ..usage import Usage
from .shares import MIN_OUTPUT_TOKENS, More

MAX_CONTINUATIONS = 3

Call = Callable[[ModelRequest, DeltaSink | None, More | None], Awaitable[ModelResponse]]
OnCut = Callable[[ModelResponse], None]


async def whole_answer(
    call: Call, request: ModelRequest, on_delta: DeltaSink | None, on_cut: OnCut | None
) -> ModelResponse:
    """Return the answer to `request`; while a limit cuts it off, go on with it as long as there is room.

    A text is continued. What cannot be, such as typed output, is asked for again, with more room.

    Args:
        call: makes one call.
        request: the request.
        on_delta: receives each delta as it arrives.
        on_cut: receives each answer that was cut off, before more is waited for.

    Raises:
        ModelError: the first call failed.
        LimitExceeded: the limits did not allow it.
    """
    started = perf_counter()
    answer = last = await call(request, on_delta, None)
    for _ in range(MAX_CONTINUATIONS):
        if answer.capped_by is None:
            break
        if on_cut is not None:
            on_cut(answer)
        asked, room = _asked(request, answer, accounted(last, request), perf_counter() - started)
        goes_on = asked is not request
        sink = None if on_delta is None else _Sink(on_delta, answer.message.text if goes_on else "")
        started = perf_counter()
        try:
            last = await call(asked, sink, room)
        except LimitExceeded:
            break
        except JournalError:
            raise
        except Exception as error:
            # Whatever a model raises: what is there was paid for.
            if sink is not None:
                sink.restore(answer.message.text)
            return _noted(answer, f"an answer was cut off, and going on with it failed: {error_info(error).message}")
        answer = _joined(answer, last) if goes_on else last.model_copy(update={"usage": answer.usage + last.usage})
    return answer


def _asked(request: ModelRequest, answer: ModelResponse, used: Usage, seconds: float) -> tuple[ModelRequest, More]:
    """Return what to ask to go on with an answer, and what that needs.

    Args:
        request: the request that it answers; returned if it can only be asked for again.
        answer: the answer so far.
        used: the usage of the last call.
        seconds: how long it took.
    """
    written = used.output_tokens
    if not answer.message.text.strip() or request.output_schema is not None or answer.message.tool_calls:
        return request, More(written + MIN_OUTPUT_TOKENS, 2 * written, used.input_tokens, again=True, seconds=seconds)
    settings = request.settings
    if settings.max_tokens is not None:
        left = settings.max_tokens - accounted(answer, request).output_tokens
        settings = settings.model_copy(update={"max_tokens": max(1, left)})
    said = Message.user(request.prompts.render("continue_answer"))
    asked = replace(request, messages=(*request.messages, answer.message, said), settings=settings)
    prompt = used.total_tokens + text_tokens(said.text) + 2 * MESSAGE_TOKENS
    return asked, More(MIN_OUTPUT_TOKENS, written, prompt, again=False, seconds=seconds)


def _noted(answer: ModelResponse, note: str) -> ModelResponse:
    return answer.model_copy(update={"notes": (*answer.notes, note)})


def _joined(response: ModelResponse, more: ModelResponse) -> ModelResponse:
    """Return one response for an answer and its continuation."""
    text = TextPart(text=response.message.text + more.message.text)
    others = [part for part in (*response.message.parts, *more.message.parts) if not isinstance(part, TextPart)]
    both = response.logprobs is not None and more.logprobs is not None
    return more.model_copy(
        update={
            "message": more.message.model_copy(update={"parts": (text, *others)}),
            "usage": response.usage + more.usage,
            "reasoning": response.reasoning + more.reasoning,
            "logprobs": (*(response.logprobs or ()), *(more.logprobs or ())) if both else None,
            "notes": (*response.notes, *more.notes),
            "shortened": response.shortened or more.shortened,
        }
    )


class _Sink:
    """Passes on the deltas of a call that goes on with `kept`; without that, it begins anew."""

    def __init__(self, on_delta: DeltaSink, kept: str) -> None:
        self._used = False
        self._on_delta = on_delta
        self._kept = kept

    def __call__(self, delta: Delta) -> None:
        if delta.restart or not (self._used or self._kept):
            self._on_delta(replace(delta, restart=True, text=self._kept + delta.text))
        else:
            self._on_delta(delta)
        self._used = True

    def restore(self, text: str) -> None:
        """Pass on `text` instead of what was passed on."""
        if self._used:
            self._on_delta(Delta(text, restart=True))
