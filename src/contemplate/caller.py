"""What a run asks its models and tools through, be it a whole run or one within another's task."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from .budget import Ledger
from .events import Event, Speaker
from .messages import ImagePart, ToolCall
from .models import DeltaSink, Model, ModelRequest, ModelResponse
from .result import ErrorInfo
from .tools import Tool
from .toolsets import Toolset
from .usage import Usage

Listener = Callable[[Event], None]


class ToolResult(NamedTuple):
    """What a tool returned. Its images are the user's; `text` says that there are some."""

    text: str
    error: ErrorInfo | None = None
    images: tuple[ImagePart, ...] = ()


@dataclass(slots=True)
class Events:
    """Hands each event to every listener. One that raises is dropped: it must not cost a run what was paid for."""

    listeners: list[Listener] = field(default_factory=list)

    @property
    def listening(self) -> bool:
        """Whether there is anybody to tell."""
        return bool(self.listeners)

    def emit(self, event: Event) -> None:
        """Tell everyone."""
        for listener in tuple(self.listeners):
            try:
                listener(event)
            except Exception as error:
                self.listeners.remove(listener)
                _complain(listener, error)


def _complain(listener: Listener, error: Exception) -> None:
    import logging

    logging.getLogger("contemplate").warning("listener %r was dropped: it raised %r", listener, error)


class Caller(Protocol):
    """Makes the model calls of a run, and what else it pays or waits for.

    Attributes:
        ledger: what the run has spent, and may spend.
        events: whom to tell.
    """

    ledger: Ledger
    events: Events

    def spent_on(self, task: str) -> Usage:
        """What the calls for a task have cost so far, failed ones included."""
        ...

    def nest(self, task: str, within: str) -> None:
        """What is spent on `task` is spent on `within`, too."""
        ...

    async def call(
        self,
        role: Speaker,
        model: Model,
        request: ModelRequest,
        *,
        task: str | None,
        turn: int,
        on_delta: DeltaSink | None,
    ) -> ModelResponse:
        """One call.

        Raises:
            ModelError: the call failed.
            LimitExceeded: a limit leaves no room for it.
        """
        ...

    async def tool(
        self, task: str | None, turn: int, call: ToolCall, use: Callable[[], Awaitable[ToolResult]]
    ) -> ToolResult:
        """One tool call: what `use` returns now, or what it returned when that was written down."""
        ...

    async def tools_of(self, toolset: Toolset) -> Sequence[Tool]:
        """The tools of `toolset`: those that it has now, or that it had when that was written down.

        Raises:
            ContemplateError: it cannot be opened.
        """
        ...
