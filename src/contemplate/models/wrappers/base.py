"""Base classes that wrappers around a model share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from ...usage import Price
from ..accounting import broken_off
from ..base import (
    Brevity,
    Connectable,
    Delta,
    DeltaSink,
    Model,
    ModelRequest,
    ModelResponse,
    brevity_of,
    price_of,
)
from ..context_size import ContextSize, context_of
from ..tokens import text_bytes


class Wrapper:
    """Base class that passes on a model's name, price, context size and connections; a subclass adds `request`.

    One that has a call wait, or makes it once more, awaits `request.before_sending()` just before it asks the inner
    model: the call may be another process's by then.
    """

    def __init__(self, inner: Model) -> None:
        self.inner = inner

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.inner!r})"

    @property
    def name(self) -> str:
        """The inner model's name."""
        return self.inner.name

    @property
    def price(self) -> Price | None:
        """The inner model's price."""
        return price_of(self.inner)

    @property
    def brevity(self) -> Brevity | None:
        """How briefly the inner model contemplates by default."""
        return brevity_of(self.inner)

    @property
    def context_size(self) -> ContextSize | None:
        """How much fits into the inner model's context."""
        return context_of(self.inner)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[None]:
        """Keep the inner model's connections open until the context ends."""
        async with AsyncExitStack() as stack:
            if isinstance(self.inner, Connectable):
                await stack.enter_async_context(self.inner.connect())
            yield


async def sent(model: Model, request: ModelRequest, on_delta: DeltaSink | None) -> ModelResponse:
    """Return the answer of `model`, asked by whoever had the call wait, or makes it once more.

    Raises:
        ContemplateError: the call failed, or must not be made any more, as its run is another process's by now.
    """
    await request.before_sending()
    return await model.request(request, on_delta)


class Restarting:
    """A delta sink that passes pieces on, and can tell the receiver to discard them. They were paid for anyway."""

    def __init__(self, on_delta: DeltaSink) -> None:
        self._on_delta = on_delta
        self._passed_on = False
        self._written = 0
        self._lost: list[tuple[int, Price | None]] = []

    def __call__(self, delta: Delta) -> None:
        """Pass `delta` on."""
        self._passed_on = True
        self._written += text_bytes(delta.text) + text_bytes(delta.reasoning)
        self._on_delta(delta)

    def start_over(self, price: Price | None = None) -> None:
        """Tell the receiver to discard what was passed on so far, if anything was.

        Args:
            price: that of the model that broke off; None if it is the one that goes on.
        """
        if self._passed_on:
            self._lost.append((self._written, price))
            self._passed_on, self._written = False, 0
            self._on_delta(Delta(restart=True))

    def with_lost(self, response: ModelResponse) -> ModelResponse:
        """Return `response`, with what the attempts before it cost as part of its usage."""
        if not self._lost:
            return response
        usage = response.usage
        lost = [broken_off(written, usage, price) for written, price in self._lost]
        return response.model_copy(update={"usage": sum(lost, usage)})


class Allowance:
    """A budget for extra calls: a share of the planned ones, saved up to `most`.

    A token bucket that is filled by calls rather than time, like gRPC's retry throttling (gRFC A6): a server that fails
    every call does not receive many times as many.

    Args:
        share: what each planned call adds.
        start: the budget before the first call.
        most: the largest budget that can be saved.
    """

    def __init__(self, share: float, *, start: float, most: float) -> None:
        self._share = share
        self._left = start
        self._most = most

    def earn(self) -> None:
        """Add the share of a planned call."""
        self._left = min(self._most, self._left + self._share)

    def spend(self) -> bool:
        """Return whether an extra call is allowed; if so, count it."""
        if self._left < 1:
            return False
        self._left -= 1
        return True
