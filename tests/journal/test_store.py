"""The file: what comes out is what went in, or an error that says so, whatever became of it."""

from __future__ import annotations

import random
import re
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from contemplate import Contemplator, Message
from contemplate.errors import JournalError
from contemplate.journal import Entry, Journal, RunRecord
from contemplate.messages import ImagePart, ToolCall
from contemplate.models import ModelResponse
from contemplate.models.base import TokenLogprob
from contemplate.result import ErrorInfo
from contemplate.testing import ScriptedModel
from contemplate.usage import Usage

ODD = "a\0b \u202e \U0001f9d1\u200d\U0001f680 e\u0301 \uffff \n\r\u2028"
PNG = ImagePart(data=b"\x89PNG\r\n\x1a\n" + bytes(range(256)))


def entry(number: int = 0, **more: object) -> Entry:
    fields = {"role": "subagent", "task": "t", "turn": number, "digest": f"{number}", "nth": number, "name": "m"}
    return Entry.model_validate({**fields, "outcome": "answered", **more})


ENTRIES = [
    entry(
        0,
        response=ModelResponse(
            message=Message.assistant(ODD, (ToolCall(id="1", name="f", arguments='{"a'),), (PNG,)),
            finish="tool_calls",
            usage=Usage(calls=1, input_tokens=3, cost_usd=None),
            model="m",
            reasoning=ODD,
            logprobs=(TokenLogprob(token=" a", logprob=float("-inf"), top={"b": -0.1}),),
        ),
        usage=Usage(calls=1, input_tokens=3, cost_usd=None),
    ),
    entry(1, role="tool", text="x" * 3_000_000, error=ErrorInfo(kind="ToolError", message=ODD)),
    entry(2, role="planner", task=None, outcome="failed", error=ErrorInfo(kind="ModelError", message="no", hint="h")),
    entry(3, role="aggregator", task=None, outcome="cancelled", text="half", nth=4, parts=("a", "b")),
]


def filled(path: Path, entries: list[Entry]) -> list[RunRecord]:
    with closing(Journal(path)) as journal:
        run = RunRecord(run_id="r", question=ODD, model="m", created=1.0, labels={"a": [1, None]}, images=(PNG,))
        journal.save(run)
        journal.append("r", entries, {})
        return journal.runs()


@pytest.mark.parametrize("on_disk", [True, False])
def test_what_comes_out_is_what_went_in(on_disk: bool, tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "j" if on_disk else None)) as journal:
        journal.append("r", ENTRIES, {})
        assert journal.entries("r") == ENTRIES
        assert journal.entries("another") == []


