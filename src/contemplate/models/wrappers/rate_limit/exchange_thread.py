"""A thread that tells a journal what is new of an account, and whose turn it is in turn."""

from __future__ import annotations

import atexit
import logging
import threading
from math import inf
from uuid import uuid4

from ....boot_clock import boot_clock
from ....errors import JournalBusy, JournalError
from ....redaction import redact
from .account_state import Allowed
from .line import Line
from .shared_accounts import LATE_START, End, Join, News, SharedAccounts, Turns
from .waiting_call import WaitingCall

# Seconds for which a journal that is away is waited for, for how long it is tried, and what is between two tries.
PATIENCE = 30.0
TRY = 3.0
PAUSE = 0.5
# How often in a second all gates of an account together look, and tell what is new.
LOOKS = 80.0
EXCHANGES = 100.0
# Seconds between two looks at least, and after which others do what was the first's to do.
SHORTEST_LOOK = 0.05
LATE = 0.1
# So many calls of a gate wait in the journal, and others wait here, so that looking is never much.
KNOWN = 64
# Seconds that a process waits at its end until what has ended is told.
AT_EXIT = 2.0
# So many calls that ended are told at once.
ENDS = 256


class ExchangeThread:
    """What one process tells of an account, and learns of it. Its methods may be called in any thread.

    The thread is there while there are calls. What comes up while it tells something goes into the next exchange. It
    also says that the process lives, whatever its event loops do.

    Args:
        accounts: those of the journal.
        account: the name of the account.
        allowed: what it allows.

    Attributes:
        out: the calls in flight, of all processes, as far as it is known.
    """

    def __init__(self, accounts: SharedAccounts, account: str, allowed: Allowed) -> None:
        self.out = 0
        self._accounts = accounts
        self._account = account
        self._allowed = allowed
        self._gate = uuid4().hex
        # May be entered again: what is collected as garbage within it may be a call.
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._line: Line[WaitingCall] = Line()
        self._known: dict[str, WaitingCall] = {}
        self._in_flight: set[str] = set()
        self._ends: list[End] = []
        self._says_so = True
        self._gates = 1
        # By `boot_clock`: from when on news may be told; when to say that the process lives, or to let somebody in;
        # when to look; and since when the journal is away.
        self._soonest = self._renew = self._due = self._look = -inf
        self._away = inf

    def join(self, call: WaitingCall) -> None:
        """Let a call wait for its turn."""
        with self._changed:
            self._line.join(call.run, call)
            self._fill()
            if call.name not in self._known:
                call.seen.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="contemplate limits", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def leave(self, call: WaitingCall) -> None:
        """Forget a call that is not made, whether its turn has come or not."""
        with self._changed:
            if call.error is not None:
                return
            if call.permit is None and self._known.pop(call.name, None) is None:
                self._line.leave(call.run, call)
            else:
                self.tell(End(call.name, "unused"))

    def tell(self, end: End) -> None:
        """Tell what became of a call."""
        with self._changed:
            if end.how != "heard" and end.call in self._in_flight:
                self._in_flight.discard(end.call)
                self.out -= 1
            self._ends.append(end)
            self._changed.notify_all()

    def settle(self, seconds: float) -> None:
        """Wait for at most so long until what has ended is told."""
        with self._changed:
            self._changed.wait_for(lambda: not (self._ends and self._thread and self._thread.is_alive()), seconds)

    def _fill(self) -> None:
        """Let calls wait in the journal that wait here."""
        while len(self._known) < KNOWN and (call := self._line.first) is not None:
            self._line.serve(call.run, call)
            self._known[call.name] = call

    # In the thread

    def _work(self) -> None:
        while (exchanges := self._next()) is not None:
            try:
                if exchanges:
                    self._exchange()
                else:
                    asked = boot_clock()
                    self._see(self._accounts.look(self._account, self._gate, self._waiting(), TRY), asked)
            except Exception as error:
                self._fail(error)

    def _next(self) -> bool | None:
        """Wait until something is to be done, and return whether that is an exchange; None if there are no calls."""
        with self._changed:
            while True:
                self._fill()
                if not (self._known or self._in_flight or self._ends):
                    self._thread = None
                    self._changed.notify_all()
                    return None
                news = self._ends or not all(call.told for call in self._known.values())
                exchange = max(self._soonest, -inf if news else min(self._renew, self._due))
                look = self._look if self._known else inf
                now = boot_clock()
                if now >= min(exchange, look):
                    return now >= exchange
                self._changed.wait(min(exchange, look) - now)

    def _waiting(self) -> tuple[str, ...]:
        with self._changed:
            return tuple(call.name for call in self._known.values() if call.told)

    def _exchange(self) -> None:
        with self._changed:
            news = News(
                self._allowed,
                self._says_so,
                [
                    Join(call.name, f"{self._gate} {id(call.run)}", call.tokens)
                    for call in self._known.values()
                    if not call.told
                ],
                tuple(self._ends[:ENDS]),
                tuple(self._known),
            )
            asked = boot_clock()
            self._soonest = asked + self._gates / EXCHANGES
        exchanged = self._accounts.exchange(self._account, self._gate, news, TRY)
        if self._says_so:
            # Else others would wait until this process is known to be dead. What is registered last is called first:
            # before the journal is closed.
            atexit.register(self.settle, AT_EXIT)
        with self._changed:
            self._says_so = False
            self._renew = boot_clock() + self._accounts.lease / 3
            self.out, self._gates = exchanged.out, exchanged.gates
            del self._ends[: len(news.ends)]
            self._see(exchanged.turns, asked)
            for join in news.joins:
                if (call := self._known.get(join.call)) is not None:
                    call.told = True
                    call.wake()
            self._changed.notify_all()

    def _see(self, turns: Turns, asked: float) -> None:
        """Let those go on whose turn it is, as it was some time after `asked`: this process may have stood still since.

        For a lease after that, it surely has the places that it has.
        """
        now = boot_clock()
        with self._changed:
            self._away = inf
            self._look = now + max(SHORTEST_LOOK, self._gates / LOOKS)
            for name, granted in turns.granted.items():
                # Of one that has left meanwhile, that is told next.
                if (call := self._known.pop(name, None)) is not None:
                    call.permit, call.starts = granted.permit, now + granted.seconds
                    call.latest = asked + granted.seconds + self._accounts.lease
                    if self._allowed.window:
                        call.latest = min(call.latest, call.starts + LATE_START)
                    self._in_flight.add(name)
                    call.wake()
            for name in turns.lost:
                if name in self._known:
                    self._known[name].told = False
            self._due = now + turns.due + (0.0 if turns.first else LATE) if self._known else inf

    def _fail(self, error: Exception) -> None:
        """Give up on who has waited for too long; on all, if the journal is not only away."""
        now, passes = boot_clock(), isinstance(error, JournalBusy)
        with self._changed:
            self._away = min(self._away, now)
            for call in (*self._known.values(), *self._line):
                if not passes or now - max(call.came, self._away) >= PATIENCE:
                    self._give_up(call, error)
            if self._ends and not passes:
                said = f"{type(error).__name__}: {redact(str(error))}"
                logging.getLogger("contemplate").warning(
                    "journal was not told of calls of account %r that ended: %s", self._account, said
                )
                self._ends.clear()
                # Under the old name, they are given back when nobody has heard of it for long enough.
                self._gate = uuid4().hex
            self._soonest = self._look = now + PAUSE
            self._changed.notify_all()

    def _give_up(self, call: WaitingCall, error: Exception) -> None:
        if self._known.pop(call.name, None) is None:
            self._line.leave(call.run, call)
        else:
            # It may have been told, although nobody said so.
            self._ends.append(End(call.name, "unused"))
        said = error if isinstance(error, JournalError) else JournalError(f"{type(error).__name__}: {error}")
        call.error = type(said)(f"the limits of account {self._account!r}: {said.message}", hint=said.hint)
        call.wake()
