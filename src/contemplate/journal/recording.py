"""Record a run in a journal while it is active."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from time import perf_counter
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread

from ..errors import JournalBusy, JournalError, error_info
from ..messages import ImagePart, ToolCall
from ..models import ModelRequest, ModelResponse
from ..result import ErrorInfo
from ..usage import NOTHING, Price, Usage
from .entries import Asked, CallOutcome, Entry, RunRecord, Voice, digest_of, request_parts, tool_parts
from .sqlite import PATIENCE, QUICK, Journal

Pending = tuple[Entry, Mapping[str, str]]


class Recording:
    """A recorder of the calls of a run, which returns recorded results to a run that is resumed.

    A call that was answered is not made again; one that failed or was cut off is.
    """

    def __init__(self, journal: Journal, run: RunRecord, entries: Sequence[Entry] = ()) -> None:
        self.run = run
        self._complain: Callable[[str], None] = logging.getLogger("contemplate").warning
        self._time_is_up: Callable[[], None] = lambda: None
        self._journal = journal
        self._entries = {entry.slot: entry for entry in entries}
        self._claimed: set[str] = set()
        self._known = {digest for entry in entries for digest in entry.parts}
        self._counts: Counter[str] = Counter()
        self._pending: list[Pending] = []
        self._write_lock = anyio.Lock()
        self._broken = False
        self._run_started = perf_counter()

    def attach(self, *, complain: Callable[[str], None], time_is_up: Callable[[], None]) -> None:
        """Set callbacks: `complain`, called once if recording fails, and `time_is_up`, for a recorded deadline."""
        self._complain = complain
        self._time_is_up = time_is_up

    def spent_before(self, price: Price | None) -> Usage:
        """Return the usage of all recorded calls, those too that will be made again.

        A cost that was not known then is that of `price`, so that a limit on USD holds for the whole run.
        """
        return _sum(self._entries.values(), price)

    def spent_now(self, entry: Entry) -> Usage:
        """Return the usage to book when `entry` is used: it was booked before."""
        return NOTHING

    def unclaimed(self) -> Usage:
        """Return the usage to book of recorded calls that this run did not use: it was booked before."""
        return NOTHING

    def asked(self, path: str, role: Voice, task: str | None, turn: int, model: str, request: ModelRequest) -> Asked:
        """Return the key of a model call, numbered among equal ones."""
        return self._key(path, role, task, turn, model, request_parts(model, request))

    def asked_tool(self, path: str, task: str | None, call: ToolCall) -> Asked:
        """Return the key of a tool call, numbered among equal ones."""
        turn = self._counts[f"{path}/tool/{task}"]
        self._counts[f"{path}/tool/{task}"] += 1
        return self._key(path, "tool", task, turn, call.name, tool_parts(call))

    def _key(self, path: str, role: Voice, task: str | None, turn: int, name: str, parts: Mapping[str, str]) -> Asked:
        digest = digest_of(*parts)
        place = f"{path}/{role}/{task}/{digest}"
        self._counts[place] += 1
        return Asked(path, role, task, turn, self._counts[place] - 1, name, digest, parts)

    def find(self, asked: Asked) -> Entry | None:
        """Return the recorded answer to the call; None if the call must be made."""
        entry = self._entries.get(asked.slot)
        if entry is None or entry.outcome != "answered":
            return None
        self._claimed.add(asked.slot)
        return entry

    async def turn(self, entry: Entry) -> None:
        """Wait for the turn of a recorded call."""
        await anyio.lowlevel.checkpoint()

    async def answered(self, asked: Asked, started: float, response: ModelResponse, usage: Usage) -> None:
        """Record a model's answer, and its usage."""
        await self._record(asked, self._entry(asked, started, response=response, usage=usage))

    async def returned(
        self, asked: Asked, started: float, text: str, error: ErrorInfo | None, images: tuple[ImagePart, ...]
    ) -> None:
        """Record a tool's result. A failure counts as an answer, as the model receives it."""
        await self._record(asked, self._entry(asked, started, text=text, error=error, images=images))

    def cut_off(self, asked: Asked, started: float, error: BaseException, text: str, usage: Usage) -> None:
        """Record that a call failed or was cancelled: now if nobody else is writing, else with the next call."""
        outcome: CallOutcome = "failed" if isinstance(error, Exception) else "cancelled"
        entry = self._entry(asked, started, outcome, text=text, error=error_info(error), usage=usage)
        self._pending.append((entry, asked.parts))
        self._flush_quickly()

    def _entry(
        self, asked: Asked, started: float, outcome: CallOutcome = "answered", usage: Usage = NOTHING, **fields: Any
    ) -> Entry:
        earlier = self._entries.get(asked.slot)
        self._claimed.add(asked.slot)
        return Entry.model_construct(
            path=asked.path,
            role=asked.role,
            task=asked.task,
            turn=asked.turn,
            nth=asked.nth,
            digest=asked.digest,
            name=asked.name,
            parts=tuple(asked.parts),
            outcome=outcome,
            usage=usage if earlier is None else usage + earlier.usage,
            started=started - self._run_started,
            seconds=perf_counter() - started,
            **fields,
        )

    async def _record(self, asked: Asked, entry: Entry) -> None:
        self._pending.append((entry, asked.parts))
        if not self._flush_quickly():
            # Shielded, as the answer is already paid for, and other processes write only briefly.
            with anyio.CancelScope(shield=True):
                await self._flush_patiently()

    async def finish(self, run: RunRecord) -> None:
        """Record how the run ended."""
        # Calls that this run did not use move to the end, so that a replay does not wait for them.
        self._pending += [(entry, {}) for slot, entry in self._entries.items() if slot not in self._claimed]
        with anyio.CancelScope(shield=True):
            await self._flush_patiently()
            try:
                await anyio.to_thread.run_sync(self._save, run, PATIENCE)
            except JournalBusy as error:
                self._give_up(error)

    def finish_now(self, run: RunRecord) -> None:
        """Record how the run ended, while it is being cancelled."""
        if self._flush_quickly():
            with suppress(JournalBusy):
                self._save(run, QUICK)

    def _save(self, run: RunRecord, patience: float) -> None:
        self._write(lambda: self._journal.save(run, patience=patience))

    def _flush_quickly(self) -> bool:
        """Write pending entries, and return whether that worked; not while `_flush_patiently` waits, to block once."""
        if self._write_lock.locked():
            return False
        pending, self._pending = self._pending, []
        try:
            self._append(pending, QUICK)
        except JournalBusy:
            self._pending = pending
            return False
        return True

    async def _flush_patiently(self) -> None:
        # One thread at a time. The pending entries are taken here, as more may be added while the thread starts.
        async with self._write_lock:
            pending, self._pending = self._pending, []
            if pending:
                try:
                    await anyio.to_thread.run_sync(self._append, pending, PATIENCE)
                except JournalBusy as error:
                    self._give_up(error)

    def _append(self, pending: Sequence[Pending], patience: float) -> None:
        if not pending:
            return
        parts = {digest: body for _, each in pending for digest, body in each.items() if digest not in self._known}
        entries = [entry for entry, _ in pending]
        self._write(lambda: self._journal.append(self.run.run_id, entries, parts, patience=patience))
        self._known.update(parts)

    def _write(self, write: Callable[[], None]) -> None:
        """Call `write`. If it fails, the run reports that once, and continues without recording."""
        if self._broken:
            return
        try:
            write()
        except JournalBusy:
            raise
        except (JournalError, ValueError) as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        if not self._broken:
            self._broken = True
            self._complain(f"the run is no longer recorded: {error}")


def _sum(entries: Iterable[Entry], price: Price | None) -> Usage:
    return sum((entry.usage if price is None else price.priced(entry.usage) for entry in entries), NOTHING)
