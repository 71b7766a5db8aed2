"""Asking again when a call failed for a reason that may pass."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from ..errors import ConfigurationError, ModelError
from .base import Connectable, Delta, DeltaSink, Model, ModelRequest, ModelResponse

if TYPE_CHECKING:
    from tenacity import RetryCallState

FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0


class Retry:
    """A model that asks `inner` again after errors that may pass: no connection, timeouts, 408, 409, 429 and 5xx.

    The wait doubles from one attempt to the next, with full jitter, and is never shorter than what the server asked
    for. A stream that breaks after its first piece starts over with `Delta(restart=True)`.

    Args:
        inner: the model.
        attempts: how often it is asked at most, the first time included.
        longest_wait: seconds; if the server asks for more than that, its error is raised at once.

    Raises:
        ConfigurationError: `attempts` is less than one.
    """

    def __init__(self, inner: Model, *, attempts: int = 4, longest_wait: float = LONGEST_WAIT) -> None:
        if attempts < 1:
            raise ConfigurationError(f"Retry(attempts={attempts}): at least one attempt is needed")
        self.inner = inner
        self._attempts = attempts
        self._longest_wait = longest_wait

    def __repr__(self) -> str:
        return f"Retry({self.inner!r}, attempts={self._attempts})"

    @property
    def name(self) -> str:
        """The inner model's name."""
        return self.inner.name

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[None]:
        """Keep the inner model's connections until the context ends."""
        async with AsyncExitStack() as stack:
            if isinstance(self.inner, Connectable):
                await stack.enter_async_context(self.inner.connect())
            yield

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Answer `request`, with as many attempts as it takes and are allowed.

        Raises:
            ModelError: the last attempt's error.
        """
        from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt

        sink = None if on_delta is None else _Restarting(on_delta)
        attempts = AsyncRetrying(
            retry=retry_if_exception(self._may_pass),
            stop=stop_after_attempt(self._attempts),
            wait=self._wait,
            sleep=anyio.sleep,
            before_sleep=None if sink is None else sink.start_over,
            reraise=True,
        )
        response: ModelResponse = await attempts(self.inner.request, request, sink)
        return response

    def _may_pass(self, error: BaseException) -> bool:
        return isinstance(error, ModelError) and error.transient and (error.retry_after or 0.0) <= self._longest_wait

    def _wait(self, state: RetryCallState) -> float:
        from tenacity import wait_random_exponential

        jittered = wait_random_exponential(multiplier=FIRST_WAIT, max=self._longest_wait)(state)
        error = state.outcome.exception() if state.outcome is not None else None
        asked = error.retry_after if isinstance(error, ModelError) else None
        return max(jittered, asked or 0.0)


class _Restarting:
    """Passes pieces on, and says so when what was passed on is void."""

    def __init__(self, on_delta: DeltaSink) -> None:
        self._on_delta = on_delta
        self._said = False

    def __call__(self, delta: Delta) -> None:
        self._said = True
        self._on_delta(delta)

    def start_over(self, state: RetryCallState) -> None:
        if self._said:
            self._said = False
            self._on_delta(Delta(restart=True))
