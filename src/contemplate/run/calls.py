"""The one door for all model calls of a run. A call gets its name, its reservation and its event here.

A run within another has its own door, which leads to that of the outer run: `Calls.child`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from ..budget import Budget
from ..decisions import Approve
from ..errors import ConfigurationError, ModelContextError, RunTaken, error_info
from ..events import (
    NOT_MADE,
    Again,
    CallName,
    CallQueued,
    CallRepeated,
    CallStarted,
    Event,
    ModelCalled,
    Queue,
    Speaker,
)
from ..limits import Limits
from ..models import Delta, DeltaSink, Model, ModelRequest, ModelResponse, RunMark, price_of
from ..models.accounting import accounted
from ..models.context_size import check_fit
from ..models.tokens import request_tokens
from ..redaction import redact
from ..usage import NOTHING, Price, Usage
from .activity import Activity, current_activity
from .budget import Ledger
from .budget_draws import Draw
from .context_windows import told
from .continuation import OnCut, whole_answer
from .current_run import OngoingRun, RunScope
from .listeners import Listeners
from .metering import ONE_CALL, Meter
from .nesting import inner_depth
from .planner_steps import Planning
from .resources import Resources
from .shares import More, Reservation, refusal
from .shortened_prompts import Shortened, shortened
from .stillness import Stillness
from .tool_calls import ToolCalls

if TYPE_CHECKING:
    from ..journal import Entry
    from ..journal.recording import Recording
    from ..journal.shared_answers import SharingModel


# Characters of why a call is made once more.
MOST_TOLD = 500


class _Name(NamedTuple):
    """A call's name within its run."""

    role: Speaker
    task: str | None
    turn: int

    @property
    def asker(self) -> str:
        """Who asks, as users are told."""
        return self.role if self.task is None else f"task {self.task!r}"


