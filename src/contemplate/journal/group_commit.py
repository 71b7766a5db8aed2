"""Writes of many runs in one transaction: those that come together in an event loop.

A transaction costs more than what is written in it. So whoever writes first lets others join, turn by turn of the event
loop as long as somebody does, and then writes for all of them; each knows before it goes on that its own is on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
from anyio.lowlevel import EventLoopToken, current_token

from ..errors import JournalBusy, JournalError
from .entries import Entry, RunRecord

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
    """

    def __init__(self, write: Callable[[Sequence[Write], float], None]) -> None:
        self._write = write
        self._groups: dict[EventLoopToken, list[_Member]] = {}

    async def write(self, write: Write, patience: float) -> None:
        """Write with whoever does so just now; the event loop waits for other processes for `patience` seconds.

        It is done even if the caller is cancelled meanwhile.

        Raises:
            JournalBusy: others kept the file to themselves.
            JournalError, ValueError: it cannot be written.
        """
        loop, member = current_token(), _Member(write, patience)
        group = self._groups.setdefault(loop, [])
        group.append(member)
        with anyio.CancelScope(shield=True):
            if group[0] is not member:
                await member.ended.wait()
            else:
                try:
                    for _ in range(TURNS):
                        joined = len(group)
                        await anyio.lowlevel.checkpoint()
                        if len(group) == joined:
                            break
                finally:
                    self._write_all(self._groups.pop(loop))
        if member.error is not None:
            raise member.error

    def _write_all(self, group: Sequence[_Member]) -> None:
        patience = max(member.patience for member in group)
        try:
            self._write([member.write for member in group], patience)
        except JournalBusy as error:
            for member in group:
                member.error = JournalBusy(str(error))
        except (JournalError, ValueError):
            self._write_each(group, patience)
        finally:
            for member in group:
                member.ended.set()

    def _write_each(self, group: Sequence[_Member], patience: float) -> None:
        """Write one by one, so that what cannot be written is the failure of whoever wants it."""
        for member in group:
            try:
                self._write([member.write], patience)
            except (JournalError, ValueError) as error:
                member.error = error


class _Member:
    def __init__(self, write: Write, patience: float) -> None:
        self.write = write
        self.patience = patience
        self.error: Exception | None = None
        self.ended = anyio.Event()
