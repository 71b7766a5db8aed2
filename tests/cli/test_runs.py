"""Runs that are written down: listed, shown, gone on with, replayed, and concluded from again."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Literal

import pytest

from contemplate import Contemplator
from contemplate.cli import main
from contemplate.cli.call_tree import call_lines, call_tree
from contemplate.journal import Entry, Journal, RunRecord
from contemplate.result import ErrorInfo
from contemplate.testing import FaultyServer, ScriptedModel
from contemplate.testing.faulty import Exchange, HttpError, Reply

from ..patience import PATIENCE
from .asking import MERGED, command, contemplating, here, merges, model, on_terminal_here, process, run


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "runs.db"
    monkeypatch.setenv("CONTEMPLATE_JOURNAL", str(path))
    return path


def asked(server: FaultyServer, *more: str) -> subprocess.CompletedProcess[str]:
    return here("ask", "Which of the two?", *model(server), *more, CONTEMPLATE_API_KEY="sk-very-secret")


def bytes_of(journal: Path) -> bytes:
    return b"".join(path.read_bytes() for path in journal.parent.glob(f"{journal.name}*"))


def test_a_journal_may_be_named_as_in_code(journal: Path) -> None:
    Journal(journal).save(RunRecord(run_id="mine", question="Which of the two?", model="m"))
    assert here("runs", "--journal", f"sqlite:///{journal}").stdout.startswith("mine ")
    refused = here("runs", "--journal", "memory:")
    assert refused.returncode == 2
    assert "'memory:' is not the path of a file" in refused.stderr


def test_a_run_that_nobody_carries_out_any_more_was_killed(journal: Path) -> None:
    with closing(Journal(journal)) as runs:
        for run_id in ("theirs", "nobodys"):
            runs.save(RunRecord(run_id=run_id, question="Which of the two?", model="m"))
        with runs.hold("theirs"):
            listed = {line.split()[0]: line for line in here("runs").stdout.splitlines()}
            assert "  running  " in listed["theirs"]
            assert "  killed  " in listed["nobodys"]
            assert " · running · " in here("show", "theirs").stdout
        assert " · killed · " in here("show", "theirs").stdout


def test_a_run_is_listed_and_shown(journal: Path) -> None:
    with FaultyServer(contemplating) as server:
        assert asked(server, "--run-id", "mine").returncode == 0
    listed = here("runs")
    assert listed.stdout.startswith("mine ")
    assert "answered" in listed.stdout
    assert "Which of the two?" in listed.stdout
    shown = here("show", "mine").stdout
    # What the run was made of belongs to its heading, before the question.
    assert shown.splitlines()[1].startswith("    configuration ")
    heads = [line.split(" ·")[0] for line in shown.splitlines() if not line.startswith(" ")]
    heads = heads[1:8]
    assert heads == ["Which of the two?", "planner", "task 1: One", "task 2: Two", "aggregator", "timeline", "answer"]
    assert "task 1: One · answered" in shown
    assert f"answer\n    {MERGED}" in shown
    assert "4 calls" in shown
    assert "[system]" not in shown
    assert "[system]" in here("show", "last", "--requests").stdout
    document = json.loads(here("show", "mi", "--json", "--requests").stdout)
    assert [call["role"] for call in document["calls"]] == ["planner", "subagent", "subagent", "aggregator"]
    assert document["result"]["text"] == MERGED
    assert all(call["request"] for call in document["calls"])
    assert json.loads(here("runs", "--json").stdout)[0]["run_id"] == "mine"
    assert b"Which of the two?" in bytes_of(journal)
    assert b"sk-very-secret" not in bytes_of(journal)


def test_a_vote_is_told(journal: Path) -> None:
    with FaultyServer(lambda exchange: "I count.\nAnswer: 7") as server:
        said = asked(server, "--mode", "vote")
    assert said.returncode == 0
    assert " of 3 said 7 · " in said.stderr
    assert " of 3 said 7 · " in here("show", "last").stdout
    assert json.loads(here("show", "last", "--json").stdout)["result"]["answer"] == "7"


def test_a_call_that_was_cancelled_says_so_in_words() -> None:
    error = ErrorInfo(kind="Cancelled", message="Cancelled via cancel scope 7f87")
    entry = Entry(role="subagent", task="1", digest="d", name="m", outcome="cancelled", error=error)
    (line,) = call_lines([entry], None)
    assert "cancelled" in line
    assert "cancel scope" not in line


def test_a_run_that_was_interrupted_says_so_in_words(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    book = Journal(journal)
    error = ErrorInfo(kind="CancelledError", message="Cancelled via cancel scope 7f87")
    book.save(RunRecord(run_id="r", question="q", model="m", status="interrupted", error=error))
    book.close()
    assert main(["show", "r"]) == 0
    shown = capsys.readouterr().out
    assert "interrupted" in shown
    assert "cancel scope" not in shown


def test_no_secret_is_shown_of_an_error(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    book = Journal(journal)
    error = ErrorInfo(kind="ValueError", message="no key sk-0123456789abcdef")
    entry = Entry(role="subagent", task="1", digest="d", name="m", outcome="failed", error=error)
    book.save(RunRecord(run_id="r", question="q", model="m", status="failed", error=error))
    book.append("r", [entry], {})
    book.close()
    assert main(["show", "r"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("no key [secret]") == 2
    assert "sk-0123" not in shown


def call(
    path: str, task: str | None, name: str = "m", role: Literal["subagent", "aggregator", "tool"] = "subagent"
) -> Entry:
    return Entry(path=path, role=role, task=task, digest="d", name=name, outcome="answered")


def heads(*entries: Entry) -> list[str]:
    return [line.split(" ·")[0] for line in call_tree(entries, {}, None)]


def test_runs_within_a_task_stand_below_it_under_their_paths() -> None:
    assert heads(
        call("2", "sample-1"),
        call("1/look:0123ab", "1"),
        call("1/look:0123ab/1", "sample-1"),
        call("2/sample-1/look:0123ab", "1"),
        call("", "1", "look", "tool"),
        call("", "1"),
        call("2", "sample-2"),
        call("", None, "m", "aggregator"),
        call("1/look:0123ab#2", "1"),
    ) == [
        "task 1",
        "    look",
        "    m",
        "    run within 1/look:0123ab",
        "        task 1",
        "            m",
        "            run within 1/look:0123ab/1",
        "                task sample-1",
        "                    m",
        "    run within 1/look:0123ab#2",
        "        task 1",
        "            m",
        "task 2",
        "    run within 2",
        "        task sample-1",
        "            m",
        "            run within 2/sample-1/look:0123ab",
        "                task 1",
        "                    m",
        "        task sample-2",
        "            m",
        "aggregator",
        "    m",
    ]


@pytest.mark.parametrize(
    ("path", "head"),
    [
        ("1", "task 1"),
        ("1#2", "task 1"),
        ("a/b", "task a/b"),
        ("a/b/look:0123ab", "task a/b"),
        ("planner", "planner"),
        ("aggregator#2", "aggregator"),
    ],
)
def test_whose_a_run_within_is(path: str, head: str) -> None:
    shown = heads(call(path, "x"), call("", "a"), call("", "a/b"))
    assert shown.index(f"    run within {path}") > shown.index(head)
    between = shown[shown.index(head) + 1 : shown.index(f"    run within {path}")]
    assert all(line.startswith(" ") for line in between)


def test_a_run_within_a_tool_outside_of_tasks_is_shown() -> None:
    assert heads(call("look:0123ab", "x")) == ["    run within look:0123ab", "        task x", "            m"]


def test_a_killed_run_goes_on(journal: Path) -> None:
    reached = threading.Event()
    release = threading.Event()

    def script(exchange: Exchange) -> Reply | str:
        if merges(exchange) and not release.is_set():
            reached.set()
            release.wait(PATIENCE)
        return contemplating(exchange)

    with FaultyServer(script) as server:
        with process(command("ask", "Which?", "--run-id", "r", *model(server))) as running:
            assert reached.wait(PATIENCE)
            running.kill()
            running.communicate()
        release.set()
        assert "killed" in here("runs").stdout
        before = len(server.exchanges)
        done = here("resume", "last")
        assert (done.returncode, done.stdout) == (0, f"{MERGED}\n"), done.stderr
        assert len(server.exchanges) == before + 1, "the merging alone"
    assert "3 of the calls had been made before, and were not paid for again" in done.stderr


def test_replay_needs_no_server(journal: Path) -> None:
    with FaultyServer(contemplating) as server:
        asked(server, "--run-id", "r")
    done = here("replay", "r")
    assert (done.returncode, done.stdout) == (0, f"{MERGED}\n"), done.stderr
    assert json.loads(here("replay", "r", "--json").stdout)["text"] == MERGED


def test_a_replay_that_differs_shows_the_call(journal: Path) -> None:
    with FaultyServer(contemplating) as server:
        asked(server, "--run-id", "r")
    book = Journal(journal)
    record = book.load("r")
    assert record is not None
    book.save(record.model_copy(update={"question": "Another one?"}))
    book.close()
    done = here("replay", "r")
    assert done.returncode == 1
    assert "planner, turn 0: no such call was made" in done.stderr
    assert any(line.startswith("-") and "Which of the two?" in line for line in done.stderr.splitlines())
    assert any(line.startswith("+") and "Another one?" in line for line in done.stderr.splitlines())


def test_conclude_once_more(journal: Path) -> None:
    with FaultyServer(contemplating) as server:
        asked(server, "--run-id", "r")
        before = len(server.exchanges)
        again = here("reaggregate", "r", "--aggregator", "synthesize", "--json")
        assert json.loads(again.stdout)["text"] == MERGED, again.stderr
        assert len(server.exchanges) == before + 1
    first = here("reaggregate", "r", "--aggregator", "first", "--json")
    assert json.loads(first.stdout)["usage"]["calls"] == 0, "without the server"
    assert len(here("runs").stdout.splitlines()) == 3


def test_a_failure_says_how_to_go_on(journal: Path) -> None:
    fails = True

    def script(exchange: Exchange) -> Reply | str:
        return HttpError(400, "not now") if merges(exchange) and fails else contemplating(exchange)

    with FaultyServer(script) as server:
        done = asked(server, "--run-id", "r")
        assert done.returncode == 3
        assert "to go on, without paying again for what was answered: contemplate resume r" in done.stderr
        # Whatever shows it again says the same, and so does another attempt.
        assert here("replay", "r").returncode == 3
        assert here("resume", "r").returncode == 3
        assert here("reaggregate", "r", "--aggregator", "synthesize").returncode == 3
        fails = False
        before = len(server.exchanges)
        assert here("resume", "r").stdout == f"{MERGED}\n"
        assert len(server.exchanges) == before + 1


def test_a_limit_that_stopped_it_is_to_be_raised(journal: Path) -> None:
    with FaultyServer(contemplating) as server:
        done = asked(server, "--run-id", "r", "--max-calls", "3")
        assert done.returncode == 3
        assert "contemplate resume r" in done.stderr
        refused = here("resume", "r")
        assert refused.returncode == 2
        assert "was stopped by its limit, --max-calls 3" in refused.stderr
        done = here("resume", "r", "--max-calls", "9")
        assert (done.returncode, done.stdout) == (0, f"{MERGED}\n"), done.stderr


def test_an_unknown_run(journal: Path) -> None:
    with FaultyServer(contemplating) as server:
        asked(server, "--run-id", "abc-1")
        asked(server, "--run-id", "abc-2")
    for name, said in (("x", "there is no run 'x'"), ("abc", "2 runs begin with 'abc'")):
        done = here("show", name)
        assert done.returncode == 2
        assert said in done.stderr
        assert "abc-2, abc-1" in done.stderr


def test_nothing_yet(journal: Path) -> None:
    assert "no run was written down yet" in here("runs").stderr
    assert here("show", "last").returncode == 2


def test_a_run_made_by_code_needs_its_code(journal: Path) -> None:
    program = (
        "from contemplate import Contemplator; from contemplate.testing import ScriptedModel; import sys;"
        "mind = Contemplator(ScriptedModel('a'), mode='instant', journal=f'sqlite:///{sys.argv[1]}');"
        "mind.run_sync('q', run_id='r')"
    )
    done = run([*command()[:1], "-c", program, str(journal)])
    assert done.returncode == 0, done.stderr
    assert "answered" in here("show", "r").stdout
    for again, function in (("resume", "mind.run(..., run_id='r')"), ("replay", "mind.replay('r')")):
        done = here(again, "r")
        assert done.returncode == 2
        assert function in done.stderr


def test_nothing_is_written_down_if_not_wanted(journal: Path) -> None:
    with FaultyServer(contemplating) as server:
        assert asked(server, "--no-journal").returncode == 0
    assert not journal.exists()


def test_a_journal_that_was_named_must_be_one(journal: Path) -> None:
    with sqlite3.connect(journal) as other:
        other.execute("CREATE TABLE mine (x)")
    before = journal.read_bytes()
    with FaultyServer(contemplating) as server:
        done = asked(server)
        assert done.returncode == 1
        assert "is not a journal of contemplate" in done.stderr
        assert not server.exchanges
    assert journal.read_bytes() == before


def test_ones_own_may_be_damaged(tmp_path: Path) -> None:
    path = tmp_path / "data" / "contemplate" / "runs.db"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a journal at all, but a text that is long enough" * 50)
    with FaultyServer(contemplating) as server:
        done = asked(server)
    assert (done.returncode, done.stdout) == (0, f"{MERGED}\n")
    assert "warning: this run is not written down: " in done.stderr
    assert path.read_bytes().startswith(b"not a journal")


@pytest.mark.skipif(sys.platform == "win32", reason="files have no such modes there")
def test_folders_that_are_made_are_their_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        assert main(["runs", "--journal", str(tmp_path / "a" / "b" / "runs.db")]) == 0
    finally:
        os.umask(before)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b", "a/b/runs.db")]
    assert modes == [0o700, 0o700, 0o600]


def test_what_a_run_was_made_of_and_a_record_that_is_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "runs.db"
    journal = Journal(path)
    Contemplator(ScriptedModel("a"), mode="instant", journal=journal).run_sync("q", run_id="good")
    Contemplator(ScriptedModel("b"), mode="instant", journal=journal).run_sync("q", run_id="bad")
    journal.close()
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE runs SET body = body || ' ' WHERE run_id = 'bad'")
    named = ["--journal", str(path)]
    assert main(["show", "good", *named]) == 0
    shown = capsys.readouterr().out
    assert "    planner: direct()\n" in shown
    assert "    aggregator: First()\n" in shown
    assert main(["runs", *named]) == 0
    listed = capsys.readouterr().out
    assert "damaged" in listed
    assert "answered" in listed
    assert main(["show", "bad", *named]) == 1
    assert "the record of run 'bad'" in capsys.readouterr().err
    assert main(["show", "good", *named]) == 0


def test_at_forty_columns_no_word_is_broken(tmp_path: Path) -> None:
    named = ["--journal", str(tmp_path / "runs.db")]
    question = "Should a small web shop use SQLite or PostgreSQL?"
    with FaultyServer("A word, and another one, and more of them than fit in a line.") as server:
        assert here("ask", question, "--mode", "instant", "--run-id", "r", *model(server), *named).returncode == 0
    _, listed = on_terminal_here("runs", *named, columns=40)
    first, second = listed.splitlines()
    assert first == "r             answered"
    assert second.endswith("  Should a small web …")
    _, shown = on_terminal_here("show", "r", *named, columns=40)
    assert max(map(len, shown.splitlines())) <= 40
    assert "    A word, and another one, and more of\n    them than fit in a line.\n" in shown
