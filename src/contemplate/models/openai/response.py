"""Parse responses in the chat completions format, whole or in pieces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from pydantic import ValidationError

from ...messages import Message, TokenLogprob, ToolCall
from ...usage import Usage
from ..accounting import NOT_REPORTED, plausible
from ..base import Delta, Finish, ModelRequest, ModelResponse
from .completion import (
    BadCompletion,
    Completion,
    CompletionUsage,
    CutOff,
    Logprob,
    MessagePiece,
    ReportedError,
    ToolCallPiece,
)
from .response_images import ResponseImages


def whole_response(body: bytes, request: ModelRequest, *, model: str) -> ModelResponse:
    """Parse the body of a response that was not streamed.

    Raises:
        BadCompletion: `body` is not a chat completion.
    """
    collector = ResponseCollector(request, model=model)
    for _ in collector.add(body):
        pass
    return collector.response()


@dataclass(slots=True)
class _Call:
    id: str
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class ResponseCollector:
    """Collects a response chunk by chunk; a whole completion is a stream of one chunk.

    `pieces` counts the chunks with content: text, reasoning, part of a tool call, or an image.
    """

    def __init__(self, request: ModelRequest, *, model: str) -> None:
        self._request = request
        self._model = model
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[_Call] = []
        self._call_at: dict[int, _Call] = {}
        self._images = ResponseImages()
        self._logprobs: list[TokenLogprob] = []
        self._usage: CompletionUsage | None = None
        self.finish: str | None = None
        self.pieces = 0

    def add(self, body: bytes) -> Iterator[Delta]:
        """Add one chunk, and yield its deltas.

        Raises:
            BadCompletion: `body` is neither a chat completion nor a chunk of one.
        """
        try:
            chunk = Completion.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "the whole body"
            raise BadCompletion(f"the response is not a chat completion: {where}: {first['msg']}") from None
        if chunk.error:
            raise ReportedError(_error_text(chunk.error))
        self._model = chunk.model or self._model
        self._usage = chunk.usage or self._usage
        if not chunk.choices:
            return
        choice = chunk.choices[0]
        self.finish = choice.finish_reason or self.finish
        if choice.logprobs is not None and choice.logprobs.content:
            self._logprobs.extend(map(_logprob, choice.logprobs.content))
        message = choice.delta or choice.message
        if message is not None:
            yield from self._add_message(message, whole=choice.delta is None)
        rest = self._images.rest() if self.finish is not None else ""
        if rest:
            self._text.append(rest)
            yield Delta(rest)

    def _add_message(self, message: MessagePiece, *, whole: bool) -> Iterator[Delta]:
        for place, call in enumerate(message.tool_calls or ()):
            # The calls of a whole completion are identified by their place in the list.
            self._add_tool_call(call, place if whole else call.index)
        self._images.beside(message.images)
        text = self._images.content(message.content) or message.refusal or ""
        reasoning = message.reasoning_content or message.reasoning or ""
        if message.content or text or reasoning or message.tool_calls or message.images:
            self.pieces += 1
        if text or reasoning:
            self._text.append(text)
            self._reasoning.append(reasoning)
            yield Delta(text, reasoning)

    def _add_tool_call(self, piece: ToolCallPiece, index: int) -> None:
        call = self._call_at.get(index)
        # Some servers stream every call with index 0, and distinguish them by id.
        if call is None or (piece.id and call.id != piece.id):
            call = self._call_at[index] = _Call(piece.id or f"call_{len(self._calls)}")
            self._calls.append(call)
        call.name = call.name or piece.function.name or ""
        call.arguments.append(piece.function.arguments or "")

    def response(self) -> ModelResponse:
        """Return the collected response.

        Raises:
            CutOff: the response ended before it was complete.
        """
        if self.finish is None:
            raise CutOff("the response ended before it was complete")
        text, reasoning = "".join(self._text), "".join(self._reasoning)
        calls = tuple(ToolCall(id=each.id, name=each.name, arguments="".join(each.arguments)) for each in self._calls)
        finish: Finish = "stop"
        if self.finish in ("length", "content_filter"):
            finish = self.finish  # type: ignore[assignment]
        elif calls:
            finish = "tool_calls"
        return ModelResponse(
            message=Message.assistant(text, calls, tuple(self._images.found)),
            finish=finish,
            usage=self._total_usage(text, reasoning, calls),
            model=self._model,
            reasoning=reasoning,
            logprobs=tuple(self._logprobs) or None,
            notes=tuple(self._images.notes),
        )

    def _total_usage(self, text: str, reasoning: str, calls: tuple[ToolCall, ...]) -> Usage:
        reported = self._usage or CompletionUsage()
        read, written = reported.prompt_tokens_details, reported.completion_tokens_details
        usage = Usage(
            calls=1,
            # No prompt is empty, and no text took no tokens.
            input_tokens=reported.prompt_tokens or NOT_REPORTED,
            cached_input_tokens=(read and read.cached_tokens) or 0,
            output_tokens=reported.completion_tokens or NOT_REPORTED,
            reasoning_tokens=(written and written.reasoning_tokens) or 0,
            cost_usd=reported.cost,
        )
        return plausible(usage, self._request, Message.assistant(text, calls), reasoning)


def _logprob(entry: Logprob) -> TokenLogprob:
    return TokenLogprob(
        token=entry.token,
        logprob=entry.logprob,
        top={other.token: other.logprob for other in entry.top_logprobs},
    )


def _error_text(error: object) -> str:
    if isinstance(error, dict) and isinstance(error.get("message"), str) and error["message"].strip():
        return str(error["message"])
    return "the server reported an error"
