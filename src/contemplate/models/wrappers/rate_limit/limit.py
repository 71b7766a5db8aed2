"""Rate limits for all models of an account: requests and tokens per minute, and concurrent calls."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import anyio

from ....arguments import checked_arguments
from ....errors import ConfigurationError, ModelRateLimitError
from ...base import Delta, DeltaSink, Model, ModelRequest, ModelResponse, outermost_run
from ...per_loop import PerLoop
from ..base import Wrapper, sent
from .account_state import Allowed
from .gate import Gate
from .local_gate import LocalGate
from .pacing import AccountLimits
from .shared_accounts import AnyJournal, SharedAccounts, accounts_in
from .shared_gate import shared_gate

LONGEST_NAME = 200


class Limit(Wrapper):
    """A model whose calls wait until the rate limits of the account allow them.

    All models of one account in an event loop share its limits; with a journal, those of all event loops, processes and
    machines that name the same journal and account. Tokens are estimated before a call and corrected by
    its usage; without `ModelSettings.max_tokens`, the answer is assumed to be as long as earlier ones. When the
    provider refuses a call for its rate limit, the number of concurrent calls is halved, and then grows again with each
    answer; a pause that the provider asks for applies to all calls. A refused call waits for its turn again while
    others are in flight, as it was one too many beside them; its error is raised if it was alone. Runs take turns, and
    the calls of each run keep their order.

    With a journal, each process says what the limits are when it begins, and the last one that did is right. The places
    of a process that was killed are free again 15 seconds later; what its calls were expected to take counts. A journal
    that is locked or away is waited for; then calls that wait for their turn fail, and those that were made do not.

    Put `Retry` around it, not inside it, so that a call that waits for a retry does not count as concurrent.

    Args:
        inner: the model.
        requests_per_minute: may be used all at once, as most providers count them; None for no limit.
        tokens_per_minute: input and output together; None for no limit.
        concurrency: concurrent calls; if None, as many as the provider accepts.
        window: whether the limits hold for any 60 seconds. By default they are token buckets, as OpenAI's and
            Anthropic's are: full at first and refilled meanwhile, so that the first minute has room for almost twice
            as many.
        account: the account that the limits apply to; the model's name if None.
        journal: "sqlite:///runs.db", "postgresql://..." or a `Journal`, where processes share the limits; if None, each
            event loop has its own.

    Raises:
        ConfigurationError: a limit is less than one, or the journal's name has no known form.
        MissingDependencyError: the journal is in PostgreSQL, and the extra "cluster" is not installed.
    """

    @checked_arguments
    def __init__(
        self,
        inner: Model,
        *,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        concurrency: int | None = None,
        window: bool = False,
        account: str | None = None,
        journal: str | AnyJournal | None = None,
    ) -> None:
        super().__init__(inner)
        limits = (requests_per_minute, tokens_per_minute, concurrency)
        self._allowed = Allowed(*limits, window)
        if any(limit is not None and limit < 1 for limit in limits):
            raise ConfigurationError(f"Limit{limits}: a limit must be at least 1", hint="None means no limit")
        self._account = account or inner.name
        self._accounts = None if journal is None else accounts_in(journal)
        if journal is not None and not (len(self._account) <= LONGEST_NAME and self._account.isprintable()):
            raise ConfigurationError(
                f"Limit(account={self._account!r:.80})",
                hint=f"with a journal, 1 to {LONGEST_NAME} characters that can be printed",
            )

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Answer `request` when the limits allow it.

        Raises:
            ConfigurationError: another model of the account has other limits.
            JournalError: the account's journal is locked, away or broken.
            ModelError: the call failed.
        """
        gate = _gate_of(self._account, self._allowed, self._accounts)
        while True:
            permit = await gate.enter(outermost_run(), request)
            sink = on_delta
            if permit.probe and on_delta is not None:
                sink = _FirstPiece(on_delta, partial(gate.heard, permit))
            try:
                response = await sent(self.inner, request, sink)
            except ModelRateLimitError as error:
                if not error.transient:
                    gate.ended(permit)
                    raise
                one_too_many = gate.refused(permit, error.retry_after)
                if not one_too_many or _is_too_late(error):
                    raise
                continue
            except BaseException:
                gate.ended(permit)
                raise
            gate.answered(permit, response)
            return response


def _is_too_late(error: ModelRateLimitError) -> bool:
    return anyio.current_time() + (error.retry_after or 0.0) >= anyio.current_effective_deadline()


class _FirstPiece:
    """A delta sink that passes pieces on, and calls `on_first` at the first."""

    def __init__(self, on_delta: DeltaSink, on_first: Callable[[], None]) -> None:
        self._on_delta = on_delta
        self._on_first: Callable[[], None] | None = on_first

    def __call__(self, delta: Delta) -> None:
        if self._on_first is not None:
            self._on_first()
            self._on_first = None
        self._on_delta(delta)


_gates: PerLoop[dict[str, tuple[Allowed, LocalGate]]] = PerLoop("gates", dict)


def _gate_of(account: str, allowed: Allowed, accounts: SharedAccounts | None) -> Gate:
    gate: Gate
    if accounts is None:
        known, gate = _gates.here().setdefault(account, (allowed, LocalGate(AccountLimits(*allowed))))
    else:
        gate = shared = shared_gate(accounts, account, allowed)
        known = shared.allowed
    if known != allowed:
        raise ConfigurationError(
            f"Limit: account {account!r} has the limits {tuple(known)} elsewhere, but {tuple(allowed)} here",
            hint="use the same limits, or another account",
        )
    return gate
