"""The file: what comes out is what went in, or an error that says so, whatever became of it."""

from __future__ import annotations

import gc
import math
import os
import random
import re
import sqlite3
import subprocess
import sys
import threading
import zlib
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from contemplate import Contemplator, Limits, Message, PendingCall
from contemplate.errors import ConfigurationError, JournalBusy, JournalError
from contemplate.journal import Entry, Journal, RunRecord, killed
from contemplate.journal.entries import Status
from contemplate.journal.group_commit import Write
from contemplate.journal.journal import checksum_of
from contemplate.journal.run_writer import LAST_WAIT
from contemplate.journal.sqlite.database import _use_write_ahead_log
from contemplate.messages import ImagePart, TokenLogprob, ToolCall
from contemplate.models import DeltaSink, ModelRequest, ModelResponse
from contemplate.modes import Mode
from contemplate.result import ErrorInfo, RunResult
from contemplate.testing import ScriptedModel
from contemplate.usage import Usage

from ..patience import PATIENCE
from ..processes import Process, run
from .sqlite_file import database_of

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
                listed = journal.runs()
                if [run.status for run in listed] == ["damaged"]:
                    errors += 1
                    continue
                assert listed == runs
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


def test_a_damaged_record_costs_no_other(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with closing(Journal(path)) as journal:
        for number in range(4):
            journal.save(RunRecord(run_id=f"r{number}", question=f"q{number}", model="m", created=float(number)))
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE runs SET body = replace(body, 'q1', 'q7') WHERE run_id = 'r1'")
        raw.execute("UPDATE runs SET body = CAST(x'fffe' AS TEXT) WHERE run_id = 'r2'")
    with closing(Journal(path)) as journal:
        listed = journal.runs()
        assert [(run.run_id, run.question, run.status) for run in listed] == [
            ("r3", "q3", "running"),
            ("r2", "", "damaged"),
            ("r1", "", "damaged"),
            ("r0", "q0", "running"),
        ]
        assert listed[1].error is not None
        assert "the record of run 'r2'" in listed[1].error.message
        with pytest.raises(JournalError, match="the record of run 'r1'"):
            journal.load("r1")


def test_a_list_may_be_of_one_status(tmp_path: Path) -> None:
    path = tmp_path / "j"
    statuses: list[Status] = ["answered", "suspended", "failed", "suspended", "suspended", "suspended"]
    with closing(Journal(path)) as journal:
        for number, status in enumerate(statuses):
            run = RunRecord(run_id=f"r{number}", question="q", model="m", created=float(number), status=status)
            journal.save(run)
        with closing(sqlite3.connect(path)) as raw, raw:
            raw.execute("UPDATE runs SET body = replace(body, '\"q\"', '\"p\"') WHERE run_id = 'r4'")
            raw.execute("UPDATE runs SET body = CAST(x'fffe' AS TEXT) WHERE run_id = 'r2'")

        def of(status: Status, limit: int | None = None) -> list[str]:
            return [run.run_id for run in journal.runs(limit, status=status)]

        assert of("suspended") == ["r5", "r3", "r1"], "what is damaged is only that"
        assert of("suspended", 2) == ["r5", "r3"]
        assert of("suspended", 0) == []
        assert (of("damaged"), of("damaged", 1)) == (["r4", "r2"], ["r4"])
        assert of("failed") == of("partial") == []
        assert len(journal.runs()) == len(statuses)
        with pytest.raises(ConfigurationError, match="status"):
            of("suspended?")  # type: ignore[arg-type]


def test_what_a_run_waits_for_is_known_as_long_as_it_waits() -> None:
    journal, call = Journal(), PendingCall(id="c", run_id="r", tool="mail")
    assert journal.pending("r") == ()
    run = RunRecord(run_id="r", question="q", model="m", status="suspended")
    journal.save(run)
    assert journal.pending("r") == ()
    result = RunResult[None](run_id="r", question="q", output=None, text="", pending=(call,))
    journal.save(run.model_copy(update={"result": result}))
    assert journal.pending("r") == (call,)
    journal.save(run.model_copy(update={"result": result, "status": "running"}))
    assert journal.pending("r") == ()


def test_a_list_needs_no_results(tmp_path: Path) -> None:
    """Reading them takes longer than all else: a list neither validates them, nor reads more than it shows."""
    path = tmp_path / "j"
    with closing(Journal(path)) as journal:
        for number in range(4):
            journal.save(RunRecord(run_id=f"r{number}", question="q", model="m", created=float(number)))
        body = '{"run_id": "r3", "question": "q", "model": "m", "created": 3.0, "result": "not one", "images": 5}'
        with closing(sqlite3.connect(path)) as raw, raw:
            raw.execute("UPDATE runs SET body = ?, checksum = ? WHERE run_id = 'r3'", (body, zlib.crc32(body.encode())))
        assert [(run.run_id, run.status) for run in journal.runs(limit=2)] == [("r3", "running"), ("r2", "running")]
        assert journal.runs(limit=0) == []
        assert journal.run_ids() == ["r3", "r2", "r1", "r0"]
        assert journal.run_ids(limit=3) == ["r3", "r2", "r1"]
        assert journal.run_ids("r1") == ["r1"]
        assert journal.run_ids("%") == []


@pytest.mark.skipif(sys.platform == "win32", reason="files have no such modes there")
def test_it_is_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with closing(Journal(tmp_path / "j")) as journal, journal.hold("r"):
            journal.append("r", [entry()], {})
            modes = {each.name: each.stat().st_mode & 0o777 for each in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(["j", "j-shm", "j-wal", "j.lock"], 0o600)


def test_a_journal_need_not_be_closed(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.append("r", [], {})
    # While it is open, SQLite keeps its log beside it.
    assert Path(f"{journal.path}-wal").exists()
    journal.close()
    assert not Path(f"{journal.path}-wal").exists()
    journal.append("r", [], {})
    del journal
    gc.collect()
    assert not (tmp_path / "j-wal").exists()


@pytest.mark.parametrize("linked", ["file", "folder", "missing"])
def test_links_lead_to_one_journal(tmp_path: Path, linked: str) -> None:
    (tmp_path / "real").mkdir()
    path = tmp_path / "real" / "j"
    if linked == "folder":
        (tmp_path / "link").symlink_to(tmp_path / "real")
        other = tmp_path / "link" / "j"
    else:
        other = tmp_path / "other"
        other.symlink_to(path)
    if linked != "missing":
        path.touch()
    with closing(Journal(path)) as journal, closing(Journal(other)) as again, journal.hold("r"):
        again.append("r", [entry()], {})
        assert len(journal.entries("r")) == 1
        with pytest.raises(JournalError, match="'r' is already active in this process"), again.hold("r"):
            pass


def test_a_run_is_held_while_another_waits_to_write(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with closing(Journal(path)) as journal, closing(sqlite3.connect(path, isolation_level=None)) as other:
        journal.append("r", [], {})
        other.execute("BEGIN IMMEDIATE")
        thread = threading.Thread(target=lambda: journal.append("r", [entry()], {}))
        thread.start()
        while not database_of(journal).lent:
            thread.join(0.001)
        with journal.hold("another"):
            assert thread.is_alive()
        other.execute("ROLLBACK")
        thread.join()
        assert len(journal.entries("r")) == 1


@pytest.mark.parametrize("limit", [0.0, 0.05])
def test_nobody_waits_longer_than_he_would(tmp_path: Path, limit: float) -> None:
    """Neither for another thread, nor for another process; before, it was both, and reading had no end."""
    path = tmp_path / "j"
    with closing(Journal(path)) as journal, closing(sqlite3.connect(path, isolation_level=None)) as other:
        journal.append("r", [], {})
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalBusy):
            journal.append("r", [entry()], {}, patience=limit)
        other.execute("ROLLBACK")
        with database_of(journal)._lock:
            for use in (journal.load, journal.entries):
                with pytest.raises(JournalBusy):
                    use("r", patience=limit)


def _gone(path: Path, how: str) -> None:
    moved = path.with_name("moved")
    path.rename(moved)
    if how == "replaced":
        Journal(path).load("")
    elif how == "deleted":
        moved.unlink()


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["deleted", "moved", "replaced"])
async def test_a_file_that_is_gone_is_noticed(tmp_path: Path, how: str) -> None:
    path = tmp_path / "j"
    with closing(Journal(path)) as journal:

        async def script(_: object) -> str:
            _gone(path, how)
            return "yes"

        mind = Contemplator(ScriptedModel(script), mode="instant", journal=journal)
        result = await mind.run("So?", run_id="r")
        assert result.output == "yes"
        assert [note for note in result.notes if "deleted or replaced while run 'r' was active" in note]
        model = ScriptedModel("again")
        assert (await Contemplator(model, mode="instant", journal=journal).run("So?", run_id="r")).output == "again"
        assert [run.status for run in journal.runs()] == ["answered"], "the next run has a journal again"


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
    processes = [Process[bytes]([*command, f"p{number}"]) for number in range(3)]
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
@pytest.mark.parametrize("mode", ["instant", "vote", "contemplating"])
@pytest.mark.parametrize("since", ["before", "first call"])
async def test_a_lock_does_not_outlast_the_deadline(tmp_path: Path, mode: Mode, since: str) -> None:
    path, limit = tmp_path / "j", 2.0
    with closing(Journal(path)) as journal, closing(sqlite3.connect(path, isolation_level=None)) as other:
        journal.append("r", [], {})

        def lock() -> None:
            if not other.in_transaction:
                other.execute("BEGIN IMMEDIATE")

        def script(request: ModelRequest) -> str:
            lock()
            return '{"tasks": [{"title": "A", "prompt": "a", "needs": []}]}' if request.output_schema else "Answer: yes"

        if since == "before":
            lock()
        mind = Contemplator(ScriptedModel(script), mode=mode, journal=journal, limits=Limits(seconds=limit))
        began = anyio.current_time()
        result = await mind.run("So?", run_id="r")
        # All of it was there at once; the journal alone waited, and waits 30 seconds where there is time for it.
        assert anyio.current_time() - began < limit + 8
        assert "yes" in result.text
        assert "the run is no longer recorded: " in " ".join(result.notes)
        other.execute("ROLLBACK")
        assert journal.entries("r") == []


@pytest.mark.anyio
async def test_what_was_late_is_recorded_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contemplate.journal.run_writer.PATIENCE", 0.05)
    path = tmp_path / "j"
    with closing(Journal(path)) as journal, closing(sqlite3.connect(path, isolation_level=None)) as other:

        def script(request: ModelRequest) -> str:
            if "<<" in request.messages[-1].text:
                other.execute("ROLLBACK")
            elif not other.in_transaction:
                other.execute("BEGIN IMMEDIATE")
            return "yes"

        mind = Contemplator(ScriptedModel(script), mode="council", journal=journal)
        result = await mind.run("So?", run_id="r")
        assert [note for note in result.notes if "recorded" in note] == [
            f"what is answered now is recorded later: journal {path}: another process is writing"
        ]
        assert [each.outcome for each in journal.entries("r")] == ["answered"] * 5
        assert (await mind.replay("r")).text == result.text


@pytest.mark.anyio
async def test_slow_tools_do_not_hold_it_up(tmp_path: Path) -> None:
    """They may occupy every thread that AnyIO shares."""
    release = threading.Event()
    busy = anyio.to_thread.current_default_thread_limiter()

    async def wait() -> None:
        await anyio.to_thread.run_sync(release.wait)

    async with anyio.create_task_group() as group:
        try:
            while busy.available_tokens:
                group.start_soon(wait)
                await anyio.lowlevel.checkpoint()
            mind = Contemplator(ScriptedModel("yes"), mode="instant", journal=f"sqlite:///{tmp_path / 'j'}")
            with anyio.fail_after(PATIENCE):
                await mind.run("So?", run_id="r")
                await mind.replay("r")
                await mind.reaggregate("r")
        finally:
            release.set()


@pytest.mark.anyio
@pytest.mark.parametrize("when", ["while it waits", "before"])
async def test_a_cancelled_run_keeps_what_was_paid_for(tmp_path: Path, when: str) -> None:
    """Another process writes just then: it is waited for."""
    path = tmp_path / "j"
    with closing(Journal(path)) as journal, closing(sqlite3.connect(path, isolation_level=None)) as other:

        class Locking(ScriptedModel):
            async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
                response = await super().request(request, on_delta)
                other.execute("BEGIN IMMEDIATE")
                if when == "before":
                    group.cancel_scope.cancel()
                return response

        async def let_go() -> None:
            with anyio.CancelScope(shield=True):
                while not (other.in_transaction and database_of(journal).lent):
                    await anyio.sleep(0.001)
                group.cancel_scope.cancel()
                await anyio.wait_all_tasks_blocked()
                other.execute("ROLLBACK")

        mind = Contemplator(Locking("yes"), mode="instant", journal=journal)
        async with anyio.create_task_group() as group:
            group.start_soon(let_go)
            group.start_soon(lambda: mind.run("So?", run_id="r"))
        assert [each.outcome for each in journal.entries("r")] == ["answered"]
        run = journal.load("r")
        assert run is not None
        assert run.status == "interrupted"
        again = await Contemplator(ScriptedModel([]), mode="instant", journal=journal).run("So?", run_id="r")
        assert again.output == "yes"


@pytest.mark.anyio
async def test_the_last_write_of_a_cancelled_run_waits_for_others(tmp_path: Path) -> None:
    class Busy(Journal):
        """A journal to which others write until the end of the run."""

        def write(self, writes: Sequence[Write], patience: float = 0.0) -> None:
            if patience != LAST_WAIT:
                raise JournalBusy("others write")
            super().write(writes, patience)

    class Cancelling(ScriptedModel):
        async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
            response = await super().request(request, on_delta)
            group.cancel_scope.cancel()
            return response

    with closing(Busy(tmp_path / "j")) as journal:
        mind = Contemplator(Cancelling("yes"), mode="instant", journal=journal)
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: mind.run("So?", run_id="r"))
        assert [each.outcome for each in journal.entries("r")] == ["answered"]
        run = journal.load("r")
        assert run is not None
        assert run.status == "interrupted"


@pytest.mark.anyio
async def test_who_waits_in_vain_keeps_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contemplate.journal.run_writer.PATIENCE", 0.05)
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


@pytest.mark.parametrize("name", ["memory:", ":memory:", "sqlite:///runs.db", "sqlite:/tmp/runs.db", "file:runs.db"])
def test_a_name_is_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="not the path of a file"):
        Journal(name)
    assert not list(tmp_path.iterdir())


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


