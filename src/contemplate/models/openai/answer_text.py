"""The text of one answer without the thoughts and the tool calls that a model wrote into it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..base import Delta, JsonSchema
from .calls_in_text import Found, ToolCallsInText
from .thoughts import Thoughts

UNCLOSED = "the model's thoughts did not end, so that there is no answer"


class AnswerText:
    """Splits the text of one answer, in pieces of any size, into thoughts, tool calls and text.

    Args:
        tools: the tools that may be called, and the schemas of their parameters.

    Attributes:
        calls: the calls, once the end is read.
    """

    def __init__(self, tools: Mapping[str, JsonSchema]) -> None:
        self.calls: list[Found] = []
        self._thoughts = Thoughts()
        self._calls_in_text = ToolCallsInText(tools) if tools else None

    @property
    def unclosed(self) -> bool:
        """Whether the text ended within a thought, so that there is no answer."""
        return self._thoughts.unclosed

    def add(self, text: str) -> Iterator[Delta]:
        """Yield what `text` adds. A delta with `restart` says that all text before it was a thought."""
        deltas = self._thoughts.add(text)
        return deltas if self._calls_in_text is None else self._without_calls(deltas, self._calls_in_text)

    def end(self, *, elsewhere: bool) -> Iterator[Delta]:
        """Yield what was held back, at the end of the answer.

        Args:
            elsewhere: whether calls stood in their own place, so that those in the text are none.
        """
        if self._calls_in_text is None:
            yield from self._thoughts.end()
            return
        yield from self._without_calls(self._thoughts.end(), self._calls_in_text)
        rest, self.calls = self._calls_in_text.end(elsewhere=elsewhere)
        if rest:
            yield Delta(rest)

    def _without_calls(self, deltas: Iterator[Delta], calls: ToolCallsInText) -> Iterator[Delta]:
        for delta in deltas:
            if delta.restart:
                calls.clear()
            if not delta.text:
                yield delta
            elif said := calls.add(delta.text):
                yield delta if said == delta.text else Delta(said, delta.reasoning, delta.restart)
