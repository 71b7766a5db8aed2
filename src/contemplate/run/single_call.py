"""One model call of a run: recalled from the journal, or made when the limits and its slots allow it, and told of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple, Protocol

import anyio

from ..budget import Budget
from ..errors import ConfigurationError, ModelContextError, RunTaken, error_info
from ..events import NOT_MADE, Again, CallName, CallQueued, CallRepeated, Event, ModelCalled, Queue, Speaker
from ..models import Delta, Model, ModelRequest, ModelResponse, price_of
from ..models.accounting import accounted
from ..models.context_size import check_fit
from ..models.tokens import request_tokens
from ..redaction import redact
from ..usage import NOTHING, Price, Usage
from .budget import Ledger
from .context_windows import told
from .listeners import Listeners
from .metering import ONE_CALL, Meter
from .planner_steps import Planning
from .resources import Resources
from .shares import More, Reservation, refusal
from .shortened_prompts import Shortened, shortened
from .stillness import Stillness

if TYPE_CHECKING:
    from ..journal import Entry
    from ..journal.recording import Recording
    from ..journal.shared_answers import SharingModel


# Characters of why a call is made once more.
MOST_TOLD = 500


class Caller(NamedTuple):
    """Who asks in a run, and after how many calls."""

    role: Speaker
    task: str | None
    turn: int

    def __str__(self) -> str:
        return self.role if self.task is None else f"task {self.task!r}"


class CallingRun(Protocol):
    """What a call needs of its run. See `Calls`.

    Attributes:
        slots: those that it must have, of this run and of those around it, from the innermost to the outermost.
    """

    ledger: Ledger
    listeners: Listeners
    planning: Planning
    resources: Resources
    slots: tuple[anyio.Semaphore, ...]
    stillness: Stillness

    @property
    def recorded_path(self) -> str:
        """The path within the recorded run."""
        ...

    def emit(self, event: Event) -> None:
        """Send an event to the listeners."""
        ...

    def book(self, caller: Caller, usage: Usage, answered_by: str | None) -> None:
        """Add what a call cost to its task."""
        ...


class SingleCall:
    """A call in the making.

    Args:
        run: the run.
        caller: who asks.
        name: its name in events; None if nobody listens.
        model: the model.
        request: what is asked, in full.
        meter: what it costs, and receives its pieces.
        more: what is known of the answer that it goes on with; None if it is a new one.
        context: how many tokens its prompt may have, beyond which it is sent shortened.
        whole: whether it is read whole, or not at all.
    """

    def __init__(
        self,
        run: CallingRun,
        caller: Caller,
        name: CallName | None,
        model: Model,
        request: ModelRequest,
        meter: Meter,
        more: More | None,
        context: float,
        whole: bool,
    ) -> None:
        self._run = run
        self._caller = caller
        self._name = name
        self._model = model
        self._request = request
        self._meter = meter
        self._more = more
        self._context = context
        self._whole = whole
        # How many equal ones were made before it in this place.
        self._nth = 0

    async def answer(self) -> ModelResponse:
        """Return the recorded answer, or make the call and record its result before it is used.

        Raises:
            ModelError: the call failed.
            LimitExceeded: a limit does not allow another call.
        """
        recording, meter = self._run.resources.recording, self._meter
        if recording is None:
            return await self._make()
        asked = recording.asked(self._run.recorded_path, *self._caller, self._model.name, self._request)
        known = recording.find(asked)
        if known is not None:
            return await self._recall(known, recording)
        await recording.needed(asked)
        self._nth = asked.nth
        started = perf_counter()
        try:
            response = await self._make()
        except BaseException as error:
            recording.cut_off(asked, started, error, meter.text, meter.spent, meter.course, tuple(meter.logprobs))
            raise
        await recording.answered(asked, started, response, meter.spent, meter.course)
        return response

    async def _recall(self, known: Entry, recording: Recording) -> ModelResponse:
        """Return the recorded result, at its recorded cost."""
        response, meter = known.response, self._meter
        price = price_of(self._model)
        self._begins()
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
            self._run.ledger.book(recording.spent_now(known))
            finish = None if response is None else response.finish
            answered_by = None if response is None else response.answered_by
            self._report(known.name, known.seconds, finish, error, answered_by=answered_by, recorded=True)
        assert response is not None  # noqa: S101
        return response

    async def _make(self) -> ModelResponse:
        if self._more is not None:
            self._queue("limits")
            await self._wait_for_the_rest(self._more)
        if not self._run.resources.is_connected(self._model):
            await self._run.resources.connect(self._model)
        slots = self._run.slots
        return await (self._in_slots(slots) if slots else self._within_limits())

    async def _wait_for_the_rest(self, more: More) -> None:
        """Wait until it is known what is left of the limits.

        Raises:
            LimitExceeded: after that there would be no time for the call.
        """
        with anyio.move_on_at(anyio.current_effective_deadline() - more.seconds) as waiting:
            await self._run.stillness.reached()
        if waiting.cancelled_caught:
            raise refusal(self._run.ledger.limits, "seconds")

    async def _in_slots(self, slots: Sequence[anyio.Semaphore]) -> ModelResponse:
        """Make it once it has a slot in each run that limits concurrency, from the innermost to the outermost."""
        innermost, *outer = slots
        try:
            innermost.acquire_nowait()
        except anyio.WouldBlock:
            self._queue("concurrency")
            await innermost.acquire()
        try:
            return await (self._in_slots(outer) if outer else self._within_limits())
        finally:
            innermost.release()

    async def _within_limits(self) -> ModelResponse:
        """Reserve what it may take, send it, and settle what it took."""
        model, meter, more, ledger = self._model, self._meter, self._more, self._run.ledger
        sent, sharing = self._fitted(), self._sharing()
        # Without a limit on tokens the estimate is not needed.
        prompt_tokens = request_tokens(sent.request) if ledger.limits_tokens else 0
        if more is not None:
            prompt_tokens = min(prompt_tokens, more.prompt)
        price = self._price()
        reservation = await ledger.reserve(
            prompt_tokens,
            self._request.settings.max_tokens,
            role=self._caller.role,
            task=self._caller.task,
            price=price,
            more=more,
            on_wait=self._waits_for_limits,
        )
        await self._make_sure(reservation)
        self._begins()
        request = self._to_send(reservation)
        sent = sent.within(request)
        self._queue(None)
        finish, error, answered_by = None, None, None
        meter.spent = ONE_CALL
        try:
            response, sent = await self._send(sharing or model, request, sent)
            meter.spent, finish = accounted(response, sent.request), response.finish
            answered_by = response.answered_by
            meter.catch_up(response)
            if response.finish == "length" and reservation.capped_by is not None:
                response = response.model_copy(update={"capped_by": reservation.capped_by})
            room = self._run.resources.windows.room(model.name, request)
            known = sent.is_whole and room == math.inf
            return response if known else told(response, sent, request, str(self._caller), room)
        except BaseException as raised:
            error = raised
            if meter.written or not isinstance(raised, Exception):
                meter.spent = meter.usage(prompt_tokens or request_tokens(sent.request))
            elif isinstance(raised, ModelContextError) or (isinstance(raised, RunTaken) and not meter.course.again):
                # Nothing was read: it was refused, so that the call is left to ask again with less, or was not sent.
                meter.spent = NOTHING
            raise
        finally:
            if price is not None:
                meter.spent = price.priced(meter.spent)
            made = sharing is None or sharing.book(meter.spent)
            ledger.settle(reservation, meter.spent, made=made)
            self._report(model.name, meter.seconds, finish, error, answered_by=answered_by, recorded=not made)

    async def _make_sure(self, reservation: Reservation) -> None:
        """Wait until no other process can have the run.

        Raises:
            RunTaken: one has.
        """
        recording = self._run.resources.recording
        if recording is None or recording.surely_held:
            return
        try:
            await recording.make_sure()
        except BaseException:
            self._run.ledger.settle(reservation, NOTHING)
            raise

    def _to_send(self, reservation: Reservation) -> ModelRequest:
        """Return the request with what its limits leave, and with what is told of it meanwhile."""
        settings = self._request.settings
        if reservation.output_tokens != settings.max_tokens:
            settings = settings.model_copy(update={"max_tokens": reservation.output_tokens})
        recording = self._run.resources.recording
        sure = () if recording is None else (recording.make_sure,)
        return self._request.sent_with(settings, self._again, self._queue, *sure)

    async def _send(self, model: Model, request: ModelRequest, sent: Shortened) -> tuple[ModelResponse, Shortened]:
        """Return the answer, and what was answered: `sent`, or the request shortened further."""
        meter = self._meter
        sink = None if meter.on_delta is None else meter
        if self._whole:
            check_fit(self._model, request)
            return await model.request(request, sink), sent
        return await self._run.resources.windows.ask(model, request, sent, sink, lambda: meter.written)

    def _sharing(self) -> SharingModel | None:
        """Return the model for a call whose answer the run may have in common with others; None if it has none so."""
        recording = self._run.resources.recording
        answers = None if recording is None else recording.answers
        return None if answers is None else answers.around(self._model, self._nth)

    def _fitted(self) -> Shortened:
        """Return what is sent, so that it fits into the context that is wanted, and into the one that is known.

        Below the journal, which has it in full: a call keeps its name, and so its answer, whatever is known.
        """
        request, context = self._request, self._context
        if self._whole:
            return shortened(request, context)
        known = self._run.resources.windows.fitted(self._model, request)
        wanted = shortened(request, context) if context < math.inf else known
        if wanted.is_whole or known.is_whole:
            return known if wanted.is_whole else wanted
        return min(wanted, known, key=lambda each: request_tokens(each.request))

    def _price(self) -> Price | None:
        price, ledger = price_of(self._model), self._run.ledger
        if price is None and ledger.limits_cost:
            budgets = (each.budget for each in ledger.all_draws)
            raise unknown_price(self._model, next((each for each in budgets if each.cost_usd is not None), None))
        return price

    def _begins(self) -> None:
        if self._caller.role == "planner":
            self._run.planning.call_began(self._caller.turn)

    def _report(
        self,
        model: str,
        seconds: float,
        finish: str | None,
        error: BaseException | None,
        *,
        answered_by: str | None,
        recorded: bool = False,
    ) -> None:
        meter = self._meter
        self._run.book(self._caller, meter.spent, answered_by)
        if self._name is not None and self._run.listeners.listening:
            course = NOT_MADE if recorded else meter.course
            self._run.emit(
                ModelCalled(
                    name=self._name,
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

    def _waits_for_limits(self) -> None:
        self._queue("limits")

    def _queue(self, behind: Queue | None) -> None:
        if self._meter.queue(behind) and self._name is not None and self._run.listeners.listening:
            self._run.emit(CallQueued(name=self._name, behind=behind))

    def _again(self, reason: Again, message: str) -> None:
        if self._run.resources.recording is not None:
            self._run.resources.recording.check_taken()
        message = redact(message)[:MOST_TOLD]
        self._meter.add_again(reason, message)
        if self._name is not None and self._run.listeners.listening:
            self._run.emit(CallRepeated(name=self._name, reason=reason, message=message))


def unknown_price(model: Model, budget: Budget | None = None) -> ConfigurationError:
    """Return the error for a limit on USD, that of `budget` if there is one, with a `model` of unknown price."""
    limit = "Limits.cost_usd" if budget is None else f"cost_usd of budget {budget.name!r}"
    return ConfigurationError(
        f"{limit} is set, and the price of {model.name} is not known",
        hint="install the extra 'prices', or set it: OpenAIModel(..., price=Price(input=..., output=...))",
    )
