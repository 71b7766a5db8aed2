"""The one door for all model calls of a run. A call gets its name here; what becomes of it, `single_call` says.

A run within another has its own door, which leads to that of the outer run: `Calls.child`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from time import perf_counter
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from ..decisions import Approve
from ..events import CallName, CallStarted, Event, Speaker
from ..limits import Limits
from ..models import DeltaSink, Model, ModelRequest, ModelResponse, RunMark
from ..usage import NOTHING, Usage
from .activity import Activity, current_activity
from .budget import Ledger
from .budget_draws import Draw
from .continuation import OnCut, whole_answer
from .current_run import OngoingRun, RunScope
from .listeners import Listeners
from .metering import Meter
from .nesting import inner_depth
from .planner_steps import Planning
from .resources import Resources
from .shares import More
from .single_call import Caller, SingleCall
from .stillness import Stillness
from .tool_calls import ToolCalls

if TYPE_CHECKING:
    from ..journal.recording import Recording


class Calls(OngoingRun):
    """Makes the calls of one run, within its limits and those of all runs around it.

    With a journal, the result of a call is recorded before it is used, and a recorded call is not made again.

    Attributes:
        run_id: the id of the outermost run.
        path: the path of this run within the outermost one; "" for that run itself.
        depth: the number of runs around this one.
        ledger: what the run has spent, and may spend.
        listeners: who receives its events.
        resources: what stays open until its end.
        planning: what its planner is doing.
        stillness: whether anything of it moves.
        tools: makes its tool calls.
        loop: the event loop in which it runs.
        deps: what its tools get (`ToolContext.deps`); None if nothing was given.
        activity: it, as something that is under way.
        decisions: records what is decided of tool calls; None without a journal.
        lent: whether it runs in another event loop than the run around it, which is blocked.
        approve: decides tool calls that need an approval; that of the run around it, unless it has one of its own.
        seed: what all chance in it is derived from; that of the run around it, unless it has one of its own.
        prompts: the run's prompts.
        slots: those for concurrent calls that a call must have, of this run and of those around it.
        over: whether the run has ended. Code that outlives it, such as a task started by a tool, is not part of it.
    """

    def __init__(
        self,
        run_id: str,
        ledger: Ledger,
        listeners: Listeners,
        resources: Resources,
        *,
        path: str = "",
        recorded_path: str = "",
        outer: Calls | None = None,
        within: str | None = None,
        depth: int = 0,
        seed: int | None = None,
        deps: object = None,
        activity: Activity | None = None,
        approve: Approve | None = None,
        lent: bool = False,
        began: float | None = None,
    ) -> None:
        self.seed = seed
        self.deps = deps
        self.run_id = run_id
        self.path = path
        self.depth = depth
        self.ledger = ledger
        self.listeners = listeners
        self.resources = resources
        self.planning = Planning()
        around = None if outer is None else outer.stillness
        self.stillness: Stillness = Stillness(matters=ledger.divides, outer=around)
        self.tools = ToolCalls(self, resources, recorded_path)
        self.over = False
        self.activity = activity or Activity()
        self.approve = approve
        self.lent = lent
        self._began = perf_counter() if began is None else began
        # Decisions are those of the run that can be resumed: the outermost one.
        self.decisions: Recording | None = resources.recording if outer is None else outer.decisions
        self.loop = anyio.lowlevel.current_token()
        # The path within the recorded run, which may be an inner one with its own journal.
        self._recorded_path = recorded_path
        self._outer = outer
        self._within = within
        self._spent_on: dict[str, Usage] = {}
        self._answered_by: dict[str, str] = {}
        self._turns: dict[tuple[Speaker, str | None], int] = {}
        self._children: Counter[str] = Counter()
        concurrency = ledger.limits.concurrency
        slots = () if concurrency is None else (anyio.Semaphore(concurrency, fast_acquire=True),)
        self.slots: tuple[anyio.Semaphore, ...] = slots if outer is None else (*slots, *outer.slots)

    @property
    def recorded_path(self) -> str:
        """The path within the recorded run, on which nothing depends that lies outside of its record."""
        return self._recorded_path

    @property
    def root(self) -> RunMark:
        """The outermost run."""
        return self if self._outer is None else self._outer.root

    async def make_sure(self) -> None:
        """Find out whether the run is still this process's.

        Raises:
            RunTaken: it is another one's.
        """
        if self.resources.recording is not None:
            await self.resources.recording.make_sure()

    @property
    def booked_ahead(self) -> Usage:
        """What is booked of recorded calls that the run has not come to yet: in their place it costs nothing more."""
        recording = self.resources.recording
        return NOTHING if recording is None else recording.booked_ahead()

    @property
    def group(self) -> TaskGroup:
        """The task group of what runs beside the run's work, and ends with the run."""
        return self.resources.group

    def child(
        self,
        scope: RunScope,
        limits: Limits,
        *,
        keep_for_aggregator: bool,
        listeners: Callable[[Listeners], Listeners],
        resources: Resources | None = None,
        own_journal: bool = False,
        lent: bool = False,
        deps: object = None,
        draws: Sequence[Draw] = (),
        approve: Approve | None = None,
    ) -> Calls:
        """Return the door of a run within this one, held to its own limits and to those of this run.

        Args:
            scope: where in this run it starts.
            limits: the inner run's own.
            keep_for_aggregator: whether to keep a share of these for its aggregator.
            listeners: builds the inner run's listeners from this run's.
            resources: the inner run's own; this run's if None.
            own_journal: whether its calls are recorded as those of a run of its own.
            lent: whether it runs in another event loop, and so cannot reserve here: `limits` must be all it may spend.
            deps: what its tools get; what this run's get if None.
            draws: what it draws from budgets that those around it do not draw from.
            approve: decides tool calls; this run's if None.

        Raises:
            ConfigurationError: runs would be nested too deeply.
        """
        depth = inner_depth(self.depth)
        self._children[scope.name] += 1
        number = self._children[scope.name]
        name = scope.name if number == 1 else f"{scope.name}#{number}"
        ledger = Ledger(
            limits,
            keep_for_aggregator=keep_for_aggregator,
            outer=None if lent else self.ledger,
            outer_role=scope.role,
            outer_task=scope.task,
            draws=(*draws, *self.ledger.all_draws) if lent else draws,
            # Those whom it would wait for may be in the event loop that it blocks.
            waits=not lent,
        )
        return Calls(
            self.run_id,
            ledger,
            listeners(self.listeners),
            resources or self.resources,
            path=_join(self.path, name),
            recorded_path="" if own_journal else _join(self._recorded_path, name),
            outer=None if lent else self,
            within=scope.task,
            depth=depth,
            # What is recorded by itself is replayed by itself.
            seed=None if own_journal else self.seed,
            deps=self.deps if deps is None else deps,
            # An event loop that is blocked can wait for nothing.
            activity=None if lent else scope.activity.begin(),
            approve=approve or self.approve,
            lent=lent,
            began=self._began,
        )

    async def conclude(self) -> None:
        """Record that the run has concluded, before what is under way is cut off."""
        if self.resources.recording is not None:
            await self.resources.recording.conclude(self._recorded_path)

    def recording_elsewhere(self, scope: RunScope) -> AbstractContextManager[Recording | None]:
        """Lend this run's recording to a run at `scope` in another event loop, while this one's is blocked by it."""
        recording = self.resources.recording
        return nullcontext() if recording is None else recording.elsewhere(_join(self._recorded_path, scope.name))

    def emit(self, event: Event) -> None:
        """Send `event` to the listeners, with the run's id and path, and the time."""
        event.stamp(self.run_id, self.path, round(perf_counter() - self._began, 4))
        self.listeners.emit(event)

    def spent_on(self, task: str) -> Usage:
        """Return the usage of a task so far, including failed calls and runs within the task."""
        return self._spent_on.get(task, NOTHING)

    def answered_by(self, task: str) -> str | None:
        """Return the name of the model that answered a task, where a wrapper such as `Fallback` chose among several."""
        return self._answered_by.get(task)

    async def call(
        self,
        role: Speaker,
        model: Model,
        request: ModelRequest,
        *,
        task: str | None,
        on_delta: DeltaSink | None,
        on_cut: OnCut | None = None,
        context: float = math.inf,
        whole: bool = False,
    ) -> ModelResponse:
        """Make a model call; if a limit cuts off the answer, go on with it when it is known what others leave.

        A prompt of more than `context` tokens is sent shortened; one that does not fit is so, too, unless `whole`.

        Raises:
            ModelError: the call failed.
            LimitExceeded: a limit does not allow another call.
        """

        async def call(request: ModelRequest, on_delta: DeltaSink | None, more: More | None) -> ModelResponse:
            turn = self._turns.get((role, task), 0)
            self._turns[role, task] = turn + 1
            said = None
            if self.listeners.listening:
                said = CallName(run=self.run_id, path=self.path, role=role, task=task, turn=turn)
                self.emit(CallStarted(name=said, model=model.name))
            caller = Caller(role, task, turn)
            meter = Meter(on_delta)
            return await self._call(
                SingleCall(self, caller, said, model, request, meter, more, context, whole), role, turn
            )

        if role == "planner":
            # Nobody can go on with a plan whose tasks run already.
            response = await call(request, on_delta, None)
        else:
            response = await whole_answer(call, request, on_delta, on_cut)
        if response.capped_by is not None:
            self.ledger.trip(response.capped_by)
        return response

    async def _call(self, call: SingleCall, role: Speaker, turn: int) -> ModelResponse:
        self.stillness.goes_on()
        activity = current_activity() or self.activity
        activity.call_began()
        if role == "planner":
            self.planning.call_asked()
        try:
            return await call.answer()
        finally:
            activity.call_ended()
            if role == "planner":
                self.planning.call_ended(turn)
            self.stillness.waits()

    def book(self, caller: Caller, usage: Usage, answered_by: str | None) -> None:
        """Add what a call cost to its task, and note who answered where a wrapper such as `Fallback` chose."""
        self.book_on(caller.task, usage)
        if answered_by is not None and caller.task is not None and caller.role == "subagent":
            self._answered_by[caller.task] = answered_by

    def book_on(self, task: str | None, usage: Usage) -> None:
        """Add `usage` to a task, and to the tasks of the outer runs around it."""
        if task is not None:
            known = self._spent_on.get(task)
            self._spent_on[task] = usage if known is None else known + usage
        if self._outer is not None:
            self._outer.book_on(self._within, usage)


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
