"""The pieces of a streamed response."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic_ai.messages import (
    ModelResponseStreamEvent,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
)

from ...data import to_json_text
from ..base import Delta, OutputSchema


class Deltas:
    """Tells the text and the reasoning in a stream of events.

    Args:
        output: the schema of the answer; where the answer comes as a call of a tool of that name, its arguments are
            text.
    """

    def __init__(self, output: OutputSchema | None) -> None:
        self._output = None if output is None else output.name
        self._answers: set[int] = set()

    def of(self, event: ModelResponseStreamEvent) -> Delta:
        """Return the piece in `event`, which may be empty."""
        if isinstance(event, PartStartEvent):
            part = event.part
            if isinstance(part, TextPart):
                return Delta(part.content)
            if isinstance(part, ThinkingPart):
                return Delta(reasoning=part.content)
            if isinstance(part, ToolCallPart) and part.tool_name == self._output:
                self._answers.add(event.index)
                return Delta(_text(part.args))
        elif isinstance(event, PartDeltaEvent):
            piece = event.delta
            if isinstance(piece, TextPartDelta):
                return Delta(piece.content_delta)
            if isinstance(piece, ThinkingPartDelta):
                return Delta(reasoning=piece.content_delta or "")
            if isinstance(piece, ToolCallPartDelta) and event.index in self._answers:
                return Delta(_text(piece.args_delta))
        return Delta()


def _text(arguments: str | Mapping[str, object] | None) -> str:
    if not arguments:
        return ""
    return arguments if isinstance(arguments, str) else to_json_text(arguments)
