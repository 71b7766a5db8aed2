"""Collect a response of the Responses API, whole or event by event."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from pydantic_core import to_json

from ....messages import Message, ToolCall
from ....usage import Usage
from ...accounting import plausible
from ...base import Delta, Finish, ModelRequest, ModelResponse
from ..answer_text import UNCLOSED, AnswerText
from ..completion import BadCompletion, CutOff, ReportedError, parsed
from ..logprobs import read_logprobs, tokens_of
from ..profile import PLAIN, Profile
from ..reported_usage import ReportedUsage
from ..schema_forms import callable_tools
from ..sse import ErrorEvent
from .output import Output, own_items, read_output

_LAST = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")
_TEXT_DELTA, _REFUSAL_DELTA = "response.output_text.delta", "response.refusal.delta"
_REASONING_DELTAS = ("response.reasoning_summary_text.delta", "response.reasoning_text.delta")
_FAILED = ("failed", "cancelled")
# Words in a stream that are no events and mean nothing.
_STRAY = (b"", b"ping", b"[DONE]")


class ResponsesCollector:
    """Collects a response event by event; a whole one is its own last event.

    Attributes:
        finish: the status of the response, once it is known.
        pieces: how many events had content.
    """

    def __init__(self, request: ModelRequest, *, model: str, provider: str = "", profile: Profile = PLAIN) -> None:
        self._request = request
        self._model = model
        self._provider = provider
        self._tools = callable_tools(request, profile)
        self._said = AnswerText(self._tools)
        self._written: list[str] = []
        self._text: list[str] = []
        self._declined: list[str] = []
        self._summary: list[str] = []
        self._thoughts: list[str] = []
        self._items: dict[int, object] = {}
        self._last: Mapping[str, Any] = {}
        self._output: Output | None = None
        self.finish: str | None = None
        self.pieces = 0

    @property
    def is_over(self) -> bool:
        """Whether the last event was there."""
        return self.finish is not None

    def add(self, body: bytes) -> Iterator[Delta]:
        """Add one event, and yield its deltas.

        Raises:
            BadCompletion: `body` is none.
            ReportedError: it says that the call failed.
        """
        if isinstance(body, ErrorEvent):
            raise ReportedError(bytes(body))
        return iter(()) if body.strip() in _STRAY else self.add_value(parsed(body, errors="replace"))

    def add_value(self, event: Any) -> Iterator[Delta]:
        """Add one event, or a whole response, that has been parsed, and yield its deltas.

        Raises:
            BadCompletion: it is neither.
            ReportedError: it says that the call failed.
        """
        if not isinstance(event, dict):
            raise BadCompletion("the response is not of the Responses API: it is not an object")
        kind = event.get("type")
        if kind == "error" or (kind is None and event.get("error") and "output" not in event):
            raise ReportedError(event)
        piece = event.get("delta")
        if isinstance(piece, str) and piece and kind in (_TEXT_DELTA, _REFUSAL_DELTA, *_REASONING_DELTAS):
            self.pieces += 1
            if kind == _TEXT_DELTA:
                yield from self._add_text(piece)
                yield from _logprobs(event)
            elif kind == _REFUSAL_DELTA:
                self._declined.append(piece)
                yield Delta(piece)
            else:
                self._summary.append(piece)
                yield Delta(reasoning=piece)
        elif kind == "response.output_item.done":
            self._add_item(event)
        elif kind in _LAST and isinstance(event.get("response"), dict):
            self._end(event["response"])
        elif kind is None and "output" in event:
            self._end(event)
        elif not isinstance(kind, str):
            raise BadCompletion("the response is not of the Responses API: it has no output")

    def end(self, *, done: bool = False) -> Iterator[Delta]:
        """Yield what was held back, or never streamed, at the end."""
        if self.finish is None:
            yield from self._keep(self._said.end(elsewhere=False))
        elif self._output is None:
            self._output = read_output(self._all_items())
            yield from self._add_rest(self._output.text)
            yield from self._keep(self._said.end(elsewhere=bool(self._output.calls)))

    def _add_text(self, text: str) -> Iterator[Delta]:
        self._written.append(text)
        return self._keep(self._said.add(text))

    def _add_rest(self, text: str) -> Iterator[Delta]:
        """Add what the whole text has beyond its pieces."""
        before = "".join(self._written)
        if text and not text.startswith(before):
            self._said, before = AnswerText(self._tools), ""
            self._text.clear()
            self._thoughts.clear()
            yield Delta(restart=True)
        if rest := text[len(before) :]:
            yield from self._add_text(rest)

    def _keep(self, deltas: Iterator[Delta]) -> Iterator[Delta]:
        for delta in deltas:
            yield delta
            if delta.restart:
                self._text.clear()
                if earlier := "".join((*self._summary, *self._thoughts)):
                    yield Delta(reasoning=earlier)
            self._text.append(delta.text)
            self._thoughts.append(delta.reasoning)

    def _all_items(self) -> list[object]:
        """Return the items of the output, which some servers say only once, as they are written."""
        items = self._last.get("output")
        return items if isinstance(items, list) and items else [item for _, item in sorted(self._items.items())]

    def _add_item(self, event: Mapping[str, Any]) -> None:
        self.pieces += 1
        place = event.get("output_index")
        self._items[place if isinstance(place, int) else len(self._items)] = event.get("item")

    def _end(self, response: Mapping[str, Any]) -> None:
        self._last = response
        status = response.get("status")
        self.finish = status if isinstance(status, str) else "completed"
        if self.finish in _FAILED:
            raise ReportedError({"error": response.get("error") or f"the response is {self.finish}"})

    def response(self) -> ModelResponse:
        """Return the collected response.

        Raises:
            CutOff: it ended before it was complete.
        """
        for _ in self.end():
            pass
        if self._output is None:
            raise CutOff("the response ended before it was complete")
        output, thoughts = self._output, "".join(self._thoughts)
        text = "".join(self._text) or output.refusal or "".join(self._declined)
        prefix = f"call_{len(self._request.messages)}"
        calls = output.calls or tuple(
            ToolCall(id=f"{prefix}_{number}", name=name, arguments=to_json(arguments).decode())
            for number, (name, arguments) in enumerate(self._said.calls)
        )
        reasoning = "\n\n".join(each for each in (output.reasoning, thoughts) if each)
        message = Message.assistant(text, calls).model_copy(
            update={"provider_data": own_items(self._all_items(), self._provider)}
        )
        model = self._last.get("model")
        return ModelResponse(
            message=message,
            finish=self._finish(refused=bool(output.refusal) and not output.text, calls=bool(calls)),
            usage=self._usage(message, reasoning),
            model=model if isinstance(model, str) else self._model,
            reasoning=reasoning,
            logprobs=tokens_of(message.text, output.logprobs) if output.logprobs else None,
            notes=(*output.notes, UNCLOSED) if self._said.unclosed and not text else tuple(output.notes),
        )

    def _finish(self, *, refused: bool, calls: bool) -> Finish:
        if self.finish == "incomplete":
            details = self._last.get("incomplete_details")
            filtered = isinstance(details, dict) and details.get("reason") == "content_filter"
            return "content_filter" if filtered else "length"
        if refused:
            return "refusal"
        return "tool_calls" if calls else "stop"

    def _usage(self, message: Message, reasoning: str) -> Usage:
        reported = ReportedUsage()
        reported.add(dict(self._last))
        return plausible(reported.usage(reasoning_apart=False), self._request, message, reasoning)


def _logprobs(event: Mapping[str, Any]) -> Iterator[Delta]:
    """Yield the tokens of a piece of text; none if they cannot be read, as the whole answer has them again."""
    with suppress(ValueError):
        if tokens := tuple(read_logprobs({"content": event.get("logprobs")})):
            yield Delta(logprobs=tokens)