def refused(path: Path, run_id: str) -> bytes:
    """Return why another process does not get a run."""
    code = "import sys; from contemplate.journal import Journal; Journal(sys.argv[1]).take(sys.argv[2])()"
    return run([sys.executable, "-c", code, path, run_id], PATIENCE).stderr.encode()


def test_a_run_that_ends_while_it_is_looked_was_not_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Journal(tmp_path / "j")) as journal:
        run = RunRecord(run_id="r", question="q", model="m")
        journal.save(run)

        def held(run_ids: object) -> set[str]:
            journal.save(run.model_copy(update={"status": "answered"}))
            return set()

        with monkeypatch.context() as patched:
            patched.setattr(journal.store, "held", held)
            assert killed(journal, [run]) == set()
        assert killed(journal, [run]) == set(), "it is over by now"


def test_whether_a_run_of_somebody_else_was_killed_cannot_be_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bool:
        raise PermissionError

    with closing(Journal(tmp_path / "j")) as journal:
        run = RunRecord(run_id="r", question="q", model="m")
        journal.save(run)
        assert killed(journal, [run]) == {"r"}
        monkeypatch.setattr("contemplate.journal.sqlite.store.is_locked", refuse)
        assert killed(journal, [run]) == set()


def test_a_run_in_memory_is_killed_with_its_process() -> None:
    journal = Journal()
    runs = [RunRecord(run_id=run_id, question="q", model="m") for run_id in ("r", "s")]
    with journal.hold("r"):
        assert killed(journal, runs) == {"s"}


