"""Runs that wait for what the client's own tools return, found by the ids of their calls.

A call that goes out names its run, so that the run is found again in the contemplator's journal, too, by a server that
was started later. Without a journal it is known for as long as it is remembered here. It goes on for its owner only:
for who comes with the key with which it was begun.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import TypeAdapter

from ..decisions import PendingCall, Returned
from ..errors import JournalError
from ..result import RunResult
from ..tools.tool import Tool
from ..usage import NOTHING, Usage
from .deltas import NOTHING_TOLD, Told
from .neutral_request import Asked

MOST_KEPT = 1000
SECONDS_KEPT = 3600.0
# In the journal, a run's owner is one of its labels.
OWNER = "contemplate:key"
_NOTE = "told:"
_TOLD = TypeAdapter(Told)
_log = logging.getLogger("contemplate.server")


@dataclass(frozen=True, slots=True)
class WaitingRun:
    """A run that was suspended.

    Args:
        run_id: its id.
        asked: what it was asked, with the options that it needs again.
        calls: the ids of its calls within it, by those that clients know.
        returned: what clients have said of them, by the ids that clients know.
        usage: what it had used when it was suspended.
        told: what clients were told of it.
        owner: whose it is.
    """

    run_id: str
    asked: Asked
    calls: Mapping[str, str]
    returned: Mapping[str, Returned] = field(default_factory=dict)
    usage: Usage = NOTHING
    told: Told = NOTHING_TOLD
    owner: str = ""

    def goes_on_with(self, asked: Asked) -> WaitingRun | None:
        """Return this run with what `asked` brings; None if that is not how the run can go on.

        It cannot with other tools than its own, or where a call is said to have returned something else than before.
        """
        offered = asked.tool_choice == "auto" and names(self.asked) <= names(asked)
        brought = {known: each for known, each in asked.returned.items() if known in self.calls}
        told_otherwise = any(self.returned.get(known, each) != each for known, each in brought.items())
        if not brought or not offered or told_otherwise or asked.mind is not self.asked.mind:
            return None
        return replace(self, returned={**self.returned, **brought})

    @property
    def decisions(self) -> dict[str, Returned]:
        """What its calls returned, by their ids within the run."""
        return {self.calls[known]: each for known, each in self.returned.items()}


class WaitingRuns:
    """The runs that wait.

    Args:
        most: how many are remembered; then the oldest are forgotten.
        seconds: for how long each is remembered.
        clock: the time, in seconds.
    """

    def __init__(
        self, most: int = MOST_KEPT, seconds: float = SECONDS_KEPT, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._runs: dict[str, tuple[float, WaitingRun]] = {}

    def __len__(self) -> int:
        return len(self._runs)

    def keep(self, run: WaitingRun) -> None:
        """Remember a run."""
        self._runs[run.run_id] = self._clock() + self._seconds, run
        self._forget_old()

    def find(self, run_id: str) -> WaitingRun | None:
        """Return a run that is remembered; None if there is none of this id."""
        return self._runs.get(run_id, (0.0, None))[1]

    async def take(self, asked: Asked, owner: str = "") -> WaitingRun | None:
        """Return the run that goes on with what `asked` brings, and remember it no longer; None if there is none.

        A run of another owner is none. The run that `asked` names goes on if its journal has it.

        Raises:
            JournalError: the journal cannot be read.
        """
        self._forget_old()
        for run_id in dict.fromkeys(filter(None, map(_run_of, asked.returned))):
            _, found = self._runs.get(run_id, (0.0, None))
            if found is None:
                found = await _recorded(run_id, asked, owner)
            going_on = None if found is None or found.owner != owner else found.goes_on_with(asked)
            if going_on is not None:
                self._runs.pop(run_id, None)
                return going_on
        if asked.run_id is None:
            return None
        # What it was asked is in its record: a conversation that is kept may have gone on meanwhile.
        broken_off = await _recorded(asked.run_id, asked, owner)
        return None if broken_off is None else replace(broken_off, usage=NOTHING)

    def _forget_old(self) -> None:
        while self._runs:
            run_id, (until, run) = next(iter(self._runs.items()))
            if len(self._runs) <= self._most and until > self._clock():
                break
            del self._runs[run_id]
            run.asked.mind.forget(run_id)


def names(asked: Asked) -> set[str]:
    """Return the names of the client's tools."""
    return {each.name for each in asked.tools if isinstance(each, Tool)}


def as_known(call: PendingCall) -> PendingCall:
    """Return a call with the id by which a client knows it.

    It is unique among all runs, and within the 40 characters that servers allow, however long the tool's name is.
    """
    return call.model_copy(update={"id": f"call_{call.run_id}_{call.id.rpartition('-')[2]}"})


def _run_of(known: str) -> str | None:
    """Return the run that the id of a call names."""
    start, _, rest = known.partition("_")
    run_id = rest.rpartition("_")[0]
    return run_id if start == "call" and run_id else None


async def note_told(run: WaitingRun) -> None:
    """Write down what clients were told of a run that waits, for a server that is started later.

    Where that fails, they are told once more.
    """
    told = _TOLD.dump_json(run.told).decode()
    await _change_note(run, told)


async def drop_note(run: WaitingRun) -> None:
    """Delete what was written down of a run that waits no longer."""
    if run.told != NOTHING_TOLD:
        await _change_note(run, None)


async def _change_note(run: WaitingRun, note: str | None) -> None:
    journal = run.asked.mind.journal
    if journal is None:
        return
    from ..journal.documents import JournalDocuments
    from ..journal.patience import in_thread

    documents = JournalDocuments(journal)
    try:
        await in_thread(lambda: documents.change(_NOTE + run.run_id, lambda _: note))
    except JournalError as error:
        _log.warning("what was told of run %s could not be written down", run.run_id, exc_info=error)


async def _recorded(run_id: str, asked: Asked, owner: str) -> WaitingRun | None:
    """Return a run of the journal, if there is one, with the options that `asked` gives again."""
    journal = asked.mind.journal
    if journal is None:
        return None
    from ..journal.documents import JournalDocuments
    from ..journal.entries import held_call
    from ..journal.patience import in_thread

    record = await in_thread(journal.load, run_id)
    if record is None or record.labels.get(OWNER, "") != owner:
        return None
    note = await in_thread(JournalDocuments(journal).get, _NOTE + run_id)
    held = [held_call(entry) for entry in await in_thread(journal.entries, run_id) if entry.role == "decision"]
    return WaitingRun(
        run_id,
        asked,
        {as_known(each.call).id: each.call.id for each in held},
        {as_known(each.call).id: each.decision for each in held if isinstance(each.decision, Returned)},
        NOTHING if record.result is None else record.result.usage,
        NOTHING_TOLD if note is None else _TOLD.validate_json(note),
        owner,
    )


def owned(labels: Mapping[str, str], owner: str) -> dict[str, str]:
    """Return the labels of a run of `owner`'s; no client says of itself who it is."""
    said = {name: each for name, each in labels.items() if name != OWNER}
    return said | {OWNER: owner} if owner else said


def suspended(
    asked: Asked, result: RunResult[Any], told: Told, before: WaitingRun | None, owner: str = ""
) -> WaitingRun:
    """Return a run that has been suspended, once more if there was a `before`."""
    calls = {as_known(each).id: each.id for each in result.pending}
    if before is None:
        return WaitingRun(result.run_id, asked, calls, {}, result.usage, told, owner)
    return replace(before, calls={**before.calls, **calls}, usage=result.usage, told=told)
