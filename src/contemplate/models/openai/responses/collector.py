"""Collect a response of the Responses API, whole or event by event."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ....messages import Message
from ....usage import Usage
from ...accounting import plausible
from ...base import Delta, Finish, ModelRequest, ModelResponse
from ..completion import BadCompletion, CutOff, ReportedError, parsed
from ..profile import PLAIN, Profile
from ..reported_usage import ReportedUsage
from ..sse import ErrorEvent
from .output import own_items, read_output

_LAST = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")
_DELTAS = ("response.output_text.delta", "response.refusal.delta")
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
        self._text: list[str] = []
        self._items: dict[int, object] = {}
        self._last: Mapping[str, Any] = {}
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
        if kind in _DELTAS:
            yield from self._delta(event, reasoning=False)
        elif kind in _REASONING_DELTAS:
            yield from self._delta(event, reasoning=True)
        elif kind == "response.output_item.done":
            self._add_item(event)
        elif kind in _LAST and isinstance(event.get("response"), dict):
            self._end(event["response"])
        elif kind is None and "output" in event:
            self._end(event)
        elif not isinstance(kind, str):
            raise BadCompletion("the response is not of the Responses API: it has no output")

    def end(self, *, done: bool = False) -> Iterator[Delta]:
        """Yield what was held back: nothing."""
        return iter(())

    def _delta(self, event: Mapping[str, Any], *, reasoning: bool) -> Iterator[Delta]:
        piece = event.get("delta")
        if not isinstance(piece, str) or not piece:
            return
        self.pieces += 1
        if reasoning:
            yield Delta(reasoning=piece)
        else:
            self._text.append(piece)
            yield Delta(piece)

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
        if self.finish is None:
            raise CutOff("the response ended before it was complete")
        items = self._last.get("output")
        if not isinstance(items, list) or not items:
            # Some servers say it only once, as it is written.
            items = [item for _, item in sorted(self._items.items())]
        output = read_output(items)
        text = output.text or output.refusal or "".join(self._text)
        message = Message.assistant(text, output.calls).model_copy(
            update={"provider_data": own_items(items, self._provider)}
        )
        model = self._last.get("model")
        return ModelResponse(
            message=message,
            finish=self._finish(refused=bool(output.refusal) and not output.text, calls=bool(output.calls)),
            usage=self._usage(message, output.reasoning),
            model=model if isinstance(model, str) else self._model,
            reasoning=output.reasoning,
            logprobs=tuple(output.logprobs) or None,
            notes=tuple(output.notes),
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
