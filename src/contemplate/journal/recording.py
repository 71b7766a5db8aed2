"""One run's part of a journal, while the run goes on."""

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
from ..usage import NOTHING, Usage
from .entries import Asked, CallOutcome, Entry, RunRecord, Voice, digest_of, request_parts, tool_parts
from .sqlite import PATIENCE, QUICK, Journal

Late = tuple[Entry, Mapping[str, str]]


class Recording:
    """Writes down what a run's calls bring, and gives it back to a run that is continued.

    A call that was answered is not made again. One that failed, or was cut off, is.
    """

    def __init__(self, journal: Journal, run: RunRecord, entries: Sequence[Entry] = ()) -> None:
        self.run = run
        self._complain: Callable[[str], None] = logging.getLogger("contemplate").warning
        self._time_is_up: Callable[[], None] = lambda: None
        self._journal = journal
        self._entries = {entry.slot: entry for entry in entries}
        self._claimed: set[str] = set()
        self._known = {digest for entry in entries for digest in entry.parts}
        self._times: Counter[str] = Counter()
        self._late: list[Late] = []
        self._waiting = anyio.Lock()
        self._broken = False
        self._began = perf_counter()

    def attach(self, *, complain: Callable[[str], None], time_is_up: Callable[[], None]) -> None:
        """Say whom to tell, once, if no more can be written down, and what to do where a deadline had cut the run."""
        self._complain = complain
        self._time_is_up = time_is_up

    def spent_in_vain(self) -> Usage:
        """What calls have cost before that failed or were cut off, and are to be made again."""
        return _sum(entry for entry in self._entries.values() if entry.outcome != "answered")

    def unclaimed(self) -> Usage:
        """What answers have cost that were written down, and that nobody asked for now."""
        answered = (entry for entry in self._entries.values() if entry.outcome == "answered")
        return _sum(entry for entry in answered if entry.slot not in self._claimed)

    def asked(self, path: str, role: Voice, task: str | None, turn: int, model: str, request: ModelRequest) -> Asked:
        """Return a model call's name, and how many equal ones went before it."""
        return self._named(path, role, task, turn, model, request_parts(model, request))

    def asked_tool(self, path: str, task: str | None, call: ToolCall) -> Asked:
        """Return a tool call's name, and how many equal ones went before it."""
        turn = self._times[f"{path}/tool/{task}"]
        self._times[f"{path}/tool/{task}"] += 1
        return self._named(path, "tool", task, turn, call.name, tool_parts(call))

    def _named(self, path: str, role: Voice, task: str | None, turn: int, name: str, parts: Mapping[str, str]) -> Asked:
        digest = digest_of(*parts)
        place = f"{path}/{role}/{task}/{digest}"
        self._times[place] += 1
        return Asked(path, role, task, turn, self._times[place] - 1, name, digest, parts)

    def find(self, asked: Asked) -> Entry | None:
        """What the call brought when it was made before; None if it is to be made."""
        entry = self._entries.get(asked.slot)
        if entry is None or entry.outcome != "answered":
            return None
        self._claimed.add(asked.slot)
        return entry

    async def turn(self, entry: Entry) -> None:
        """Wait until it is time for what is known already."""
        await anyio.lowlevel.checkpoint()

    async def answered(self, asked: Asked, started: float, response: ModelResponse, usage: Usage) -> None:
        """Write down what a model answered, and what that cost."""
        await self._keep(asked, self._entry(asked, started, response=response, usage=usage))

    async def returned(
        self, asked: Asked, started: float, text: str, error: ErrorInfo | None, images: tuple[ImagePart, ...]
    ) -> None:
        """Write down what a tool returned. That it failed is an answer too: the model is told."""
        await self._keep(asked, self._entry(asked, started, text=text, error=error, images=images))

    def cut_off(self, asked: Asked, started: float, error: BaseException, text: str, usage: Usage) -> None:
        """Write down that a call failed or was cancelled, if nobody else is writing; else with the next one."""
        outcome: CallOutcome = "failed" if isinstance(error, Exception) else "cancelled"
        entry = self._entry(asked, started, outcome, text=text, error=error_info(error), usage=usage)
        self._late.append((entry, asked.parts))
        self._flush_quickly()

    def _entry(
        self, asked: Asked, started: float, outcome: CallOutcome = "answered", usage: Usage = NOTHING, **brought: Any
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
            started=started - self._began,
            seconds=perf_counter() - started,
            **brought,
        )

    async def _keep(self, asked: Asked, entry: Entry) -> None:
        self._late.append((entry, asked.parts))
        if not self._flush_quickly():
            # Shielded, as the answer is paid for; and another process is done with its writing in a moment.
            with anyio.CancelScope(shield=True):
                await self._flush_patiently()

    async def finish(self, run: RunRecord) -> None:
        """Write down how the run ended."""
        # What nobody asked for now was of no use to this answer: a replay is not to wait for it.
        self._late += [(entry, {}) for slot, entry in self._entries.items() if slot not in self._claimed]
        with anyio.CancelScope(shield=True):
            await self._flush_patiently()
            try:
                await anyio.to_thread.run_sync(self._save, run, PATIENCE)
            except JournalBusy as error:
                self._give_up(error)

    def finish_now(self, run: RunRecord) -> None:
        """Write down how the run ended, while it is being cancelled."""
        if self._flush_quickly():
            with suppress(JournalBusy):
                self._save(run, QUICK)

    def _save(self, run: RunRecord, patience: float) -> None:
        self._write(lambda: self._journal.save(run, patience=patience))

    def _flush_quickly(self) -> bool:
        """Whether all that is late was written; not while somebody waits, so that the event loop waits but once."""
        if self._waiting.locked():
            return False
        late, self._late = self._late, []
        try:
            self._append(late, QUICK)
        except JournalBusy:
            self._late = late
            return False
        return True

    async def _flush_patiently(self) -> None:
        # One thread at a time. What is late is taken here and not there, where more might come in between.
        async with self._waiting:
            late, self._late = self._late, []
            if late:
                try:
                    await anyio.to_thread.run_sync(self._append, late, PATIENCE)
                except JournalBusy as error:
                    self._give_up(error)

    def _append(self, late: Sequence[Late], patience: float) -> None:
        if not late:
            return
        parts = {digest: body for _, each in late for digest, body in each.items() if digest not in self._known}
        entries = [entry for entry, _ in late]
        self._write(lambda: self._journal.append(self.run.run_id, entries, parts, patience=patience))
        self._known.update(parts)

    def _write(self, write: Callable[[], None]) -> None:
        """What cannot be written down is not lost to the run, which says so once and goes on."""
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
            self._complain(f"what comes is not written down: {error}")


def _sum(entries: Iterable[Entry]) -> Usage:
    return sum((entry.usage for entry in entries), NOTHING)
