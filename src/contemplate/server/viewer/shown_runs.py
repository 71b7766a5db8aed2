"""The runs that a viewer shows: those that go on here, and those that were written down."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import anyio

from ...data import Data
from ...decisions import Decision
from ...errors import error_info
from ...events import Event
from ...journal import Journal, RunRecord, killed
from ...journal.entries import Status
from ...journal.following import KILLED
from ...journal.overview import RunFilter, RunOverview, calls_recorded, overview
from ...journal.patience import in_thread
from ...run.detached_task import OwnTask
from ...run.listeners import Listener
from ...views.recorded_events import events_of
from ..visits import Visit
from ..waiting_runs import OWNER
from .event_lines import lines_of
from .live_runs import LiveRuns

# How often a run that another process writes down is looked at, in seconds.
LOOK_SECONDS = 1.0
RESET = b'{"kind":"reset"}\n'
KILLED_LINE = b'{"kind":"killed"}\n'

# Goes on with a run as it was decided, within what the visit may spend, and tells its events.
Resume = Callable[[RunRecord | None, str, Mapping[str, Decision], Listener, Visit | None], Awaitable[object]]


class RunPage(Data):
    """Some of the runs, the newest first, and whether there are more."""

    runs: tuple[RunOverview, ...]
    more: bool


@dataclass(frozen=True)
class ShownRuns:
    """The runs that a viewer shows.

    Args:
        journals: where runs were written down, as far as these are shown.
        live: those that go on here.
        resume: goes on with a run that waits; None if nothing can be decided here.
        served: whether they are those of a server: each key is shown its own, and none is shown what no client asked.
    """

    journals: Sequence[Journal]
    live: LiveRuns
    resume: Resume | None = None
    served: bool = False
    _going_on: dict[str, OwnTask] = field(default_factory=dict)

    async def page(self, wanted: RunFilter, skip: int, most: int) -> RunPage:
        """Return a page of the runs that are wanted.

        Raises:
            JournalError: a journal cannot be read.
        """
        wanted = wanted.model_copy(update={"served": self.served})
        found = {
            each.run_id: each.overview
            for each in self.live
            if wanted.client in (None, each.client) and wanted.holds(each.overview)
        }
        for journal in self.journals:
            # One more than is shown, and those that are here and there.
            enough = skip + most + 1 + len(found)
            for run in await in_thread(_overview, journal, wanted, enough):
                other = found.get(run.run_id)
                if self.live.get(run.run_id) is None and (other is None or other.created < run.created):
                    found[run.run_id] = run
        runs = sorted(found.values(), key=lambda run: -run.created)
        return RunPage(runs=tuple(runs[skip : skip + most]), more=len(runs) > skip + most)

    async def lines(self, run_id: str, client: str | None, after: int = 0) -> AsyncIterator[bytes] | None:
        """Return the events of a run as lines, after the first `after` of them; None if there is no such run.

        Raises:
            JournalError: a journal cannot be read.
        """
        live = self.live.get(run_id)
        if live is not None:
            return live.follow(after) if client in (None, live.client) else None
        journal, record = await self._recorded(run_id, client)
        return None if journal is None or record is None else self._recorded_lines(journal, record, after)

    async def whole(self, run_id: str, client: str | None) -> tuple[str, list[bytes]] | None:
        """Return a run's question and its events so far, as lines; None if there is no such run.

        Raises:
            JournalError: a journal cannot be read.
        """
        live = self.live.get(run_id)
        if live is not None:
            return (live.overview.question, live.lines) if client in (None, live.client) else None
        journal, record = await self._recorded(run_id, client)
        if journal is None or record is None:
            return None
        state = await in_thread(_recorded_state, journal, record)
        return record.question, await in_thread(_lines_recorded, journal, record, state.killed)

    async def decide(
        self, run_id: str, client: str | None, decisions: Mapping[str, Decision], visit: Visit | None = None
    ) -> str | None:
        """Go on with a run as it was decided; its events tell what comes of it. Return why that cannot be, or None.

        Raises:
            JournalError: a journal cannot be read.
        """
        resume = self.resume
        journal, record = await self._recorded(run_id, client)
        live = self.live.get(run_id)
        known = record is not None or (live is not None and client in (None, live.client))
        if resume is None or not known:
            return f"there is no run {run_id!r} that waits here"
        if run_id in self._going_on:
            return f"run {run_id!r} is going on already"
        before: Sequence[Event] = ()
        if live is None and journal is not None and record is not None:
            before = await in_thread(events_of, journal, record)
        heard = self.live.begin(run_id, "" if record is None else str(record.labels.get("mode", "")), client, before)
        refused: list[str] = []
        begun = anyio.Event()

        def hear(event: Event) -> None:
            begun.set()
            heard.put(event)

        async def go_on() -> None:
            try:
                await resume(record, run_id, decisions, hear, visit)
            except Exception as error:
                # After it has begun, its events say what became of it.
                refused.append(error_info(error).message)
            finally:
                self._going_on.pop(run_id, None)
                begun.set()

        self._going_on[run_id] = OwnTask(go_on, lasting=True)
        await begun.wait()
        return refused[0] if refused else None

    async def end(self) -> None:
        """End what goes on by decisions that were made here, and all that wait for more."""
        for task in tuple(self._going_on.values()):
            await task.end()
        self.live.close()

    async def _recorded(self, run_id: str, client: str | None) -> tuple[Journal | None, RunRecord | None]:
        for journal in self.journals:
            record = await in_thread(journal.load, run_id)
            if record is None:
                continue
            served = not self.served or "contemplator" in record.labels
            if served and client in (None, record.labels.get(OWNER)):
                return journal, record
        return None, None

    async def _recorded_lines(self, journal: Journal, record: RunRecord, after: int) -> AsyncIterator[bytes]:
        seen: _State | None = None
        while True:
            going_on = self.live.get(record.run_id)
            if going_on is not None:
                # Somebody has decided meanwhile.
                start = RESET
                async for batch in going_on.follow(0):
                    yield start + batch
                    start = b""
                return
            found = await in_thread(_recorded_state, journal, record)
            if found != seen:
                lines = await in_thread(_lines_recorded, journal, record, found.killed)
                yield b"".join(lines[after:] if seen is None else [RESET, *lines])
                seen = found
            if record.status not in ("running", "suspended"):
                return
            with anyio.move_on_after(LOOK_SECONDS):
                await self.live.news()
            now = None if self.live.closed else await in_thread(journal.load, record.run_id)
            if now is None:
                return
            record = now


def _overview(journal: Journal, wanted: RunFilter, most: int) -> list[RunOverview]:
    runs = overview(journal, wanted, most=most)
    dead = killed(journal, runs)
    return [run.model_copy(update={"status": KILLED}) if run.run_id in dead else run for run in runs]


class _State(NamedTuple):
    """What changes when there is more to tell of a run."""

    calls: int
    status: Status
    killed: bool


def _recorded_state(journal: Journal, record: RunRecord) -> _State:
    return _State(calls_recorded(journal, record.run_id), record.status, bool(killed(journal, [record])))


def _lines_recorded(journal: Journal, record: RunRecord, dead: bool) -> list[bytes]:
    lines = lines_of(events_of(journal, record))
    return [*lines, KILLED_LINE] if dead else lines
