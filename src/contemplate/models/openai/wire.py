"""The chat completions format: requests to JSON, JSON to responses.

Only the fields that are used are decoded; whatever else a server sends is ignored.
https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import to_json

from ...messages import ImagePart, Message, TextPart, ToolCall
from ...usage import Usage
from ..base import Delta, Finish, ModelRequest, ModelResponse, TokenLogprob
from .images import Images
from .schema import strict

CHARACTERS_PER_TOKEN = 4


class _Wire(BaseModel):
    model_config = ConfigDict(extra="ignore", protected_namespaces=())


class _Function(_Wire):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(_Wire):
    index: int = 0
    id: str | None = None
    function: _Function = _Function()


class _Said(_Wire):
    content: str | list[Any] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_ToolCall] | None = None
    images: Any = None


class _TopLogprob(_Wire):
    token: str
    logprob: float


class _Logprob(_TopLogprob):
    top_logprobs: list[_TopLogprob] = []


class _Logprobs(_Wire):
    content: list[_Logprob] | None = None


class _Choice(_Wire):
    message: _Said | None = None
    delta: _Said | None = None
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _InputDetails(_Wire):
    cached_tokens: int | None = None


class _OutputDetails(_Wire):
    reasoning_tokens: int | None = None


class _Usage(_Wire):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    cost: float | None = None


class _Completion(_Wire):
    model: str | None = None
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Any = None


class WireError(ValueError):
    """What the server sent is no chat completion. `server` is True where it reported an error of its own."""

    def __init__(self, message: str, *, server: bool = False) -> None:
        super().__init__(message)
        self.server = server


class BrokenOff(WireError):
    """The response ended before it was complete."""


def encode(request: ModelRequest, *, model: str, stream: bool, is_openai: bool) -> bytes:
    """`request` as the body of a chat completions call, JSON in UTF-8.

    OpenAI itself wants `max_completion_tokens` and strict schemas; other servers know the older name and more of
    JSON Schema.
    """
    settings = request.settings
    body: dict[str, Any] = {"model": model, "messages": [_message(message) for message in request.messages]}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    if settings.max_tokens is not None:
        body["max_completion_tokens" if is_openai else "max_tokens"] = settings.max_tokens
    for name in ("temperature", "top_p", "seed", "stop", "reasoning_effort"):
        value = getattr(settings, name)
        if value is not None:
            body[name] = value
    if settings.logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": settings.logprobs}
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
            }
            for tool in request.tools
        ]
        if request.tool_choice != "auto":
            body["tool_choice"] = request.tool_choice
    if request.output_schema is not None:
        schema = strict(request.output_schema.schema) if is_openai else request.output_schema.schema
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": request.output_schema.name, "schema": schema, "strict": True},
        }
    if settings.extra:
        body |= settings.extra
    return to_json(body)


def _message(message: Message) -> dict[str, Any]:
    said: dict[str, Any] = {"role": message.role}
    if message.role == "user" and message.images:
        said["content"] = [_part(part) for part in message.parts]
    else:
        said["content"] = message.text or (None if message.tool_calls else "")
    if message.tool_calls:
        said["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        said["tool_call_id"] = message.tool_call_id
    return said


def _part(part: TextPart | ImagePart) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    return {"type": "image_url", "image_url": {"url": part.as_url()}}


def decode(body: bytes, request: ModelRequest, *, model: str) -> ModelResponse:
    """A whole, unstreamed response.

    Raises:
        WireError: `body` is no chat completion.
    """
    collected = Collected(request, model=model)
    for _ in collected.add(body):
        pass
    return collected.response()


class Collected:
    """A response that is growing, chunk by chunk; a whole completion is a stream of one chunk.

    `pieces` counts the chunks that brought something of it: text, reasoning, part of a tool's call, an image.
    """

    def __init__(self, request: ModelRequest, *, model: str) -> None:
        self._request = request
        self._model = model
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[int, tuple[str, str, list[str]]] = {}
        self._images = Images()
        self._logprobs: list[TokenLogprob] = []
        self._usage: _Usage | None = None
        self.finish: str | None = None
        self.pieces = 0

    def add(self, body: bytes) -> Iterator[Delta]:
        """Take in one chunk, and yield what it adds.

        Raises:
            WireError: `body` is no (piece of a) chat completion.
        """
        try:
            chunk = _Completion.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "the whole"
            raise WireError(f"the server sent what is no chat completion: {where}: {first['msg']}") from None
        if chunk.error:
            raise WireError(_error_text(chunk.error), server=True)
        self._model = chunk.model or self._model
        self._usage = chunk.usage or self._usage
        if not chunk.choices:
            return
        choice = chunk.choices[0]
        self.finish = choice.finish_reason or self.finish
        if choice.logprobs is not None and choice.logprobs.content:
            self._logprobs.extend(map(_logprob, choice.logprobs.content))
        said = choice.delta or choice.message
        if said is not None:
            yield from self._say(said, whole=choice.delta is None)
        rest = self._images.rest() if self.finish is not None else ""
        if rest:
            self._text.append(rest)
            yield Delta(rest)

    def _say(self, said: _Said, *, whole: bool) -> Iterator[Delta]:
        for place, call in enumerate(said.tool_calls or ()):
            # A whole completion numbers its calls by their place in the list.
            self._tool_call(call, place if whole else call.index)
        self._images.beside(said.images)
        text = self._images.content(said.content) or said.refusal or ""
        reasoning = said.reasoning_content or said.reasoning or ""
        if said.content or text or reasoning or said.tool_calls or said.images:
            self.pieces += 1
        if text or reasoning:
            self._text.append(text)
            self._reasoning.append(reasoning)
            yield Delta(text, reasoning)

    def _tool_call(self, call: _ToolCall, index: int) -> None:
        # Some servers stream every call as number 0, and tell them apart by their ids.
        known = self._calls.get(index)
        slot = index if known is None or not call.id or known[0] == call.id else len(self._calls)
        name, arguments = call.function.name or "", call.function.arguments or ""
        if slot not in self._calls:
            self._calls[slot] = (call.id or f"call_{slot}", name, [arguments])
        else:
            id_, known_name, pieces = self._calls[slot]
            pieces.append(arguments)
            self._calls[slot] = (id_, known_name or name, pieces)

    def response(self) -> ModelResponse:
        """What was collected, as a whole.

        Raises:
            BrokenOff: the response ended before it was complete.
        """
        if self.finish is None:
            raise BrokenOff("the response ended before it was complete")
        text, reasoning = "".join(self._text), "".join(self._reasoning)
        calls = tuple(
            ToolCall(id=id_, name=name, arguments="".join(parts)) for id_, name, parts in self._calls.values()
        )
        finish: Finish = "stop"
        if self.finish in ("length", "content_filter"):
            finish = self.finish  # type: ignore[assignment]
        elif calls:
            finish = "tool_calls"
        return ModelResponse(
            message=Message.assistant(text, calls, tuple(self._images.found)),
            finish=finish,
            usage=self._spent(text, reasoning, calls),
            model=self._model,
            reasoning=reasoning,
            logprobs=tuple(self._logprobs) or None,
            notes=tuple(self._images.notes),
        )

    def _spent(self, text: str, reasoning: str, calls: tuple[ToolCall, ...]) -> Usage:
        reported = self._usage
        if reported is None:
            written = len(text) + len(reasoning) + sum(len(call.arguments) for call in calls)
            return Usage(
                calls=1,
                input_tokens=estimate(self._request),
                output_tokens=-(-written // CHARACTERS_PER_TOKEN),
                cost_usd=None,
            )
        cached = reported.prompt_tokens_details and reported.prompt_tokens_details.cached_tokens
        thought = reported.completion_tokens_details and reported.completion_tokens_details.reasoning_tokens
        return Usage(
            calls=1,
            input_tokens=reported.prompt_tokens,
            cached_input_tokens=cached or 0,
            output_tokens=reported.completion_tokens,
            reasoning_tokens=thought or 0,
            cost_usd=reported.cost,
        )


def estimate(request: ModelRequest) -> int:
    """Roughly how many tokens `request` has, for servers that report no usage."""
    return sum(len(message.text) for message in request.messages) // CHARACTERS_PER_TOKEN + 1


def _logprob(entry: _Logprob) -> TokenLogprob:
    return TokenLogprob(
        token=entry.token,
        logprob=entry.logprob,
        top={other.token: other.logprob for other in entry.top_logprobs},
    )


def _error_text(error: object) -> str:
    if isinstance(error, dict) and isinstance(error.get("message"), str) and error["message"].strip():
        return str(error["message"])
    return "the server reported an error"
