"""Model calls: the one door through which all of them go. Here a call gets its name, its share and its event."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from time import perf_counter

import anyio
from pydantic_core import to_json

from .budget import Ledger
from .events import CallName, Event, ModelCalled, Speaker
from .mailbox import Mailbox
from .models import Connectable, Delta, DeltaSink, Model, ModelRequest, ModelResponse
from .result import ErrorInfo
from .usage import Usage

BYTES_PER_TOKEN = 3
IMAGE_TOKENS = 1000

Listener = Callable[[Event], None]


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


class Caller:
    """Makes the model calls of one run, within its limits.

    Connections that a model opens are kept until `stack` is closed, at the end of the run.
    """

    def __init__(self, run_id: str, ledger: Ledger, events: Events, stack: AsyncExitStack) -> None:
        self.ledger = ledger
        self.events = events
        self._run_id = run_id
        self._stack = stack
        self._connected: set[int] = set()
        self._spent_on: dict[str, Usage] = {}
        concurrency = ledger.limits.concurrency
        self._slots = None if concurrency is None else anyio.Semaphore(concurrency)

    def spent_on(self, task: str) -> Usage:
        """What the calls for a task have cost so far, failed ones included."""
        return self._spent_on.get(task, Usage())

    async def call(
        self,
        role: Speaker,
        model: Model,
        request: ModelRequest,
        *,
        task: str | None,
        turn: int,
        on_delta: DeltaSink | None,
        within: tuple[str, ...] = (),
    ) -> ModelResponse:
        """One call. It is booked on `task`, and on the tasks `within` which that one is nested.

        Raises:
            ModelError: the call failed.
            LimitExceeded: a limit leaves no room for it.
        """
        await self._connect(model)
        if self._slots is None:
            return await self._paid(role, model, request, task, turn, on_delta, within)
        async with self._slots:
            return await self._paid(role, model, request, task, turn, on_delta, within)

    async def _paid(
        self,
        role: Speaker,
        model: Model,
        request: ModelRequest,
        task: str | None,
        turn: int,
        on_delta: DeltaSink | None,
        within: tuple[str, ...],
    ) -> ModelResponse:
        prompt_tokens = estimate(request)
        wanted = request.settings.max_tokens
        reservation = await self.ledger.reserve(prompt_tokens, wanted, aggregator=role == "aggregator")
        if reservation.output_tokens != wanted:
            settings = request.settings.model_copy(update={"max_tokens": reservation.output_tokens})
            request = replace(request, settings=settings)
        meter = _Meter(on_delta)
        started = perf_counter()
        usage, finish, error = Usage(calls=1, cost_usd=None), None, None
        try:
            response = await model.request(request, None if on_delta is None else meter)
            usage, finish = response.usage, response.finish
            meter.catch_up(response)
            return response
        except BaseException as raised:
            error = raised
            if meter.written or not isinstance(raised, Exception):
                usage = meter.usage(prompt_tokens)
            raise
        finally:
            self.ledger.settle(reservation, usage)
            for each in (*within, *filter(None, (task,))):
                self._spent_on[each] = self.spent_on(each) + usage
            if self.events.listening:
                name = CallName(run=self._run_id, role=role, task=task, turn=turn)
                info = None if error is None else ErrorInfo.of(error)
                seconds = perf_counter() - started
                self.events.emit(
                    ModelCalled(name=name, model=model.name, usage=usage, seconds=seconds, finish=finish, error=info)
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


class Within(Caller):
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
        within: tuple[str, ...] = (),
    ) -> ModelResponse:
        """One call, paid as its task's: no share is kept for what aggregates within a task.

        Raises:
            ModelError: the call failed.
            LimitExceeded: a limit leaves no room for it.
        """
        return await self._outer.call(
            "subagent",
            model,
            request,
            task=self._named(task or role),
            turn=turn,
            on_delta=on_delta,
            within=(self._task, *map(self._named, within)),
        )

    def _named(self, task: str) -> str:
        return f"{self._task}/{task}"


class StreamedCall:
    """A call in progress: iterate over its deltas; then `response` is there. Raises what the call raised."""

    def __init__(self) -> None:
        self.deltas: Mailbox[Delta] = Mailbox()
        self.response: ModelResponse | None = None
        self.error: Exception | None = None

    @property
    def finished(self) -> ModelResponse:
        """The whole response; only after the last delta."""
        if self.response is None:
            raise RuntimeError("the call is not over: iterate over its deltas to the end first")
        return self.response

    def __aiter__(self) -> StreamedCall:
        return self

    async def __anext__(self) -> Delta:
        try:
            return await self.deltas.__anext__()
        except StopAsyncIteration:
            if self.error is not None:
                raise self.error from None
            raise


class _Meter:
    """Passes pieces on and counts them: a call that is cut off is paid for, though nobody reports how much it was."""

    def __init__(self, on_delta: DeltaSink | None) -> None:
        self._on_delta = on_delta
        self._shown = False
        self.written = 0

    def __call__(self, delta: Delta) -> None:
        self.written += len(delta.text) + len(delta.reasoning)
        self._shown = bool(delta.text) or (self._shown and not delta.restart)
        if self._on_delta is not None:
            self._on_delta(delta)

    def catch_up(self, response: ModelResponse) -> None:
        """Hand over in one piece what a model that does not stream has said."""
        if response.message.text and not self._shown and self._on_delta is not None:
            self._on_delta(Delta(response.message.text))

    def usage(self, prompt_tokens: int) -> Usage:
        """An estimate of what the call had cost when it was cut off."""
        output_tokens = -(-self.written // BYTES_PER_TOKEN)
        return Usage(calls=1, input_tokens=prompt_tokens, output_tokens=output_tokens, cost_usd=None)


def estimate(request: ModelRequest) -> int:
    """How many tokens a prompt has, roughly and rather too many than too few."""
    # Bytes and not characters: a character of Chinese, say, is a token or more by itself.
    size = sum(len(message.text.encode(errors="replace")) for message in request.messages)
    size += sum(len(call.arguments) for message in request.messages for call in message.tool_calls)
    size += sum(len(tool.description) + len(to_json(tool.parameters)) for tool in request.tools)
    if request.output_schema is not None:
        size += len(to_json(request.output_schema.schema))
    images = sum(len(message.images) for message in request.messages)
    return size // BYTES_PER_TOKEN + IMAGE_TOKENS * images + 8 * len(request.messages)
