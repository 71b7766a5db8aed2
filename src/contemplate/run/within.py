"""Model calls of a run that is nested in a task of another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from ..events import Speaker
from ..messages import ToolCall
from ..models import DeltaSink, Model, ModelRequest, ModelResponse
from ..tools.tool import Tool
from ..tools.toolset import Toolset
from ..usage import Usage
from .caller import Caller
from .calls import ToolResult
from .listeners import Events


class Within:
    """The caller of a run that is nested in a task of another: same limits, same connections."""

    def __init__(self, outer: Caller, task: str) -> None:
        self.ledger = outer.ledger
        self.events = Events()
        self._outer = outer
        self._task = task

    def spent_on(self, task: str) -> Usage:
        """What the calls for a task of the nested run have cost so far."""
        return self._outer.spent_on(self._named(task))

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
        """One call, paid as its task's: no share is kept for what aggregates within a task.

        Raises:
            ModelError: the call failed.
            LimitExceeded: a limit leaves no room for it.
        """
        name = self._named(task or role)
        self._outer.nest(name, self._task)
        return await self._outer.call("subagent", model, request, task=name, turn=turn, on_delta=on_delta)

    def nest(self, task: str, within: str) -> None:
        """What is spent on `task` is spent on `within`, too."""
        self._outer.nest(self._named(task), self._named(within))

    async def tool(
        self, task: str | None, turn: int, call: ToolCall, use: Callable[[], Awaitable[ToolResult]]
    ) -> ToolResult:
        """One tool call of a task of the nested run."""
        return await self._outer.tool(self._named(task or "tool"), turn, call, use)

    async def tools_of(self, toolset: Toolset) -> Sequence[Tool]:
        """The tools of `toolset`, which is opened once for the outer run and all that is nested in it."""
        return await self._outer.tools_of(toolset)

    def _named(self, task: str) -> str:
        return f"{self._task}/{task}"
