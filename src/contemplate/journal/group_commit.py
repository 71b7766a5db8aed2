"""Writes of many runs in one transaction: those that come together in an event loop.

A transaction costs more than what is written in it. So whoever writes first lets others join, turn by turn of the event
loop as long as somebody does, and then writes for all of them; each knows before it goes on that its own is on disk.
They go on one by one, in the order in which they are on disk: a replay knows no other.

Where the journal is remote, it is written in a thread, and all who come meanwhile are the next to write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
from anyio.lowlevel import EventLoopToken, current_token

from ..errors import JournalBusy
from .entries import Entry, RunRecord
from .patience import in_thread

# For so many turns of the event loop others may join.
TURNS = 8


@dataclass(frozen=True, slots=True)
class Write:
    """What is written of a run: calls that ended, the pieces of their requests by digest, the record of the run."""

    run_id: str
    entries: Sequence[Entry] = ()
    parts: Mapping[str, str] = field(default_factory=dict)
    run: RunRecord | None = None


class GroupCommit:
    """The writes to one journal from any number of event loops.

    Args:
        write: writes them all, in one transaction, within so many seconds; or raises.
        remote: tells whether no event loop may wait for that.
    """

    def __init__(
        self, write: Callable[[Sequence[Write], float], None], remote: Callable[[], bool] = lambda: False
    ) -> None:
        self._write = write
        self._remote = remote
        # In each event loop, those who may still be joined, and those who were before them.
        self._groups: dict[EventLoopToken, _Group] = {}
        self._before: dict[EventLoopToken, _Group] = {}

    async def write(self, write: Write, patience: float) -> None:
        """Write with whoever does so just now; the event loop waits for other processes for `patience` seconds.

        It is done even if the caller is cancelled meanwhile.

        Raises:
            JournalBusy: others kept the file to themselves, or whoever wrote for all was interrupted.
            JournalError, ValueError: it cannot be written; any other exception of the writing, too.
        """
        loop, member = current_token(), _Member(write, patience)
        group = self._groups.setdefault(loop, _Group())
        group.members.append(member)
        with anyio.CancelScope(shield=True):
            try:
                if group.members[0] is member:
                    await self._lead(group, loop)
                else:
                    await group.turn(member)
            finally:
                before = self._before.get(loop)
                if before is not None and before.over.is_set():
                    del self._before[loop]
        if not member.over:
            raise member.error or JournalBusy("the write was interrupted")

    async def _lead(self, group: _Group, loop: EventLoopToken) -> None:
        """Wait until those before are over, and for those who join; then write, whatever happens, and let them go."""
        before = self._before.get(loop)
        try:
            if before is not None:
                await before.over.wait()
            for _ in range(TURNS):
                joined = len(group.members)
                await anyio.lowlevel.checkpoint()
                if len(group.members) == joined:
                    break
        finally:
            try:
                self._before[loop] = self._groups.pop(loop)
                if self._remote():
                    await in_thread(self._write_all, group.members)
                else:
                    self._write_all(group.members)
            finally:
                group.begin(before)

    def _write_all(self, group: Sequence[_Member]) -> None:
        patience = max(member.patience for member in group)
        try:
            self._write([member.write for member in group], patience)
        except JournalBusy as error:
            for member in group:
                member.error = JournalBusy(str(error))
        except Exception:
            self._write_each(group, patience)
        else:
            for member in group:
                member.over = True

    def _write_each(self, group: Sequence[_Member], patience: float) -> None:
        """Write one by one, so that what cannot be written is the failure of whoever wants it."""
        for member in group:
            try:
                self._write([member.write], patience)
                member.over = True
            except Exception as error:
                member.error = error
                if isinstance(error, JournalBusy):
                    # Other processes are waited for once.
                    patience = 0.0


class _Group:
    """Those who write together, the first of whom writes for all."""

    def __init__(self) -> None:
        self.members: list[_Member] = []
        self.over = anyio.Event()
        self._next = 1
        self._after: _Group | None = None

    def begin(self, before: _Group | None) -> None:
        """Let the second one go on, as soon as those `before` have: the first may be cancelled while it waits."""
        if before is None or before.over.is_set():
            self.go_on()
        else:
            before._after = self

    async def turn(self, member: _Member) -> None:
        """Wait until it is written, and those before it have gone on."""
        try:
            await member.ended.wait()
        finally:
            # asyncio's own cancellation does not stop at shields.
            member.gone = True
            if member.ended.is_set():
                self.go_on()

    def go_on(self) -> None:
        """Let the next one go on who still waits, a turn of the event loop after whoever was before it."""
        for member in self.members[self._next :]:
            self._next += 1
            if not member.gone:
                member.ended.set()
                return
        self.over.set()
        if self._after is not None:
            self._after.go_on()


class _Member:
    def __init__(self, write: Write, patience: float) -> None:
        self.write = write
        self.patience = patience
        # Whoever writes may be interrupted, by Ctrl-C for instance, without an error of any other: they can try again.
        self.over = False
        self.error: Exception | None = None
        self.ended = anyio.Event()
        self.gone = False
