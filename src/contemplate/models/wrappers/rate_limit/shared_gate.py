"""The gate of an account that processes share, for the calls of all event loops of one of them."""

from __future__ import annotations

import os
import threading
from collections.abc import Hashable

import anyio

from ....boot_clock import boot_clock
from ....errors import JournalError
from ...base import ModelRequest, ModelResponse, RunMark
from .account_state import LONGEST_PAUSE, Allowed, Pass
from .exchange_thread import ExchangeThread
from .gate import UsualOutput
from .shared_accounts import End, SharedAccounts
from .waiting_call import WaitingCall


class SharedGate:
    """The queue of calls for one account, whose order is that of all processes. See `Gate`.

    Args:
        accounts: those of the journal.
        account: the name of the account.
        allowed: what it allows.
    """

    def __init__(self, accounts: SharedAccounts, account: str, allowed: Allowed) -> None:
        self.allowed = allowed
        self._account = account
        self._thread = ExchangeThread(accounts, account, allowed)
        self._output = UsualOutput()
        self._process = os.getpid()

    async def enter(self, run: RunMark | None, request: ModelRequest) -> Pass:
        """Wait for a turn, and return the permit."""
        tokens = self._output.estimate(request)
        call, permit = await self._turn(run, tokens, request)
        try:
            await request.before_sending()
        except BaseException:
            self._thread.leave(call)
            raise
        if boot_clock() > call.latest:
            # As the process, or its event loop, stood still: others may start in its place by now. Once, as one that
            # always does so would never start anything.
            self._thread.leave(call)
            call, permit = await self._turn(run, tokens, request)
        return permit

    async def _turn(self, run: RunMark | None, tokens: float, request: ModelRequest) -> tuple[WaitingCall, Pass]:
        call = WaitingCall(run, tokens)
        self._thread.join(call)
        waits = False
        try:
            await call.seen.wait()
            waits = not call.over.is_set()
            if waits:
                request.on_queue("rate")
                await call.over.wait()
            if call.permit is None:
                raise call.error or JournalError(f"the limits of account {self._account!r} cannot be known")
            await anyio.sleep(max(0.0, call.starts - boot_clock()))
        except BaseException:
            self._thread.leave(call)
            raise
        if waits:
            request.on_queue(None)
        return call, call.permit

    def heard(self, permit: Pass) -> None:
        """Note that the answer has begun."""
        self._tell(End(permit.call, "heard"))

    def answered(self, permit: Pass, response: ModelResponse) -> None:
        """Note that the call was answered."""
        usage = response.usage
        self._output.learn(usage)
        self._tell(End(permit.call, "answered", max(1, usage.calls), usage.total_tokens))

    def refused(self, permit: Pass, retry_after: float | None) -> bool:
        """Note that the provider refused the call for its rate limit; return whether it was one too many."""
        self._tell(End(permit.call, "refused", retry_after=retry_after))
        return self._thread.out > 0 and (retry_after or 0.0) <= LONGEST_PAUSE

    def ended(self, permit: Pass) -> None:
        """Note that the call failed otherwise, or was cancelled."""
        self._tell(End(permit.call, "ended"))

    def _tell(self, end: End) -> None:
        # In a fork, a call of the process that was forked is nobody's.
        if self._process == os.getpid():
            self._thread.tell(end)


_gates: dict[tuple[int, Hashable, str], SharedGate] = {}
_making = threading.Lock()


def shared_gate(accounts: SharedAccounts, account: str, allowed: Allowed) -> SharedGate:
    """Return the gate of an account in this process; `allowed` is for a new one."""
    key = (os.getpid(), accounts.key, account)
    with _making:
        if key not in _gates:
            _gates[key] = SharedGate(accounts, account, allowed)
        return _gates[key]
