"""The events of runs that go on, and of those that were over a moment ago, kept in memory for whoever watches."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Iterable, Iterator

import anyio

from ...events import Event, RunFailed, RunFinished, RunStarted, RunSuspended
from ...journal.entries import Status
from ...journal.overview import RunOverview
from ...progress import ProgressMeter
from .event_lines import PIECES, LineWriter

# What is kept of one run, after which pieces of texts are left out; and of all runs together, in bytes.
MOST_OF_ONE = 8 * 2**20
MOST_OF_ALL = 64 * 2**20
MOST_RUNS = 200
# How many lines are sent at once; how long more is waited for, in seconds; after how long a silence one is ended.
BATCH = 4000
PAUSE = 0.05
KEEP_ALIVE_SECONDS = 15.0


class LiveRun:
    """One run, whose listener is `put`, which never waits.

    Args:
        run_id: its id.
        contemplator: what it was asked of.
        client: the key with which it was asked; None without keys.
        before: what it had told before it was suspended.
    """

    def __init__(self, run_id: str, contemplator: str, client: str | None, before: Iterable[Event] = ()) -> None:
        self.run_id = run_id
        self.contemplator = contemplator
        self.client = client
        self.over = self._broken = False
        self._status: Status = "running"
        self._created = time.time()
        self._meter = ProgressMeter()
        self._question = self._model = ""
        self._lines: list[bytes] = []
        self._writer = LineWriter()
        self._wake = anyio.Event()
        self._readers = 0
        for event in before:
            self.put(event)

    def put(self, event: Event) -> None:
        """Add an event. That it cannot be shown costs no answer: the run is shown as far as it could be."""
        if self._broken:
            return
        try:
            self._put(event)
        except Exception as error:
            self._broken = True
            self.close()
            logging.getLogger("contemplate.server").error("run %s cannot be shown", self.run_id, exc_info=error)

    def _put(self, event: Event) -> None:
        if event.kind not in PIECES:
            self._note(event)
        elif self._writer.written > MOST_OF_ONE:
            return
        self._writer.add(event)
        if self._readers:
            self._wake.set()

    @property
    def size(self) -> int:
        """How much is kept of it, in bytes or so."""
        return self._writer.written

    def _note(self, event: Event) -> None:
        if isinstance(event, RunStarted) and not event.path:
            # Where it goes on, what it had done is told again.
            self._meter = ProgressMeter()
        self._meter.add(event)
        match event:
            case _ if event.path:
                pass
            case RunStarted():
                self._question, self._model, self._status, self.over = event.question, event.model, "running", False
            case RunFinished():
                self._end("answered" if event.complete else "partial")
            case RunSuspended():
                self._end("suspended")
            case RunFailed():
                self._end("failed")
            case _:
                pass

    def _end(self, status: Status) -> None:
        self._status = status
        # A run that waits goes on in the same place.
        self.over = status != "suspended"

    def close(self) -> None:
        """End it, whatever came of it."""
        if self._status == "running":
            self._status = "interrupted"
        self.over = True
        self._wake.set()

    @property
    def overview(self) -> RunOverview:
        """The run at a glance."""
        progress = self._meter.progress
        return RunOverview(
            run_id=self.run_id,
            question=self._question,
            model=self._model,
            mode=self.contemplator,
            status=self._status,
            created=self._created,
            seconds=progress.seconds,
            calls=progress.usage.calls,
            input_tokens=progress.usage.input_tokens,
            output_tokens=progress.usage.output_tokens,
            cost_usd=progress.usage.cost_usd,
            live=not self.over,
        )

    @property
    def lines(self) -> list[bytes]:
        """The events so far, as lines."""
        self._lines += self._writer.take()
        return self._lines

    async def follow(self, after: int) -> AsyncIterator[bytes]:
        """Tell the events after the first `after` lines: those that there were, then those that come, to the last."""
        self._readers += 1
        try:
            while True:
                self._wake = anyio.Event() if self._wake.is_set() else self._wake
                lines = self.lines
                if after < len(lines):
                    batch = lines[after : after + BATCH]
                    after += len(batch)
                    yield b"".join(batch)
                elif self.over:
                    return
                else:
                    with anyio.move_on_after(KEEP_ALIVE_SECONDS) as silence:
                        await self._wake.wait()
                        # What comes meanwhile is told at once.
                        await anyio.sleep(PAUSE)
                    if silence.cancelled_caught:
                        yield b"\n"
        finally:
            self._readers -= 1


class LiveRuns:
    """The runs that are watched; of those that are over, the oldest are forgotten first.

    Attributes:
        closed: whether nobody is told any more.
    """

    def __init__(self) -> None:
        self.closed = False
        self._news = anyio.Event()
        self._runs: dict[str, LiveRun] = {}

    def __iter__(self) -> Iterator[LiveRun]:
        return iter(tuple(self._runs.values()))

    def get(self, run_id: str) -> LiveRun | None:
        """Return a run; None if it is not known here."""
        return self._runs.get(run_id)

    def begin(self, run_id: str, contemplator: str, client: str | None = None, before: Iterable[Event] = ()) -> LiveRun:
        """Return the run of this id, which begins, or goes on."""
        if run_id not in self._runs:
            self._runs[run_id] = LiveRun(run_id, contemplator, client, before)
            self._forget()
            self._tell()
        return self._runs[run_id]

    async def news(self) -> None:
        """Wait until another run is watched, or none is any more."""
        if not self.closed:
            await self._news.wait()

    def close(self) -> None:
        """End all that wait for more."""
        self.closed = True
        for each in self._runs.values():
            each.close()
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    def _forget(self) -> None:
        size = sum(each.size for each in self._runs.values())
        for run_id, each in tuple(self._runs.items()):
            if size <= MOST_OF_ALL and len(self._runs) <= MOST_RUNS:
                return
            if each.over:
                size -= each.size
                del self._runs[run_id]
