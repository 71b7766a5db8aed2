"""The door for the tool calls of a run, and for what toolsets list: with a journal, none is made twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b
from time import perf_counter
from typing import NamedTuple

from ..errors import revived
from ..messages import ImagePart, ToolCall
from ..result import ErrorInfo
from ..tools.tool import Tool
from ..tools.toolset import Toolset
from ..usage import NOTHING
from .current_run import OngoingRun, RunScope
from .resources import Resources


class ToolResult(NamedTuple):
    """What a tool returned. Images are for the user, not for the model; `text` mentions them."""

    text: str
    error: ErrorInfo | None = None
    images: tuple[ImagePart, ...] = ()


class ToolCalls:
    """Makes the tool calls of one run.

    Args:
        run: the run.
        resources: what is open in it.
        recorded_path: the path within the recorded run.
    """

    def __init__(self, run: OngoingRun, resources: Resources, recorded_path: str) -> None:
        self._run = run
        self._resources = resources
        self._recorded_path = recorded_path
        self._uses: Counter[str] = Counter()

    async def use(self, task: str | None, call: ToolCall, use: Callable[[], Awaitable[ToolResult]]) -> ToolResult:
        """Make one tool call: return what `use` returns, or its recorded result."""
        scope = RunScope(self._run, "subagent", task, self._name(task, call))
        recording = self._resources.recording
        if recording is None:
            with scope.entered():
                return await use()
        asked = recording.asked_tool(self._recorded_path, task, call)
        known = recording.find(asked)
        if known is not None:
            await recording.turn(known)
            return ToolResult(known.text, known.error, known.images)
        started = perf_counter()
        try:
            with scope.entered():
                returned = await use()
        except BaseException as error:
            recording.cut_off(asked, started, error, "", NOTHING)
            raise
        await recording.returned(asked, started, *returned)
        return returned

    def _name(self, task: str | None, call: ToolCall) -> str:
        """Return the name of a tool call, under which runs started by the tool are recorded.

        It does not depend on other calls: when a run is resumed, some of them are not made again.
        """
        name = call.name if task is None else f"{task}/{call.name}"
        name += f":{blake2b(call.arguments.encode(errors='surrogatepass'), digest_size=3).hexdigest()}"
        self._uses[name] += 1
        return name if self._uses[name] == 1 else f"{name}#{self._uses[name]}"

    async def of(self, toolset: Toolset) -> Sequence[Tool]:
        """Return the tools of `toolset`, or those that were recorded.

        Raises:
            ContemplateError: the toolset cannot be opened.
        """
        opened = self._resources.toolsets.opened(toolset)

        async def listed() -> ToolResult:
            return ToolResult(await opened.listed())

        async with opened.listing:
            if opened.tools is None:
                call = ToolCall(id=toolset.name, name=toolset.name, arguments="")
                known = await self.use(None, call, listed)
                if known.error is not None:
                    raise revived(known.error.kind, known.error.message, known.error.hint)
                opened.tools = opened.made(known.text)
            return opened.tools