def test_a_run_is_held_among_processes_and_freed_by_their_death(tmp_path: Path) -> None:
    path, pipe = tmp_path / "j", subprocess.PIPE
    with Process[bytes]([sys.executable, "-c", HOLDING, path], stdin=pipe, stdout=pipe) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(JournalError, match="'r' is active in another process"), Journal(path).hold("r"):
            pass
        runs = [RunRecord(run_id=run_id, question="q", model="m") for run_id in ("r", "another", "nobody's")]
        runs += [RunRecord(run_id="over", question="q", model="m", status="answered")]
        assert killed(Journal(path), runs) == {"another", "nobody's"}
        with Journal(path).hold("another"):
            assert killed(Journal(path), runs) == {"nobody's"}
            # Whoever looks loses none of his own locks.
            assert b"'another' is active in another process" in refused(path, "another")
        assert b"'another'" not in refused(path, "another")
        holder.kill()
    assert killed(Journal(path), runs) == {"r", "another", "nobody's"}
    with Journal(path).hold("r"):
        pass
    assert not list(tmp_path.glob("*.lock"))


def test_a_lock_that_somebody_cleared_away_is_no_error(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    with journal.hold("r"):
        for lock in tmp_path.glob("*.lock"):
            lock.unlink()
    with journal.hold("r"):
        assert list(tmp_path.glob("*.lock"))


FULL = """
import os, resource, signal, sys
from contemplate import Contemplator, Limits, aggregators, planners
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
    journal="sqlite:///" + path, on_event=fill, limits=Limits(concurrency=4),
)
result = mind.run_sync("q", run_id="r")
print(len(result.tasks), result.complete, [note for note in result.notes if "no longer recorded" in note])
"""


def test_a_full_disk_costs_no_answer(tmp_path: Path) -> None:
    done = run([sys.executable, "-c", FULL, tmp_path / "j"], PATIENCE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("40 True ['the run is no longer recorded: journal "), done.stdout
    with closing(Journal(tmp_path / "j")) as journal:
        assert 5 <= len(journal.entries("r")) < 40, "what was written before is there"


@pytest.mark.skipif(sys.platform == "win32", reason="files have no such modes there")
def test_a_journal_that_was_made_for_all_becomes_its_owners_alone_when_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    journal = Journal(path)
    journal.save(RunRecord(run_id="r", question="q", model="m"))
    for name in ("runs.db", "runs.db-wal", "runs.db-shm"):
        (tmp_path / name).chmod(0o644)
    tmp_path.chmod(0o755)
    again = Journal(path)
    assert again.load("r") is not None
    assert path.stat().st_mode & 0o777 == 0o644, "reading changes nothing"
    again.save(RunRecord(run_id="s", question="q", model="m"))
    assert {each.name: each.stat().st_mode & 0o777 for each in tmp_path.iterdir()} == dict.fromkeys(
        ("runs.db", "runs.db-wal", "runs.db-shm"), 0o600
    )
    assert tmp_path.stat().st_mode & 0o777 == 0o755, "the folder was there before"
    again.close()
    journal.close()


def test_a_record_that_is_whole_but_none_is_damaged() -> None:
    with closing(Journal()) as journal, pytest.raises(JournalError, match="'r' cannot be understood"):
        journal.checked(RunRecord, "the record of run 'r'", "{}", checksum_of("{}"))


def _failing(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("so it is")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("codes", "patience", "told"),
    [
        ((sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_RECOVERY), math.inf, None),
        ((sqlite3.SQLITE_BUSY, sqlite3.SQLITE_IOERR), math.inf, sqlite3.SQLITE_IOERR),
        ((sqlite3.SQLITE_BUSY, sqlite3.SQLITE_IOERR), -math.inf, sqlite3.SQLITE_BUSY),
    ],
)
def test_only_others_who_open_the_file_are_waited_for(
    codes: tuple[int, ...], patience: float, told: int | None
) -> None:
    errors = list(map(_failing, codes))

    class Failing(sqlite3.Connection):
        def execute(self, *query: Any) -> sqlite3.Cursor:
            if errors:
                raise errors.pop(0)
            return super().execute(*query)

    with closing(sqlite3.connect(":memory:", factory=Failing)) as connection:
        if told is None:
            _use_write_ahead_log(connection, patience)
            assert not errors
        else:
            with pytest.raises(sqlite3.OperationalError) as caught:
                _use_write_ahead_log(connection, patience)
            assert caught.value.sqlite_errorcode == told
