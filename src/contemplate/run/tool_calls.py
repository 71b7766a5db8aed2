"""The door for the tool calls of a run, and for what toolsets list: with a journal, none is made twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from hashlib import blake2b
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

from ..decisions import Decision, PendingCall
from ..errors import revived
from ..messages import ImagePart, ToolCall
from ..result import ErrorInfo
from ..tools.approval import Need
from ..tools.tool import Tool
from ..tools.toolset import Toolset
from ..usage import NOTHING
from .activity import current_activity
from .approvals import Approvals, call_id
from .current_run import OngoingRun, RunScope
from .resources import Resources

if TYPE_CHECKING:
    from ..journal.entries import AskedCall


class ToolResult(NamedTuple):
    """What a tool returned. `images` are for the user, and `text` mentions them; those in `seen` are for the model."""

    text: str
    error: ErrorInfo | None = None
    images: tuple[ImagePart, ...] = ()
    seen: tuple[ImagePart, ...] = ()


class ToolPlace(NamedTuple):
    """The place of a tool call in its run, among equal ones: its name there, and its key in the journal."""

    name: str
    asked: AskedCall | None


class HeldUse(NamedTuple):
    """A tool call that may have to wait: what it needs, and how it is made once that is decided."""

    need: Callable[[], Awaitable[Need | None]]
    decided: Callable[[Decision], Awaitable[ToolResult]]


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
        self.approvals = Approvals(resources.recording, None, lambda _: None, lambda _: None)
        self._uses: Counter[str] = Counter()

    async def use(
        self,
        task: str | None,
        call: ToolCall,
        use: Callable[[], Awaitable[ToolResult]],
        held: HeldUse | None = None,
        place: ToolPlace | None = None,
    ) -> ToolResult:
        """Make one tool call: return what `use` returns, or its recorded result.

        With `held`, a call that needs a decision waits for it. The place is the next one if None.
        """
        name, asked = self.place(task, call) if place is None else place
        activity = (current_activity() or self._run.activity).begin()
        try:
            scope = RunScope(self._run, "subagent", task, name, activity)
            return await self._use(scope, call, asked, use, held)
        finally:
            activity.end()

    async def _use(
        self,
        scope: RunScope,
        call: ToolCall,
        asked: AskedCall | None,
        use: Callable[[], Awaitable[ToolResult]],
        held: HeldUse | None,
    ) -> ToolResult:
        recording = self._resources.recording
        if recording is None or asked is None:
            use = await self._decided(scope, call, use, held)
            with scope.entered():
                return await use()
        known = recording.find(asked)
        if known is not None:
            await recording.turn(known)
            return ToolResult(known.text, known.error, known.images, known.seen)
        use = await self._decided(scope, call, use, held)
        await recording.make_sure()
        started = perf_counter()
        try:
            with scope.entered():
                returned = await use()
        except BaseException as error:
            recording.cut_off(asked, started, error, "", NOTHING)
            raise
        await recording.returned(asked, started, *returned)
        return returned

    def place(self, task: str | None, call: ToolCall) -> ToolPlace:
        """Take the next place for a tool call."""
        recording = self._resources.recording
        asked = None if recording is None else recording.asked_tool(self._recorded_path, task, call)
        return ToolPlace(self._name(task, call), asked)

    async def _decided(
        self, scope: RunScope, call: ToolCall, use: Callable[[], Awaitable[ToolResult]], held: HeldUse | None
    ) -> Callable[[], Awaitable[ToolResult]]:
        """Return what makes the call, once nothing more needs to be decided."""
        if held is None:
            return use
        run_id, path = self._run.run_id, self._run.path
        where = scope.task if scope.task is None or not path else f"{path}/{scope.task}"

        def named(need: Need) -> PendingCall:
            return PendingCall(
                id=known_as,
                run_id=run_id,
                task=where,
                tool=call.name,
                arguments=need.arguments,
                why=need.why,
                kind=need.kind,
            )

        known_as = call_id(path, scope.name, call.name, call.arguments)
        decision = await self.approvals.decision(known_as, scope.activity, held.need, named)
        return use if decision is None else partial(held.decided, decision)

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
                    raise revived(known.error)
                opened.tools = opened.made(known.text)
            return opened.tools
