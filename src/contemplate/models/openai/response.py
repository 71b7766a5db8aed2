"""Read responses in the chat completions format, whole or in pieces.

They are read field by field. Only the text, tool calls, finish and error can fail; what else cannot be read is dropped
with a note, as no answer is lost for what stands beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ...messages import TokenLogprob
from ..accounting import plausible
from ..base import Delta, Finish, ModelRequest, ModelResponse
from .completion import BadCompletion, CutOff, GivenUp, ReportedError, bad, parsed, whole_number
from .error_body import is_error
from .finish_reasons import ended
from .logprobs import read_logprobs, tokens_of
from .message_pieces import MessagePieces
from .profile import PLAIN, Profile
from .reported_usage import ReportedUsage
from .schema_forms import callable_tools
from .sse import ErrorEvent

# Words in a stream that are no JSON and mean nothing, such as "ping".
_STRAY = re.compile(rb'["\w .:-]{0,40}|\[DONE\]')


def whole_response(
    body: bytes, request: ModelRequest, *, model: str, provider: str = "", profile: Profile = PLAIN
) -> ModelResponse:
    """Read the body of a response that was not streamed.

    Raises:
        BadCompletion: `body` is not a chat completion.
    """
    collector = ResponseCollector(request, model=model, provider=provider, profile=profile)
    for _ in collector.add_value(parsed(body)):
        pass
    return collector.response()


class ResponseCollector:
    """Collects a response chunk by chunk; a whole completion is a stream of one chunk.

    Args:
        request: what is answered.
        model: the name of the model, until the server tells it.
        provider: the endpoint, to which opaque fields go back.
        profile: how the endpoint answers.
    """

    # What follows the finish may be the usage; the end is told by a word of its own.
    is_over = False

    def __init__(self, request: ModelRequest, *, model: str, provider: str = "", profile: Profile = PLAIN) -> None:
        self._request = request
        self._model = model
        self._provider = provider
        self._profile = profile
        self._message = MessagePieces(callable_tools(request, profile))
        self._logprobs: list[TokenLogprob] = []
        self._usage = ReportedUsage()
        self._finish: object = None
        self._notes: dict[str, None] = {}
        self._in_deltas = False

    @property
    def pieces(self) -> int:
        """The number of chunks with content: text, reasoning, part of a tool call, or an image."""
        return self._message.count

    def add(self, body: bytes) -> Iterator[Delta]:
        """Add one chunk of a stream, and yield its deltas.

        Raises:
            BadCompletion: `body` is neither a chunk of a chat completion, nor a word such as "ping".
        """
        if body[:1] != b"{" or isinstance(body, ErrorEvent):
            return self._add_other(body)
        try:
            return self.add_value(parsed(body, errors="replace"))
        except BadCompletion:
            if b"\n" not in body:
                raise
            # Some servers put one line end between events, which makes a single one of them.
            return self._each_line(body)

    def add_value(self, chunk: Any) -> Iterator[Delta]:
        """Add one chunk that has been parsed, and yield its deltas.

        Raises:
            BadCompletion: it is neither a chat completion nor a chunk of one.
        """
        choice = self._choice(chunk)
        if choice is None:
            return
        finish = choice.get("finish_reason") or choice.get("finishReason")
        if finish and finish != "null":
            self._finish = finish
        if "usage" in choice:
            self._usage.add(choice)
        logprobs = () if choice.get("logprobs") is None else self._add_logprobs(choice["logprobs"])
        delta = choice.get("delta")
        if isinstance(delta, dict):
            self._in_deltas = True
            yield from _with_logprobs(self._message.add(delta), logprobs)
        else:
            yield from self._add_whole(choice)
        if self._finish is not None:
            yield from self._message.end()

    def end(self, *, done: bool = False) -> Iterator[Delta]:
        """Yield what was held back, at the end of the response. `done`: the server said that this is the end."""
        yield from self._message.end()
        if self._finish is None and (done or not self._in_deltas) and not self._message.is_empty:
            self._finish = "stop"

    def response(self) -> ModelResponse:
        """Return the collected response.

        Raises:
            CutOff: the response ended before it was complete.
            GivenUp: the server gave it up.
        """
        for _ in self.end():
            pass
        if self._finish is None:
            raise CutOff("the response ended before it was complete")
        message = self._message.message(
            self._provider,
            f"call_{len(self._request.messages)}",
            with_reasoning=self._profile.reasoning_back == "all",
        )
        finish = self._how_it_ended(calls=bool(message.tool_calls))
        usage, reasoning = self._usage.usage(reasoning_apart=self._profile.reasoning_apart), self._message.reasoning
        return ModelResponse(
            message=message,
            finish=finish,
            usage=plausible(usage, self._request, message, reasoning),
            model=self._model,
            reasoning=reasoning,
            logprobs=tokens_of(message.text, self._logprobs) if self._logprobs else None,
            notes=(*self._message.notes(), *self._usage.notes(), *self._notes),
        )

    def _add_other(self, body: bytes) -> Iterator[Delta]:
        if isinstance(body, ErrorEvent):
            raise ReportedError(bytes(body))
        body = body.strip()
        return iter(()) if _STRAY.fullmatch(body) else self.add_value(parsed(body, errors="replace"))

    def _each_line(self, body: bytes) -> Iterator[Delta]:
        for line in body.split(b"\n"):
            yield from self.add(line)

    def _choice(self, chunk: Any) -> dict[str, Any] | None:
        """Read what stands around the choices, and return the one that was asked for; others are ignored."""
        if not isinstance(chunk, dict) or not chunk.get("choices") or chunk.get("error"):
            if is_error(chunk):
                raise ReportedError(chunk)
            if not isinstance(chunk, dict):
                raise bad("the whole body", "it should be an object")
        model = chunk.get("model")
        if model and isinstance(model, str):
            self._model = model
        self._usage.add(chunk)
        choices = chunk.get("choices")
        if choices is not None and not isinstance(choices, list):
            raise bad("choices", "it should be a list")
        for choice in choices or ():
            if not isinstance(choice, dict):
                raise bad("choices.0", "it should be an object")
            if not (index := choice.get("index")) or not whole_number(index):
                if choice.get("error"):
                    raise ReportedError(choice)
                return choice
        return None

    def _add_whole(self, choice: dict[str, Any]) -> Iterator[Delta]:
        message, text = choice.get("message"), choice.get("text")
        if isinstance(message, dict):
            return self._message.add_again(message) if self._in_deltas else self._message.add(message, whole=True)
        if message is not None or choice.get("delta") is not None:
            raise bad("choices.0.message", "it should be an object")
        return self._message.add({"content": text})

    def _add_logprobs(self, logprobs: object) -> tuple[TokenLogprob, ...]:
        try:
            found = tuple(read_logprobs(logprobs))
        except ValueError as error:
            self._notes[f"{error}; they were dropped"] = None
            return ()
        self._logprobs.extend(found)
        return found

    def _how_it_ended(self, *, calls: bool) -> Finish:
        meaning = ended(self._finish)
        if meaning == "failed":
            raise GivenUp(f"the server gave up its answer (finish reason: {self._finish!r:.60})")
        if meaning is None:
            note = f"the finish reason {self._finish!r:.60} is not known; the answer is taken as complete"
            self._notes[note] = None
        if self._message.refused or meaning == "refusal":
            return "refusal"
        if meaning in ("length", "content_filter"):
            return meaning
        return "tool_calls" if calls else "stop"


def _with_logprobs(deltas: Iterator[Delta], logprobs: tuple[TokenLogprob, ...]) -> Iterator[Delta]:
    """Yield `deltas`, and the tokens that they are of, unless those are thoughts, which are not part of the answer."""
    thinks = False
    for delta in deltas:
        thinks = thinks or bool(delta.reasoning)
        yield delta
    if logprobs and not thinks:
        yield Delta(logprobs=logprobs)