def other_sqlite(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE mine (a)")


def newer(path: Path) -> None:
    filled(path, [])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 2")


@pytest.mark.parametrize("make", [lambda p: p.write_text("notes " * 1000), lambda p: p.mkdir(), other_sqlite, newer])
def test_a_file_of_something_else_is_left_alone(make: object, tmp_path: Path) -> None:
    path = tmp_path / "j"
    make(path)  # type: ignore[operator]
    before = path.read_bytes() if path.is_file() else None
    with closing(Journal(path)) as journal:
        for use in (journal.runs, lambda: journal.append("r", [entry()], {})):
            with pytest.raises(JournalError):
                use()
    assert before == (path.read_bytes() if path.is_file() else None)
    assert [each.name for each in tmp_path.iterdir()] == ["j"]


def test_a_damaged_file_gives_what_was_there_or_an_error(tmp_path: Path) -> None:
    path, chance = tmp_path / "j", random.Random(0)
    entries = [entry(number, text=ODD * 30) for number in range(30)]
    runs = filled(path, entries)
    whole = path.read_bytes()
    errors = 0
    for _ in range(400):
        damaged = bytearray(whole)
        if chance.random() < 0.2:
            del damaged[chance.randrange(1, len(damaged)) :]
        for _ in range(chance.randrange(1, 4)):
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        with closing(Journal(path)) as journal:
            try:
                assert journal.runs() == runs
                assert {each.slot: each for each in entries}.items() >= {
                    each.slot: each for each in journal.entries("r")
                }.items(), "no other answer; one that the damage hides is asked again"
            except JournalError:
                errors += 1
                journal.close()
                assert path.read_bytes() == damaged
        for beside in tmp_path.glob("j-*"):
            beside.unlink()
    assert 0 < errors < 400


WRITER = """
import sys
from pathlib import Path
from contemplate.journal import Entry, Journal
journal = Journal(Path(sys.argv[1]))
for number in range(150):
    each = Entry(role="tool", task=sys.argv[2], turn=number, nth=number, digest="d", name="n", outcome="answered")
    journal.append("r", [each], {"p": "the same"})
journal.close()
"""


def test_processes_and_threads_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "j"
    command = [sys.executable, "-c", WRITER, str(path)]
    processes = [subprocess.Popen([*command, f"p{number}"]) for number in range(3)]
    with closing(Journal(path)) as journal:

        def write(name: str) -> None:
            for number in range(50):
                journal.append("r", [entry(number, task=name)], {"p": "the same"})

        threads = [threading.Thread(target=write, args=(f"t{number}",)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [process.wait() for process in processes] == [0, 0, 0]
        assert len(journal.entries("r")) == 3 * 150 + 6 * 50
    assert [each.name for each in tmp_path.iterdir()] == ["j"]


@pytest.mark.anyio
async def test_while_another_writes_the_loop_goes_on_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with closing(Journal(path)) as journal, closing(sqlite3.connect(path, isolation_level=None)) as other:
        ticks = 0

        async def lock_and_tick() -> None:
            nonlocal ticks
            other.execute("BEGIN IMMEDIATE")
            while ticks < 20:
                await anyio.sleep(0.01)
                ticks += 1
            other.execute("COMMIT")

        async def script(_: object) -> str:
            if not other.in_transaction and not ticks:
                group.start_soon(lock_and_tick)
                await anyio.lowlevel.checkpoint()
                while not other.in_transaction:
                    await anyio.lowlevel.checkpoint()
            return "yes"

        mind = Contemplator(ScriptedModel(script), mode="instant", journal=journal)
        async with anyio.create_task_group() as group:
            result = await mind.run("So?", run_id="r")
        assert ticks == 20
        assert result.output == "yes"
        assert not result.notes
        assert [each.outcome for each in journal.entries("r")] == ["answered"]


@pytest.mark.anyio
async def test_who_waits_in_vain_keeps_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contemplate.journal.recording.PATIENCE", 0.05)
    path = tmp_path / "j"
    with closing(Journal(path)) as journal, closing(sqlite3.connect(path, isolation_level=None)) as other:

        def script(_: object) -> str:
            other.execute("BEGIN IMMEDIATE")
            return "yes"

        result = await Contemplator(ScriptedModel(script), mode="instant", journal=journal).run("So?", run_id="r")
        assert result.output == "yes"
        assert "no longer recorded" in " ".join(result.notes)
        other.execute("ROLLBACK")


def test_equal_parts_are_stored_once(tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "j")) as journal:
        for number in range(3):
            journal.append("r", [entry(number)], {"a" * 32: "the same long message"})
        with closing(sqlite3.connect(tmp_path / "j")) as raw:
            assert raw.execute("SELECT count(*) FROM parts").fetchone() == (1,)


@pytest.mark.parametrize("where", ["missing/j", "file/j"])
def test_a_place_where_no_file_can_be(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match=re.escape(where)):
        Journal(tmp_path / where).load("r")


def test_an_empty_file_becomes_a_journal(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.touch()
    with closing(Journal(path)) as journal:
        assert journal.load("r") is None
        journal.append("r", [entry(1)], {})
        assert len(journal.entries("r")) == 1


HOLDING = """
import sys
from contemplate.journal import Journal
with Journal(sys.argv[1]).hold("r"):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_run_is_held_among_processes_and_freed_by_their_death(tmp_path: Path) -> None:
    path, pipe = tmp_path / "j", subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HOLDING, path], stdin=pipe, stdout=pipe) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(JournalError, match="'r' is active in another process"), Journal(path).hold("r"):
            pass
        with Journal(path).hold("another"):
            pass
        holder.kill()
    with Journal(path).hold("r"):
        pass
    assert not list(tmp_path.glob("*.lock"))


FULL = """
import os, resource, signal, sys
from contemplate import Contemplator, aggregators, planners
from contemplate.events import ModelCalled
from contemplate.testing import ScriptedModel

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path, called = sys.argv[1], 0

def fill(event):
    global called
    called += isinstance(event, ModelCalled)
    if called == 10:
        size = os.path.getsize(path + "-wal")
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

mind = Contemplator(
    ScriptedModel("words " * 3000), planner=planners.sample(40), aggregator=aggregators.synthesize(),
    journal="sqlite:///" + path, on_event=fill,
)
result = mind.run_sync("q", run_id="r")
print(len(result.tasks), result.complete, [note for note in result.notes if "no longer recorded" in note])
"""


def test_a_full_disk_costs_no_answer(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, tmp_path / "j"], capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("40 True ['the run is no longer recorded: journal "), done.stdout
    with closing(Journal(tmp_path / "j")) as journal:
        assert 5 <= len(journal.entries("r")) < 40, "what was written before is there"
