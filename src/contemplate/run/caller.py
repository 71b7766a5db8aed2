"""What a run asks its models and tools through, be it a whole run or one within another's task."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from ..events import Event, Speaker
from ..messages import ToolCall
from ..models import DeltaSink, Model, ModelRequest, ModelResponse
from ..tools.tool import Tool
from ..tools.toolset import Toolset
from ..usage import Usage
from .budget import Ledger
from .calls import ToolResult
from .listeners import Events

Listener = Callable[[Event], None]


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
