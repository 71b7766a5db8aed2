"""When the records of one run are written: before they are used, unless others keep the journal for too long."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import anyio

from ..errors import JournalBusy, JournalError, RunTaken
from .entries import Entry, Pieces, RunRecord
from .group_commit import Write
from .journal import Journal
from .patience import PATIENCE, QUICK, in_thread

# How long a write may wait for other processes once the run's time is over, and once the run is being cancelled.
LAST_WAIT = 0.2
# How long those who write together wait for a journal that is remote, before each does so by himself.
TOGETHER = 2.0
WAIT_WHEN_CANCELLED = 5.0


class RunWriter:
    """A writer of the records of a run. What could not be written is written with what comes later, or at the end.

    Args:
        journal: the journal.
        run_id: the run.
        known: the digests of pieces of requests that the journal has.

    Attributes:
        deadline: when the run must end: nothing is waited for beyond that.
        problem: why nothing more is written; None if it is.
    """

    def __init__(self, journal: Journal, run_id: str, known: set[str]) -> None:
        self.deadline = math.inf
        self.problem: str | None = None
        self._journal = journal
        self._run_id = run_id
        self._known = known
        self._pending: list[tuple[Entry, Pieces]] = []
        self._complain: Callable[[str], None] = logging.getLogger("contemplate").warning
        self._write_lock = anyio.Lock()
        self._late: str | None = None

    def attach(self, complain: Callable[[str], None], deadline: float) -> None:
        """Set whom to tell, once, if writing fails, and once if it is late, and when the run must end."""
        self._complain = complain
        self.deadline = deadline
        if self._late is not None:
            complain(self._late)

    @contextmanager
    def elsewhere(self, other: RunWriter) -> Iterator[None]:
        """Let `other` write for this run in the block, in another event loop, which this one waits for."""
        other._late = self._late
        try:
            yield
        finally:
            self._pending += other._pending
            self._known |= other._known
            self._late, self.problem = other._late, self.problem or other.problem

    def add(self, entry: Entry, pieces: Pieces = ()) -> None:
        """Add a call, and the pieces of its request, to what is to be written."""
        self._pending.append((entry, pieces))

    async def begin(self, run: RunRecord, patience: float) -> None:
        """Write that the run is active.

        Raises:
            JournalError: it cannot be written.
        """
        write = Write(self._run_id, run=run)
        try:
            try:
                await self._journal.together.write(write, self._at_once)
            except JournalBusy:
                await in_thread(self._journal.write, [write], patience)
        except JournalBusy as error:
            # The question can be answered all the same.
            self.fall_behind(error)
        except ValueError as error:
            raise JournalError(
                f"run {self._run_id!r} cannot be recorded: {error}",
                hint="what it is asked, its labels included, must be text that UTF-8 has",
            ) from error

    async def write(self) -> None:
        """Write what was added, and wait for others for half of the time that the run has left.

        Raises:
            RunTaken: another process has the run.
        """
        if not await self._write_together() and self._late is None:
            try:
                await self._write_patiently(self._patience(share=0.5, least=QUICK))
            except JournalBusy as error:
                self.fall_behind(error)

    async def end(self, run: RunRecord) -> None:
        """Write what was added, and how the run ended; others are waited for while it has time.

        Raises:
            RunTaken: another process has the run.
        """
        patience = LAST_WAIT if self._late is not None else self._patience(share=1.0, least=LAST_WAIT)
        if await self._write_together(run):
            return
        try:
            await self._write_patiently(patience, run)
        except JournalBusy as error:
            self._give_up(error)

    def write_now(self, run: RunRecord | None = None) -> None:
        """Write what is pending without a turn of the event loop, if nobody else keeps the journal."""
        # Calls are cut off by the hundred, and can be written later; the end of a run cannot.
        if run is None and self._journal.remote:
            return
        patience = 0.0 if run is None else min(self._at_once, LAST_WAIT)
        if not (self._write_lock.locked() or self._has_nothing(run)):
            with suppress(JournalBusy, RunTaken), self._writing(run) as write:
                self._journal.write([write], patience)

    async def _write_together(self, run: RunRecord | None = None) -> bool:
        """Write what is pending with other runs of this event loop, and return False if others keep the journal.

        Not while `_write_patiently` waits for them, so that they hold up the event loop once.
        """
        if self._write_lock.locked():
            return False
        if self._has_nothing(run):
            return True
        try:
            with self._writing(run) as write:
                await self._journal.together.write(write, self._at_once)
        except JournalBusy:
            return False
        return True

    async def _write_patiently(self, patience: float, run: RunRecord | None = None) -> None:
        """Write what is pending, and wait for others in a thread.

        Raises:
            JournalBusy: they are not done.
        """
        # Shielded, as the answer is already paid for, and others write only briefly.
        with anyio.CancelScope(shield=True):
            # One thread at a time. What is pending is taken here, as more may be added while it waits.
            async with self._write_lock:
                if self._has_nothing(run) or (self._late is not None and run is None):
                    return
                with self._writing(run) as write:
                    await in_thread(self._journal.write, [write], patience)

    def _patience(self, *, share: float, least: float) -> float:
        """Return how long a write may wait for others: a share of the time left, so that the answer still counts.

        Call it outside of the shield, which hides the caller's deadline.
        """
        now, ends = anyio.current_time(), anyio.current_effective_deadline()
        longest = PATIENCE
        if ends == -math.inf:
            longest, ends = WAIT_WHEN_CANCELLED, math.inf
        return min(longest, max((min(self.deadline, ends) - now) * share, least))

    def _has_nothing(self, run: RunRecord | None) -> bool:
        return self.problem is not None or (run is None and not self._pending)

    @property
    def _at_once(self) -> float:
        """For how many seconds all who write together may wait; whoever has waited once hardly does so again."""
        if self._journal.remote:
            return TOGETHER if self._late is None else LAST_WAIT
        # The event loop is held up meanwhile.
        return QUICK if self._late is None else 0.0

    @contextmanager
    def _writing(self, run: RunRecord | None) -> Iterator[Write]:
        """Lend what is to be written: the pending calls, and `run`. What could not be written is pending again.

        Raises:
            JournalBusy, RunTaken: as they were raised in the block; other errors end the recording.
        """
        pending, self._pending = self._pending, []
        parts = {digest: text for _, pieces in pending for digest, text in pieces if digest not in self._known}
        write = Write(self._run_id, [entry for entry, _ in pending], parts, run)
        try:
            yield write
        except JournalBusy:
            self._pending = [*pending, *self._pending]
            raise
        except RunTaken:
            raise
        except Exception as error:
            # Whatever it is, such as no memory for a copy: the answer is paid for, and is there.
            self._give_up(error)
        except BaseException:
            # Perhaps it was written: then it is so once more.
            self._pending = [*pending, *self._pending]
            raise
        else:
            self._known.update(parts)
            self._late = None

    def stop(self, error: RunTaken) -> None:
        """Write nothing more of a run that another process has."""
        self.problem = self.problem or str(error)

    def fall_behind(self, error: JournalBusy) -> None:
        """Go on without waiting any more."""
        if self._late is None:
            self._late = f"what is answered now is recorded later: {error}"
            self._complain(self._late)

    def _give_up(self, error: Exception) -> None:
        """Report once that the run is not recorded any more; it goes on."""
        if self.problem is None:
            self.problem = f"the run is no longer recorded: {str(error) or type(error).__name__}"
            self._complain(self.problem)