class _Call(NamedTuple):
    """A call in the making, with its name in events (`said`), if anybody listens.

    It may go on with an answer (`more`), and may want its prompt within a `context`, or read whole or not at all. It is
    the `nth` of equal ones.
    """

    name: _Name
    said: CallName | None
    model: Model
    request: ModelRequest
    meter: Meter
    more: More | None
    context: float
    whole: bool
    nth: int = 0


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
        self._slots: tuple[anyio.Semaphore, ...] = slots if outer is None else (*slots, *outer._slots)

    @property
    def recorded_path(self) -> str:
        """The path within the recorded run, on which nothing depends that lies outside of its record."""
        return self._recorded_path

    @property
    def root(self) -> RunMark:
        """The outermost run."""
        return self if self._outer is None else self._outer.root

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
            name = _Name(role, task, turn)
            return await self._call(_Call(name, said, model, request, Meter(on_delta), more, context, whole))

        if role == "planner":
            # Nobody can go on with a plan whose tasks run already.
            response = await call(request, on_delta, None)
        else:
            response = await whole_answer(call, request, on_delta, on_cut)
        if response.capped_by is not None:
            self.ledger.trip(response.capped_by)
        return response

    async def _call(self, call: _Call) -> ModelResponse:
        self.stillness.goes_on()
        activity = current_activity() or self.activity
        activity.call_began()
        try:
            return await self._journaled(call)
        finally:
            activity.call_ended()
            if call.name.role == "planner":
                self.planning.call_ended(call.name.turn)
            self.stillness.waits()

    async def _journaled(self, call: _Call) -> ModelResponse:
        recording = self.resources.recording
        if recording is None:
            return await self._make(call)
        meter = call.meter
        asked = recording.asked(self._recorded_path, *call.name, call.model.name, call.request)
        known = recording.find(asked)
        if known is not None:
            return await self._recall(known, recording, call)
        await recording.needed(asked)
        started = perf_counter()
        try:
            response = await self._make(call._replace(nth=asked.nth))
        except BaseException as error:
            recording.cut_off(asked, started, error, meter.text, meter.spent, meter.course, tuple(meter.logprobs))
            raise
        await recording.answered(asked, started, response, meter.spent, meter.course)
        return response

    async def _recall(self, known: Entry, recording: Recording, call: _Call) -> ModelResponse:
        """Return the recorded result of a call, at its recorded cost."""
        response, name, meter = known.response, call.name, call.meter
        price = price_of(call.model)
        if name.role == "planner":
            self.planning.call_began(name.turn)
        # At once, not in recorded order: the tasks that others wait for may be in what the planner has written.
        if response is None:
            meter(Delta(known.text, logprobs=known.logprobs))
        else:
            meter(Delta(response.message.text, response.reasoning))
        error: BaseException | None = None
        try:
            await recording.turn(known)
        except BaseException as raised:
            error = raised
            raise
        finally:
            meter.spent = known.usage if price is None else price.priced(known.usage)
            self.ledger.book(recording.spent_now(known))
            finish = None if response is None else response.finish
            answered_by = None if response is None else response.answered_by
            self._report(call, known.name, known.seconds, finish, error, answered_by=answered_by, recorded=True)
        assert response is not None  # noqa: S101
        return response

    async def _make(self, call: _Call) -> ModelResponse:
        if call.more is not None:
            self._queue(call, "limits")
            await self._wait_for_the_rest(call.more)
        if not self.resources.is_connected(call.model):
            await self.resources.connect(call.model)
        return await (self._in_slots(self._slots, call) if self._slots else self._request(call))

    async def _wait_for_the_rest(self, more: More) -> None:
        """Wait until it is known what is left of the limits.

        Raises:
            LimitExceeded: after that there would be no time for the call.
        """
        with anyio.move_on_at(anyio.current_effective_deadline() - more.seconds) as waiting:
            await self.stillness.reached()
        if waiting.cancelled_caught:
            raise refusal(self.ledger.limits, "seconds")

    async def _in_slots(self, slots: Sequence[anyio.Semaphore], call: _Call) -> ModelResponse:
        """Make the call once it has a slot in each run that limits concurrency, from the innermost to the outermost."""
        innermost, *outer = slots
        try:
            innermost.acquire_nowait()
        except anyio.WouldBlock:
            self._queue(call, "concurrency")
            await innermost.acquire()
        try:
            return await (self._in_slots(outer, call) if outer else self._request(call))
        finally:
            innermost.release()

    async def _request(self, call: _Call) -> ModelResponse:
        name, model, request, meter, more = call.name, call.model, call.request, call.meter, call.more
        windows, sent = self.resources.windows, self._fitted(call)
        sharing = self._sharing(call)
        asked = sharing or model
        # Without a limit on tokens the estimate is not needed.
        prompt_tokens = request_tokens(sent.request) if self.ledger.limits_tokens else 0
        if more is not None:
            prompt_tokens = min(prompt_tokens, more.prompt)
        wanted = request.settings.max_tokens
        price = self._price(model)
        reservation = await self.ledger.reserve(
            prompt_tokens,
            wanted,
            role=name.role,
            task=name.task,
            price=price,
            more=more,
            on_wait=partial(self._queue, call, "limits"),
        )
        await self._make_sure(reservation)
        if name.role == "planner":
            self.planning.call_began(name.turn)
        settings = request.settings
        if reservation.output_tokens != wanted:
            settings = settings.model_copy(update={"max_tokens": reservation.output_tokens})
        recording = self.resources.recording
        sure = () if recording is None else (recording.make_sure,)
        request = request.sent_with(settings, partial(self._again, call), partial(self._queue, call), *sure)
        sent = sent.within(request)
        self._queue(call, None)
        finish, error, answered_by = None, None, None
        meter.spent = ONE_CALL
        try:
            sink = None if meter.on_delta is None else meter
            if call.whole:
                check_fit(model, request)
                response = await asked.request(request, sink)
            else:
                response, sent = await windows.ask(asked, request, sent, sink, lambda: meter.written)
            meter.spent, finish = accounted(response, sent.request), response.finish
            answered_by = response.answered_by
            meter.catch_up(response)
            if response.finish == "length" and reservation.capped_by is not None:
                response = response.model_copy(update={"capped_by": reservation.capped_by})
            room = windows.room(model.name, request)
            return response if sent.is_whole and room == math.inf else told(response, sent, request, name.asker, room)
        except BaseException as raised:
            error = raised
            if meter.written or not isinstance(raised, Exception):
                meter.spent = meter.usage(prompt_tokens or request_tokens(sent.request))
            elif isinstance(raised, ModelContextError | RunTaken):
                # Nothing was read: it was refused, so that the call is left to ask again with less, or was not sent.
                meter.spent = NOTHING
            raise
        finally:
            if price is not None:
                meter.spent = price.priced(meter.spent)
            made = sharing is None or sharing.book(meter.spent)
            self.ledger.settle(reservation, meter.spent, made=made)
            self._report(call, model.name, meter.seconds, finish, error, answered_by=answered_by, recorded=not made)

    async def _make_sure(self, reservation: Reservation) -> None:
        """Wait until no other process can have the run.

        Raises:
            RunTaken: one has.
        """
        recording = self.resources.recording
        if recording is None or recording.surely_held:
            return
        try:
            await recording.make_sure()
        except BaseException:
            self.ledger.settle(reservation, NOTHING)
            raise

    def _sharing(self, call: _Call) -> SharingModel | None:
        """Return the model for a call whose answer the run may have in common with others; None if it has none so."""
        recording = self.resources.recording
        answers = None if recording is None else recording.answers
        return None if answers is None else answers.around(call.model, call.nth)

    def _fitted(self, call: _Call) -> Shortened:
        """Return what is sent of a request, so that it fits into the context that is wanted, and the one that is known.

        Below the journal, which has it in full: a call keeps its name, and so its answer, whatever is known.
        """
        if call.whole:
            return shortened(call.request, call.context)
        known = self.resources.windows.fitted(call.model, call.request)
        wanted = shortened(call.request, call.context) if call.context < math.inf else known
        if wanted.is_whole or known.is_whole:
            return known if wanted.is_whole else wanted
        return min(wanted, known, key=lambda each: request_tokens(each.request))

    def _price(self, model: Model) -> Price | None:
        price = price_of(model)
        if price is None and self.ledger.limits_cost:
            budgets = (each.budget for each in self.ledger.all_draws)
            raise unknown_price(model, next((each for each in budgets if each.cost_usd is not None), None))
        return price

    def _report(
        self,
        call: _Call,
        model: str,
        seconds: float,
        finish: str | None,
        error: BaseException | None,
        *,
        answered_by: str | None,
        recorded: bool = False,
    ) -> None:
        name, meter = call.name, call.meter
        self.book_on(name.task, meter.spent)
        if answered_by is not None and name.task is not None and name.role == "subagent":
            self._answered_by[name.task] = answered_by
        if call.said is not None and self.listeners.listening:
            course = NOT_MADE if recorded else meter.course
            self.emit(
                ModelCalled(
                    name=call.said,
                    model=answered_by or model,
                    usage=meter.spent,
                    seconds=seconds,
                    finish=finish,
                    error=None if error is None else error_info(error),
                    recorded=recorded,
                    queued=course.queued,
                    first=course.first,
                )
            )

    def _queue(self, call: _Call, behind: Queue | None) -> None:
        if call.meter.queue(behind) and call.said is not None and self.listeners.listening:
            self.emit(CallQueued(name=call.said, behind=behind))

    def _again(self, call: _Call, reason: Again, message: str) -> None:
        if self.resources.recording is not None:
            self.resources.recording.check_taken()
        message = redact(message)[:MOST_TOLD]
        call.meter.add_again(reason, message)
        if call.said is not None and self.listeners.listening:
            self.emit(CallRepeated(name=call.said, reason=reason, message=message))

    def book_on(self, task: str | None, usage: Usage) -> None:
        """Add `usage` to a task, and to the tasks of the outer runs around it."""
        if task is not None:
            known = self._spent_on.get(task)
            self._spent_on[task] = usage if known is None else known + usage
        if self._outer is not None:
            self._outer.book_on(self._within, usage)


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def unknown_price(model: Model, budget: Budget | None = None) -> ConfigurationError:
    """Return the error for a limit on USD, that of `budget` if there is one, with a `model` of unknown price."""
    limit = "Limits.cost_usd" if budget is None else f"cost_usd of budget {budget.name!r}"
    return ConfigurationError(
        f"{limit} is set, and the price of {model.name} is not known",
        hint="install the extra 'prices', or set it: OpenAIModel(..., price=Price(input=..., output=...))",
    )
