"""The answer of a run as it is written: pieces of it are events, once it is clear that they are an answer."""

from __future__ import annotations

from collections.abc import Callable

from ..data import readable
from ..events import OutputDelta
from ..models import Delta, DeltaSink
from ..run.context import RunContext

IsAnswer = Callable[[str], bool]


class OutputStream:
    """Tells the listeners what an aggregator writes; a text that may turn out to be no answer is held back until then.

    A second text takes the place of the first.

    Args:
        ctx: the run.
    """

    def __init__(self, ctx: RunContext) -> None:
        self._ctx = ctx
        self._on = ctx.listening and ctx.streaming
        self._told = False
        self._text: str | None = None
        self._is_answer: IsAnswer | None = None

    def begin(self, is_answer: IsAnswer | None = None) -> DeltaSink | None:
        """Begin another text, and return what takes its pieces; None if nobody listens.

        Args:
            is_answer: returns of the text so far whether it is clear that it is an answer; nothing is held back if
                None.
        """
        self._is_answer = is_answer
        self._text = None if is_answer is None else ""
        if self._told:
            self._tell(Delta(restart=True))
        return self._take if self._on else None

    def show(self, text: str) -> None:
        """Tell of an answer, unless it was told as it was written."""
        if self._on and self._text is not None:
            self._text = None
            self._tell(Delta(text))

    def _take(self, delta: Delta) -> None:
        if self._text is None or self._is_answer is None:
            self._tell(delta)
            return
        self._text = delta.text if delta.restart else self._text + delta.text
        if delta.reasoning or (delta.restart and self._told):
            self._tell(Delta(reasoning=delta.reasoning, restart=delta.restart))
        if self._is_answer(self._text):
            self.show(self._text)

    def _tell(self, delta: Delta) -> None:
        self._told = True
        self._ctx.emit(OutputDelta.of(readable(delta.text), readable(delta.reasoning), delta.restart))
