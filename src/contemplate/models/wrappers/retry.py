"""Retry calls after transient errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import anyio

from ...arguments import checked_arguments
from ...errors import ConfigurationError, ModelError
from ..base import DeltaSink, Model, ModelRequest, ModelResponse, RunMark, outermost_run
from .base import Allowance, Restarting, Wrapper, sent

if TYPE_CHECKING:
    from tenacity import RetryCallState

FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0
FIRST_RETRIES = 10
SAVED_RETRIES = 100


class Retry(Wrapper):
    """A model that retries `inner` after transient errors: no connection, timeouts, 408, 409, 429 and 5xx.

    The wait doubles with each attempt, with full jitter, and is never shorter than the server asked for. If it would
    not end before the caller's deadline, the error is raised at once. A stream that breaks after its first piece starts
    over with `Delta(restart=True)`; what it cost is part of the response's usage.

    Args:
        inner: the model.
        attempts: the largest number of attempts, including the first.
        longest_wait: in seconds; if the server asks for more, its error is raised at once.
        share: retries are at most this share of a run's calls, plus ten; the same applies to all calls through this
            object, from all runs. Unused retries are saved, up to a hundred.

    Raises:
        ConfigurationError: `attempts` is less than one, or `share` is negative.
    """

    @checked_arguments
    def __init__(
        self, inner: Model, *, attempts: int = 4, longest_wait: float = LONGEST_WAIT, share: float = 0.2
    ) -> None:
        if attempts < 1:
            raise ConfigurationError(f"Retry(attempts={attempts}): at least one attempt is needed")
        if share < 0:
            raise ConfigurationError(f"Retry(share={share}): the share must not be negative")
        super().__init__(inner)
        self._attempts = attempts
        self._longest_wait = longest_wait
        self._share = share
        self._allowance = self._new_allowance()
        self._of_run: WeakKeyDictionary[RunMark, Allowance] = WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"Retry({self.inner!r}, attempts={self._attempts})"

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Answer `request`, with as many attempts as needed and allowed.

        Raises:
            ModelError: the last attempt's error.
        """
        from tenacity import AsyncRetrying, retry_if_exception

        for allowance in self._allowances():
            allowance.earn()
        sink = None if on_delta is None else Restarting(on_delta)
        attempts = AsyncRetrying(
            retry=retry_if_exception(self._is_transient),
            stop=self._should_stop,
            wait=self._wait,
            sleep=anyio.sleep,
            before_sleep=lambda state: _again(state, request, sink),
            reraise=True,
        )
        response: ModelResponse = await attempts(sent, self.inner, request, sink)
        return response if sink is None else sink.with_lost(response)

    def _is_transient(self, error: BaseException) -> bool:
        return isinstance(error, ModelError) and error.transient and (error.retry_after or 0.0) <= self._longest_wait

    def _should_stop(self, state: RetryCallState) -> bool:
        # Called only after a transient failure. The allowance comes last, so that it is spent only on actual retries.
        if state.attempt_number >= self._attempts:
            return True
        if anyio.current_time() + state.upcoming_sleep >= anyio.current_effective_deadline():
            return True
        return not all(allowance.spend() for allowance in self._allowances())

    def _new_allowance(self) -> Allowance:
        return Allowance(self._share, start=FIRST_RETRIES, most=SAVED_RETRIES)

    def _allowances(self) -> Sequence[Allowance]:
        """Return the allowances that a retry counts against: the run's, and this object's."""
        run = outermost_run()
        if run is None:
            return (self._allowance,)
        return self._of_run.setdefault(run, self._new_allowance()), self._allowance

    def _wait(self, state: RetryCallState) -> float:
        from tenacity import wait_random_exponential

        jittered = wait_random_exponential(multiplier=FIRST_WAIT, max=self._longest_wait)(state)
        error = state.outcome.exception() if state.outcome is not None else None
        requested = error.retry_after if isinstance(error, ModelError) else None
        return max(jittered, requested or 0.0)


def _again(state: RetryCallState, request: ModelRequest, sink: Restarting | None) -> None:
    error = None if state.outcome is None else state.outcome.exception()
    request.on_again("retried", "" if error is None else str(error))
    if sink is not None:
        sink.start_over()
