"""Record a run in a journal while it is active."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import anyio
import anyio.lowlevel

from ..decisions import Decision, HeldCall, PendingCall
from ..errors import JournalBusy, ModelContextError, RunTaken, error_info
from ..events import NOT_MADE, Course
from ..messages import ImagePart, TokenLogprob, ToolCall
from ..models import ModelRequest, ModelResponse
from ..result import ErrorInfo, RunResult
from ..usage import NOTHING, Price, Usage
from .entries import (
    AskedCall,
    CallOutcome,
    Entry,
    Pieces,
    RunRecord,
    Voice,
    conclusion_entry,
    decision_entry,
    decision_slot,
    held_call,
    request_digest,
    request_pieces,
    tool_pieces,
)
from .journal import Journal
from .patience import PAUSE, in_thread
from .run_writer import RunWriter
from .shared_answers import SharedAnswers

# Seconds for which one attempt takes to say that this process lives.
TO_MAKE_SURE = 1.0
# Within so many seconds after the last recorded answer was used, who concluded from those does so again.
SECONDS_TO_CONCLUDE_AGAIN = 2.0
# And within so much of the time that the run has: a run of a second has to do its calls, too.
SHARE_TO_CONCLUDE_AGAIN = 0.1


class Recording:
    """A recorder of the calls of a run, which returns recorded results to a run that is resumed.

    A call that was answered is not made again; one that failed or was cut off is.

    A result is recorded before it is used, unless others keep the journal locked for as long as the run can wait: then
    the run goes on, and what is pending is recorded with a later call, or at the end.

    Attributes:
        run: the record of the run.
        so_far: returns the run's result so far.
        answers: those that the run has in common with others; None if it asks for itself.
        taken: the error, if another process has taken the run.
        around: that of the run around this one, where this one has a journal of its own; None if there is none.
        end: ends the run at once, which is then another process's.
    """

    def __init__(
        self,
        journal: Journal,
        run: RunRecord,
        entries: Sequence[Entry] = (),
        answers: SharedAnswers | None = None,
    ) -> None:
        self.run = run
        self.answers = answers
        self.so_far: Callable[[], RunResult[Any] | None] = lambda: None
        self.taken: RunTaken | None = None
        self.around: Recording | None = None
        self.end: Callable[[], None] = lambda: None
        self._time_is_up: Callable[[], None] = lambda: None
        self._journal = journal
        self._entries = {entry.slot: entry for entry in entries}
        self._claimed: set[str] = set()
        self._concluded_before = {entry.path for entry in entries if entry.role == "conclusion"}
        self._concluded = set(self._concluded_before)
        self._found_last = perf_counter()
        self._writer = RunWriter(journal, run.run_id, {digest for entry in entries for digest in entry.parts})
        self._counts: Counter[str] = Counter()
        # What a run had worked before it was suspended counts, as it does for its clock.
        self._run_started = perf_counter() - run.seconds

    def attach(
        self,
        *,
        complain: Callable[[str], None],
        time_is_up: Callable[[], None],
        so_far: Callable[[], RunResult[Any]],
        deadline: float,
    ) -> None:
        """Set what the recorder must know of the run.

        Args:
            complain: called once if recording fails, and once if it is late.
            time_is_up: called for a recorded deadline.
            so_far: returns the run's result so far.
            deadline: when the run must end: nothing is waited for beyond that.
        """
        self._time_is_up = time_is_up
        self.so_far = so_far
        self._writer.attach(complain, deadline)

    @property
    def problem(self) -> str | None:
        """Why the run is not recorded to its end; None if it is."""
        return self._writer.problem

    @property
    def begun(self) -> bool:
        """Whether calls of the run were recorded before."""
        return bool(self._entries)

    def spent_before(self, price: Price | None) -> Usage:
        """Return the usage of all recorded calls, those too that will be made again.

        A cost that was not known then is that of `price`, so that a limit on USD holds for the whole run.
        """
        return _sum(self._entries.values(), price)

    def spent_now(self, entry: Entry) -> Usage:
        """Return the usage to book when `entry` is used: it was booked before."""
        return NOTHING

    def booked_ahead(self) -> Usage:
        """Return the usage, booked before, of recorded calls that have not been used yet."""
        return _sum((entry for slot, entry in self._entries.items() if slot not in self._claimed), None)

    @contextmanager
    def elsewhere(self, path: str) -> Iterator[Recording]:
        """Lend a recording of this run for another event loop, while this one is blocked, waiting for the block.

        It is for the runs at `path`, and has its own lock, as nobody could release that of a blocked event loop.
        """
        other = self._twin(path)
        other.run, other.so_far = self.run, self.so_far
        # Of event loops of different kinds, each has a clock of its own.
        other._claimed, other._run_started = self._claimed, self._run_started
        other._concluded, other._found_last = self._concluded, self._found_last
        other.answers, other.around = self.answers, self.around
        try:
            with self._writer.elsewhere(other._writer):
                yield other
        finally:
            if other.taken is not None:
                self._lose(other.taken)

    def _twin(self, path: str) -> Recording:
        return type(self)(self._journal, self.run, list(self._entries.values()))

    def unclaimed(self) -> Usage:
        """Return the usage to book of recorded calls that this run did not use: it was booked before."""
        return NOTHING

    def asked(
        self, path: str, role: Voice, task: str | None, turn: int, model: str, request: ModelRequest
    ) -> AskedCall:
        """Return the key of a model call, numbered among equal ones."""
        return self._key(path, role, task, turn, model, request_pieces(model, request))

    def asked_tool(self, path: str, task: str | None, call: ToolCall) -> AskedCall:
        """Return the key of a tool call, numbered among equal ones."""
        turn = self._counts[f"{path}/tool/{task}"]
        self._counts[f"{path}/tool/{task}"] += 1
        return self._key(path, "tool", task, turn, call.name, tool_pieces(call))

    def _key(self, path: str, role: Voice, task: str | None, turn: int, name: str, pieces: Pieces) -> AskedCall:
        digest = request_digest(pieces)
        place = f"{path}/{role}/{task}/{digest}"
        self._counts[place] += 1
        return AskedCall(path, role, task, turn, self._counts[place] - 1, name, digest, pieces)

    def find(self, asked: AskedCall) -> Entry | None:
        """Return the recorded answer to the call; None if the call must be made."""
        entry = self._entries.get(asked.slot)
        if entry is None or entry.outcome != "answered":
            return None
        self._claimed.add(asked.slot)
        self._found_last = perf_counter()
        return entry

    async def needed(self, asked: AskedCall) -> None:
        """Wait while the run that makes the call, or one around it, may conclude without it, as it did before.

        It has all that it concluded from, and does so soon after the last recorded answer was used. So what it cut off
        is not asked again. A run that concludes otherwise now goes on a little later.
        """
        # Where a conclusion is written in one turn of the event loop, nothing begins between that and the end.
        if not _is_within(asked.path, self._concluded if self._journal.remote else self._concluded_before):
            return
        began, has = perf_counter(), self._writer.deadline - anyio.current_time()
        longest = min(SECONDS_TO_CONCLUDE_AGAIN, has * SHARE_TO_CONCLUDE_AGAIN)
        try:
            # Not an event: that it goes on otherwise shows in nothing but that nothing happens.
            while (left := self._found_last + longest - perf_counter()) > 0:  # noqa: ASYNC110
                await anyio.sleep(left)
        except BaseException as error:
            self._claimed.add(asked.slot)
            if asked.slot not in self._entries:
                # A replay wants to know of it.
                self.cut_off(asked, began, error, "", NOTHING)
            raise

    async def conclude(self, path: str) -> None:
        """Record that the run at `path` has concluded, before calls of it are cut off."""
        if path in self._concluded:
            return
        self._concluded.add(path)
        entry = conclusion_entry(path)
        if self._journal.remote:
            await self._record((), entry)
        else:
            # In this turn of the event loop: in another one, more would begin that is to be cut off.
            self._writer.add(entry)
            self._writer.write_now()

    async def turn(self, entry: Entry) -> None:
        """Wait for the turn of a recorded call."""
        await anyio.lowlevel.checkpoint()

    async def answered(
        self,
        asked: AskedCall,
        started: float,
        response: ModelResponse,
        usage: Usage,
        course: Course = NOT_MADE,
    ) -> None:
        """Record a model's answer, its usage, and the course of the call."""
        await self._record(asked.pieces, self._entry(asked, started, response=response, usage=usage, course=course))

    async def returned(
        self,
        asked: AskedCall,
        started: float,
        text: str,
        error: ErrorInfo | None,
        images: tuple[ImagePart, ...],
        seen: tuple[ImagePart, ...] = (),
    ) -> None:
        """Record a tool's result. A failure counts as an answer, as the model receives it."""
        await self._record(asked.pieces, self._entry(asked, started, text=text, error=error, images=images, seen=seen))

    def cut_off(
        self,
        asked: AskedCall,
        started: float,
        error: BaseException,
        text: str,
        usage: Usage,
        course: Course = NOT_MADE,
        logprobs: tuple[TokenLogprob, ...] = (),
    ) -> None:
        """Record that a call failed or was cancelled: now if nobody else is writing, else with the next call."""
        outcome: CallOutcome = "failed" if isinstance(error, Exception) else "cancelled"
        sizes = (error.context_tokens, error.prompt_tokens) if isinstance(error, ModelContextError) else None
        told: dict[str, Any] = {"text": text, "error": error_info(error), "sizes": sizes, "logprobs": logprobs}
        entry = self._entry(asked, started, outcome, usage, course, **told)
        self._writer.add(entry, asked.pieces)
        self._writer.write_now()

    def _entry(
        self,
        asked: AskedCall,
        started: float,
        outcome: CallOutcome = "answered",
        usage: Usage = NOTHING,
        course: Course = NOT_MADE,
        **fields: Any,
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
            parts=asked.parts,
            outcome=outcome,
            usage=usage if earlier is None else usage + earlier.usage,
            started=started - self._run_started,
            seconds=perf_counter() - started,
            queued=course.queued,
            first=course.first,
            again=course.again,
            **fields,
        )

    def held(self, call_id: str) -> HeldCall | None:
        """Return the tool call of this id, and what was decided of it; None if it was not held up."""
        entry = self._entries.get(decision_slot(call_id))
        return None if entry is None else held_call(entry)

    async def hold(self, call: PendingCall, decision: Decision | None = None) -> None:
        """Record that a tool call is held up, or what was decided of it."""
        entry = decision_entry(call, decision)
        self._entries[entry.slot] = entry
        self._claimed.add(entry.slot)
        await self._record((), entry)

    def postpone(self, deadline: float) -> None:
        """Set when the run must end, which has stood still."""
        self._writer.deadline = deadline

    async def begin(self, patience: float) -> None:
        """Record that the run is active.

        Raises:
            JournalError: it cannot be recorded.
        """
        await self._writer.begin(self.run, patience)

    @property
    def surely_held(self) -> bool:
        """Whether nobody else can have the run, nor one around it."""
        own = self._journal.store.surely_held(self.run.run_id)
        return own and (self.around is None or self.around.surely_held)

    async def make_sure(self) -> None:
        """Wait until nobody else can have the run, nor one around it: what is made then is made once.

        Raises:
            RunTaken: another process has it.
        """
        # The run around it finds out by itself, and in its own event loop, that it is over.
        for each in self._all_around():
            await each._find_out()
        try:
            await self._find_out()
        except RunTaken as error:
            raise self._lose(error) from None

    def _all_around(self) -> Iterator[Recording]:
        if self.around is not None:
            yield from self.around._all_around()
            yield self.around

    async def _find_out(self) -> None:
        while not self._journal.store.surely_held(self.run.run_id):
            try:
                await in_thread(self._journal.store.make_sure, self.run.run_id, TO_MAKE_SURE)
            except JournalBusy as error:
                self._writer.fall_behind(error)
                await anyio.sleep(PAUSE)

    def check_taken(self) -> None:
        """Do nothing, unless it is known already that another process has the run.

        Raises:
            RunTaken: it has.
        """
        if self.taken is not None:
            raise self.taken

    def _lose(self, error: RunTaken) -> RunTaken:
        self.taken = self.taken or error
        self._writer.stop(self.taken)
        self.end()
        return self.taken

    async def _record(self, pieces: Pieces, entry: Entry) -> None:
        self._writer.add(entry, pieces)
        try:
            await self._writer.write()
        except RunTaken as error:
            raise self._lose(error) from None

    async def finish(self, run: RunRecord) -> None:
        """Record how the run ended."""
        # Calls that this run did not use move to the end, so that a replay does not wait for them.
        for slot, entry in self._entries.items():
            if slot not in self._claimed:
                self._writer.add(entry)
        await self._end(run)

    async def interrupted(self, run: RunRecord, *, wait: bool) -> None:
        """Record how far the run came, while it is being cancelled; with `wait`, others are waited for."""
        if wait:
            await self._end(run)
        else:
            self._writer.write_now(run)

    async def _end(self, run: RunRecord) -> None:
        try:
            await self._writer.end(run)
        except RunTaken as error:
            raise self._lose(error) from None


def _is_within(path: str, runs: Collection[str]) -> bool:
    return any(each in ("", path) or path.startswith(f"{each}/") for each in runs)


def _sum(entries: Iterable[Entry], price: Price | None) -> Usage:
    return sum((entry.usage if price is None else price.priced(entry.usage) for entry in entries), NOTHING)
