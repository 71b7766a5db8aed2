"""Model calls: the one door through which all of them go. Here a call gets its name, its share and its event."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

import anyio

from ..errors import ConfigurationError, error_info, revived
from ..events import CallName, ModelCalled, Speaker
from ..messages import ImagePart, ToolCall
from ..models import Connectable, Delta, DeltaSink, Model, ModelRequest, ModelResponse, price_of
from ..models.tokens import request_tokens
from ..result import ErrorInfo
from ..tools.tool import Tool
from ..tools.toolset import Toolset, Toolsets
from ..usage import NOTHING, Price, Usage
from .budget import Ledger
from .listeners import Events
from .metering import ONE_CALL, Meter

if TYPE_CHECKING:
    from ..journal import Entry
    from ..journal.recording import Recording


class ToolResult(NamedTuple):
    """What a tool returned. Its images are the user's; `text` says that there are some."""

    text: str
    error: ErrorInfo | None = None
    images: tuple[ImagePart, ...] = ()


class Calls:
    """The caller of a whole run, which keeps its limits.

    Connections that a model opens are kept until `stack` is closed, at the end of the run, and so are toolsets. With a
    `recording`, what a call brings is written down before it is used, and a call whose answer was written down before
    is not made again.
    """

    def __init__(
        self,
        run_id: str,
        ledger: Ledger,
        events: Events,
        stack: AsyncExitStack,
        recording: Recording | None = None,
        toolsets: Toolsets | None = None,
    ) -> None:
        self.ledger = ledger
        self.events = events
        self._run_id = run_id
        self._stack = stack
        self._recording = recording
        self._toolsets = toolsets
        self._connected: set[int] = set()
        self._spent_on: dict[str, Usage] = {}
        self._part_of: dict[str, str] = {}
        concurrency = ledger.limits.concurrency
        self._slots = None if concurrency is None else anyio.Semaphore(concurrency, fast_acquire=True)

    def spent_on(self, task: str) -> Usage:
        """What the calls for a task have cost so far, failed ones included."""
        return self._spent_on.get(task, NOTHING)

    def nest(self, task: str, within: str) -> None:
        """What is spent on `task` is spent on `within`, too."""
        self._part_of[task] = within

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
        name = CallName(run=self._run_id, role=role, task=task, turn=turn)
        meter = Meter(on_delta)
        if self._recording is None:
            return await self._made(name, model, request, meter)
        asked = self._recording.asked(role, task, turn, model.name, request)
        known = self._recording.find(asked)
        if known is not None:
            return await self._recalled(known, self._recording, name, meter)
        started = perf_counter()
        try:
            response = await self._made(name, model, request, meter)
        except BaseException as error:
            self._recording.cut_off(asked, started, error, meter.text, meter.spent)
            raise
        await self._recording.answered(asked, started, response, meter.spent)
        return response

    async def tool(
        self, task: str | None, turn: int, call: ToolCall, use: Callable[[], Awaitable[ToolResult]]
    ) -> ToolResult:
        """One tool call: what `use` returns now, or what it returned when that was written down."""
        if self._recording is None:
            return await use()
        asked = self._recording.asked_tool(task, turn, call)
        known = self._recording.find(asked)
        if known is not None:
            await self._recording.turn(known)
            return ToolResult(known.text, known.error, known.images)
        started = perf_counter()
        try:
            returned = await use()
        except BaseException as error:
            self._recording.cut_off(asked, started, error, "", NOTHING)
            raise
        await self._recording.returned(asked, started, *returned)
        return returned

    async def tools_of(self, toolset: Toolset) -> Sequence[Tool]:
        """The tools of `toolset`: those that it has now, or that it had when that was written down.

        Raises:
            ContemplateError: it cannot be opened.
        """
        if self._toolsets is None:
            raise RuntimeError("toolsets are opened only within a run")
        opened = self._toolsets.opened(toolset)

        async def listed() -> ToolResult:
            return ToolResult(await opened.listed())

        async with opened.listing:
            if opened.tools is None:
                call = ToolCall(id=toolset.name, name=toolset.name, arguments="")
                known = await self.tool(None, 0, call, listed)
                if known.error is not None:
                    raise revived(known.error.kind, known.error.message, known.error.hint)
                opened.tools = opened.made(known.text)
            return opened.tools

    async def _recalled(self, known: Entry, recording: Recording, name: CallName, meter: Meter) -> ModelResponse:
        """What a call brought when it was made; it costs what it cost then."""
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

    async def _made(self, name: CallName, model: Model, request: ModelRequest, meter: Meter) -> ModelResponse:
        await self._connect(model)
        if self._slots is None:
            return await self._paid(name, model, request, meter)
        async with self._slots:
            return await self._paid(name, model, request, meter)

    async def _paid(self, name: CallName, model: Model, request: ModelRequest, meter: Meter) -> ModelResponse:
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
        name: CallName,
        model: str,
        meter: Meter,
        seconds: float,
        finish: str | None,
        error: BaseException | None,
        *,
        recorded: bool = False,
    ) -> None:
        usage = meter.spent
        task = name.task
        while task is not None:
            known = self._spent_on.get(task)
            self._spent_on[task] = usage if known is None else known + usage
            task = self._part_of.get(task)
        if self.events.listening:
            info = None if error is None else error_info(error)
            self.events.emit(
                ModelCalled(
                    name=name, model=model, usage=usage, seconds=seconds, finish=finish, error=info, recorded=recorded
                )
            )

    async def _connect(self, model: Model) -> None:
        if id(model) not in self._connected:
            self._connected.add(id(model))
            if isinstance(model, Connectable):
                try:
                    await self._stack.enter_async_context(model.connect())
                except BaseException:
                    # Whoever comes next tries again.
                    self._connected.discard(id(model))
                    raise


def unknown_price(model: Model) -> ConfigurationError:
    """What to say where USD are limited, and nobody knows what `model` costs."""
    return ConfigurationError(
        f"Limits.cost_usd is set, and the price of {model.name} is not known",
        hint="pip install 'contemplate-ai[prices]', or say it: OpenAIModel(..., price=Price(input=..., output=...))",
    )
