"""The one door through which all model and tool calls of a run go. Here a call gets its name, its share and its event.

A run within another has a door of its own, which leads to the outer one's: `Calls.child`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

import anyio
import anyio.lowlevel

from ..errors import ConfigurationError, error_info, revived
from ..events import CallName, Event, ModelCalled, Speaker
from ..limits import Limits
from ..messages import ImagePart, ToolCall
from ..models import Delta, DeltaSink, Model, ModelRequest, ModelResponse, RunMark, price_of
from ..models.tokens import request_tokens
from ..result import ErrorInfo
from ..tools.tool import Tool
from ..tools.toolset import Toolset
from ..usage import NOTHING, Price, Usage
from .budget import Ledger
from .listeners import Listeners
from .metering import ONE_CALL, Meter
from .place import OngoingRun, Place
from .resources import Resources

if TYPE_CHECKING:
    from ..journal import Entry
    from ..journal.recording import Recording

MAX_DEPTH = 16


class ToolResult(NamedTuple):
    """What a tool returned. Its images are the user's; `text` says that there are some."""

    text: str
    error: ErrorInfo | None = None
    images: tuple[ImagePart, ...] = ()


class _Name(NamedTuple):
    """A call's name within its run."""

    role: Speaker
    task: str | None
    turn: int


