"""What wrappers around a model share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from ...usage import Price
from ..base import Connectable, Delta, DeltaSink, Model, price_of


class Wrapper:
    """A model's name and connections, passed on; a subclass adds `request`."""

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

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[None]:
        """Keep the inner model's connections until the context ends."""
        async with AsyncExitStack() as stack:
            if isinstance(self.inner, Connectable):
                await stack.enter_async_context(self.inner.connect())
            yield


class Restarting:
    """Passes pieces on, and says so when what was passed on is void."""

    def __init__(self, on_delta: DeltaSink) -> None:
        self._on_delta = on_delta
        self._said = False

    def __call__(self, delta: Delta) -> None:
        """Pass `delta` on."""
        self._said = True
        self._on_delta(delta)

    def start_over(self) -> None:
        """What was said so far is void, if anything was."""
        if self._said:
            self._said = False
            self._on_delta(Delta(restart=True))


class Allowance:
    """How many calls may be made beyond the planned ones: a share of those, saved up to `most`.

    A token bucket that calls fill and not time, as gRPC's retry throttling is (gRFC A6): a server that fails in every
    call is not asked many times as often.

    Args:
        share: what each planned call adds.
        start: what there is before the first.
        most: what can be saved.
    """

    def __init__(self, share: float, *, start: float, most: float) -> None:
        self._share = share
        self._left = start
        self._most = most

    def earn(self) -> None:
        """A planned call is made."""
        self._left = min(self._most, self._left + self._share)

    def spend(self) -> bool:
        """Whether there may be one more call; if so, it is counted."""
        if self._left < 1:
            return False
        self._left -= 1
        return True
