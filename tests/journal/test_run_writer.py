"""What cannot be written costs no answer, and what can wait is not waited for."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from contemplate import Contemplator, aggregators, planners
from contemplate.errors import JournalBusy, JournalError
from contemplate.journal import Journal
from contemplate.journal.group_commit import Write
from contemplate.messages import Message, ToolCall
from contemplate.models import DeltaSink, ModelRequest, ModelResponse
from contemplate.testing import ScriptedModel

from .sqlite_file import database_of

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("error", [MemoryError(), RecursionError("too deep"), RuntimeError("no more threads")])
async def test_whatever_keeps_it_from_being_written_the_answer_is_there(error: Exception) -> None:
    class Broken(Journal):
        """A journal that cannot write what ended."""

        def write(self, writes: Sequence[Write], patience: float = 0.0) -> None:
            if any(write.entries for write in writes):
                raise error
            super().write(writes, patience)

    result = await Contemplator(ScriptedModel("yes"), mode="instant", journal=Broken()).run("So?")
    assert result.output == "yes"
    assert f"the run is no longer recorded: {str(error) or 'MemoryError'}" in result.notes


async def test_what_cannot_be_written_of_a_run_that_begins_is_told_before_it_asks() -> None:
    class Broken(Journal):
        """A journal that cannot write how a run begins."""

        def write(self, writes: Sequence[Write], patience: float = 0.0) -> None:
            raise ValueError("no such number")

    model = ScriptedModel("yes")
    mind = Contemplator(model, mode="instant", journal=Broken())
    with pytest.raises(JournalError, match="run 'r' cannot be recorded: no such number") as told:
        await mind.run("So?", run_id="r")
    assert "labels" in str(told.value.hint)
    assert not model.requests


async def test_an_answer_that_is_too_long_for_the_file_does_not_make_it_damaged(tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "j")) as journal:
        journal.runs()
        connection = database_of(journal)._connection
        assert connection is not None
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 100_000)
        mind = Contemplator(ScriptedModel("yes" * 100_000), mode="instant", journal=journal)
        result = await mind.run("So?", run_id="r")
        assert result.output == "yes" * 100_000
        assert any("too big" in note for note in result.notes)
        assert not any("damaged" in note for note in result.notes)
        assert [run.status for run in journal.runs()] == ["running"]


async def test_nobody_waits_for_others_to_write_what_was_cut_off(tmp_path: Path) -> None:
    """They are many, and each held up the event loop, deadlines included."""
    waits = list[float]()

    class Watched(Journal):
        def write(self, writes: Sequence[Write], patience: float = 0.0) -> None:
            if {entry.outcome for write in writes for entry in write.entries} == {"cancelled"}:
                waits.append(patience)
            super().write(writes, patience)

    class Slow(ScriptedModel):
        """The first answers at once, the others never."""

        async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
            if self.requests:
                self.requests.append(request)
                await anyio.sleep_forever()
            response = await super().request(request, on_delta)
            while len(self.requests) < 9:
                await anyio.lowlevel.checkpoint()
            return response

    with closing(Watched(tmp_path / "j")) as journal:
        mind = Contemplator(Slow("yes"), planner=planners.sample(9), aggregator=aggregators.first(), journal=journal)
        result = await mind.run("So?", run_id="r")
        assert result.output == "yes"
        assert set(waits) == {0.0}
        calls = [entry for entry in journal.entries("r") if entry.is_call]
        assert sorted(entry.outcome for entry in calls) == ["answered", *["cancelled"] * 8]


async def test_what_a_run_in_another_event_loop_could_not_write_is_written_after_it() -> None:
    class Busy(Journal):
        """A journal that others keep to themselves for a while."""

        busy = False

        def write(self, writes: Sequence[Write], patience: float = 0.0) -> None:
            if self.busy:
                raise JournalBusy("another process is writing")
            super().write(writes, patience)

    journal = Busy()

    def inner(request: ModelRequest) -> str:
        journal.busy = True
        return "four"

    def outer(request: ModelRequest) -> Message | str:
        if request.messages[-1].role == "tool":
            journal.busy = False
            return "It is four."
        return Message.assistant("", (ToolCall(id="1", name="think", arguments="{}"),))

    async def think() -> str:
        """Think, and hold up the event loop meanwhile."""
        return Contemplator(ScriptedModel(inner), mode="instant").run_sync("2 + 2?").text

    mind = Contemplator(ScriptedModel(outer), mode="instant", tools=[think], journal=journal)
    result = await mind.run("2 + 2?", run_id="r")
    assert result.text == "It is four."
    (within,) = [each.response for each in journal.entries("r") if each.path]
    assert within is not None
    assert within.message.text == "four"
    assert (await mind.replay("r")).text == result.text