class Calls(OngoingRun):
    """The calls of one run, within its limits and those of all runs around it.

    With a journal, what a call brings is written down before it is used, and a call whose answer was written down
    before is not made again.

    Attributes:
        run_id: the id of the outermost run.
        path: which of the runs within it this one is; "" for the run itself.
        depth: in how many other runs it is nested.
        ledger: what it has spent, and may spend.
        listeners: whom to tell.
        resources: what is open until its end.
        loop: the event loop in which it goes on.
        over: whether the run has ended: what is left of it, such as a task that a tool has started, is no part of it.
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
    ) -> None:
        self.run_id = run_id
        self.path = path
        self.depth = depth
        self.ledger = ledger
        self.listeners = listeners
        self.resources = resources
        self.over = False
        self.loop = anyio.lowlevel.current_token()
        # Within the run that is written down, which may be an inner one with a journal of its own.
        self._recorded_path = recorded_path
        self._outer = outer
        self._within = within
        self._spent_on: dict[str, Usage] = {}
        self._turns: dict[tuple[Speaker, str | None], int] = {}
        self._children: Counter[str] = Counter()
        concurrency = ledger.limits.concurrency
        slots = () if concurrency is None else (anyio.Semaphore(concurrency, fast_acquire=True),)
        self._slots: tuple[anyio.Semaphore, ...] = slots if outer is None else (*slots, *outer._slots)

    @property
    def root(self) -> RunMark:
        """The outermost run."""
        return self if self._outer is None else self._outer.root

    def child(
        self,
        place: Place,
        limits: Limits,
        *,
        keep_for_aggregator: bool,
        listeners: Callable[[Listeners], Listeners],
        resources: Resources | None = None,
        lent: bool = False,
    ) -> Calls:
        """Return the calls of a run within this one, which keep its limits and those of this run.

        Args:
            place: where in this run it is made.
            limits: the inner run's own.
            keep_for_aggregator: whether a share of these is kept for its aggregator.
            listeners: makes the inner run's listeners of this one's.
            resources: what it opens for itself; this run's if None.
            lent: whether it goes on in another event loop, so that its limits are all that holds it.

        Raises:
            ConfigurationError: that would be too deep.
        """
        if self.depth >= MAX_DEPTH:
            raise ConfigurationError(
                f"runs are nested more than {MAX_DEPTH} deep",
                hint="does a tool or an agent call its own run? let the innermost contemplator have a plain Agent",
            )
        self._children[place.name] += 1
        number = self._children[place.name]
        name = place.name if number == 1 else f"{place.name}#{number}"
        ledger = Ledger(
            limits,
            keep_for_aggregator=keep_for_aggregator,
            outer=None if lent else self.ledger,
            for_aggregator=place.role == "aggregator",
        )
        return Calls(
            self.run_id,
            ledger,
            listeners(self.listeners),
            resources or self.resources,
            path=_joined(self.path, name),
            recorded_path=_joined(self._recorded_path, name) if resources in (None, self.resources) else "",
            outer=None if lent else self,
            within=place.task,
            depth=self.depth + 1,
        )

    def emit(self, event: Event) -> None:
        """Tell whoever listens, with the run's id and path."""
        if not event.run_id:
            event.stamp(self.run_id, self.path)
        self.listeners.emit(event)

    def spent_on(self, task: str) -> Usage:
        """Return what the calls for a task have cost so far, failed ones and those of runs within it included."""
        return self._spent_on.get(task, NOTHING)

    async def call(
        self, role: Speaker, model: Model, request: ModelRequest, *, task: str | None, on_delta: DeltaSink | None
    ) -> ModelResponse:
        """Make one model call.

        Raises:
            ModelError: the call failed.
            LimitExceeded: a limit leaves no room for it.
        """
        turn = self._turns.get((role, task), 0)
        self._turns[role, task] = turn + 1
        name = _Name(role, task, turn)
        meter = Meter(on_delta)
        recording = self.resources.recording
        if recording is None:
            return await self._made(name, model, request, meter)
        asked = recording.asked(self._recorded_path, role, task, turn, model.name, request)
        known = recording.find(asked)
        if known is not None:
            return await self._recalled(known, recording, name, meter)
        started = perf_counter()
        try:
            response = await self._made(name, model, request, meter)
        except BaseException as error:
            recording.cut_off(asked, started, error, meter.text, meter.spent)
            raise
        await recording.answered(asked, started, response, meter.spent)
        return response

    async def tool(self, task: str | None, call: ToolCall, use: Callable[[], Awaitable[ToolResult]]) -> ToolResult:
        """Make one tool call: return what `use` returns now, or what it returned when that was written down."""
        name = call.name if task is None else f"{task}/{call.name}"
        place = Place(self, "subagent", task, name)
        recording = self.resources.recording
        if recording is None:
            with place.entered():
                return await use()
        asked = recording.asked_tool(self._recorded_path, task, call)
        known = recording.find(asked)
        if known is not None:
            await recording.turn(known)
            return ToolResult(known.text, known.error, known.images)
        started = perf_counter()
        try:
            with place.entered():
                returned = await use()
        except BaseException as error:
            recording.cut_off(asked, started, error, "", NOTHING)
            raise
        await recording.returned(asked, started, *returned)
        return returned

    async def tools_of(self, toolset: Toolset) -> Sequence[Tool]:
        """Return the tools of `toolset`: those that it has now, or that it had when that was written down.

        Raises:
            ContemplateError: it cannot be opened.
        """
        opened = self.resources.toolsets.opened(toolset)

        async def listed() -> ToolResult:
            return ToolResult(await opened.listed())

        async with opened.listing:
            if opened.tools is None:
                call = ToolCall(id=toolset.name, name=toolset.name, arguments="")
                known = await self.tool(None, call, listed)
                if known.error is not None:
                    raise revived(known.error.kind, known.error.message, known.error.hint)
                opened.tools = opened.made(known.text)
            return opened.tools

    async def _recalled(self, known: Entry, recording: Recording, name: _Name, meter: Meter) -> ModelResponse:
        """Return what a call brought when it was made; it costs what it cost then."""
        response = known.response
        # At once and not in its turn: what a planner has written may be what others are waiting for.
        meter(Delta(known.text) if response is None else Delta(response.message.text, response.reasoning))
        error: BaseException | None = None
        try:
            await recording.turn(known)
        except BaseException as raised:
            error = raised
            raise
        finally:
            meter.spent = known.usage
            self.ledger.book(meter.spent)
            finish = None if response is None else response.finish
            self._tell(name, known.name, meter, known.seconds, finish, error, recorded=True)
        assert response is not None  # noqa: S101
        return response

    async def _made(self, name: _Name, model: Model, request: ModelRequest, meter: Meter) -> ModelResponse:
        if not self.resources.is_connected(model):
            await self.resources.connect(model)
        if not self._slots:
            return await self._paid(name, model, request, meter)
        if len(self._slots) == 1:
            async with self._slots[0]:
                return await self._paid(name, model, request, meter)
        return await self._in_slots(self._slots, name, model, request, meter)

    async def _in_slots(
        self, slots: tuple[anyio.Semaphore, ...], name: _Name, model: Model, request: ModelRequest, meter: Meter
    ) -> ModelResponse:
        """Make the call when each limit on concurrency, from the innermost run's to the outermost's, has room."""
        if not slots:
            return await self._paid(name, model, request, meter)
        async with slots[0]:
            return await self._in_slots(slots[1:], name, model, request, meter)

    async def _paid(self, name: _Name, model: Model, request: ModelRequest, meter: Meter) -> ModelResponse:
        # Without a limit on tokens nobody asks how many a prompt has.
        prompt_tokens = request_tokens(request) if self.ledger.limits_tokens else 0
        wanted = request.settings.max_tokens
        price = self._price(model)
        reservation = await self.ledger.reserve(
            prompt_tokens, wanted, aggregator=name.role == "aggregator", price=price
        )
        if reservation.output_tokens != wanted:
            settings = request.settings.model_copy(update={"max_tokens": reservation.output_tokens})
            request = replace(request, settings=settings)
        started = perf_counter()
        finish, error = None, None
        meter.spent = ONE_CALL
        try:
            response = await model.request(request, None if meter.on_delta is None else meter)
            meter.spent, finish = response.usage, response.finish
            meter.catch_up(response)
            return response
        except BaseException as raised:
            error = raised
            if meter.written or not isinstance(raised, Exception):
                meter.spent = meter.usage(prompt_tokens or request_tokens(request))
            raise
        finally:
            if price is not None:
                meter.spent = price.priced(meter.spent)
            self.ledger.settle(reservation, meter.spent)
            self._tell(name, model.name, meter, perf_counter() - started, finish, error)

    def _price(self, model: Model) -> Price | None:
        price = price_of(model)
        if price is None and self.ledger.limits_cost:
            raise unknown_price(model)
        return price

    def _tell(
        self,
        name: _Name,
        model: str,
        meter: Meter,
        seconds: float,
        finish: str | None,
        error: BaseException | None,
        *,
        recorded: bool = False,
    ) -> None:
        self.book_on(name.task, meter.spent)
        if self.listeners.listening:
            self.listeners.emit(
                ModelCalled(
                    run_id=self.run_id,
                    path=self.path,
                    name=CallName(run=self.run_id, path=self.path, role=name.role, task=name.task, turn=name.turn),
                    model=model,
                    usage=meter.spent,
                    seconds=seconds,
                    finish=finish,
                    error=None if error is None else error_info(error),
                    recorded=recorded,
                )
            )

    def book_on(self, task: str | None, usage: Usage) -> None:
        """Count what was spent for a task, and for those of the outer runs within which it stands."""
        if task is not None:
            known = self._spent_on.get(task)
            self._spent_on[task] = usage if known is None else known + usage
        if self._outer is not None:
            self._outer.book_on(self._within, usage)


def _joined(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def unknown_price(model: Model) -> ConfigurationError:
    """Return the error for a limit on USD where nobody knows what `model` costs."""
    return ConfigurationError(
        f"Limits.cost_usd is set, and the price of {model.name} is not known",
        hint="pip install 'contemplate-ai[prices]', or say it: OpenAIModel(..., price=Price(input=..., output=...))",
    )
