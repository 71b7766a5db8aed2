"""`contemplate batch`: rows in, lines out, gone on with after any end."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from contemplate import BatchResult, PendingCall, RunResult
from contemplate.cli.batch.command import line_for
from contemplate.cli.rows import Row
from contemplate.testing import FaultyServer
from contemplate.testing.faulty import Exchange, Hold, HttpError, Reply

from ..patience import PATIENCE
from .asking import NOWHERE, command, here, model, process


def echo(exchange: Exchange) -> Reply | str:
    if "fail" in exchange.prompt:
        return HttpError(400)
    return f"Re: {exchange.prompt}"


def lines(path: Path) -> list[dict[str, Any]]:
    return sorted((json.loads(line) for line in path.read_text().splitlines()), key=lambda each: each["index"])


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


def given(tmp_path: Path, name: str, text: str | bytes) -> str:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", 'question,note\n"one, two",x\nthree,y\n'),
        ("a.tsv", "question\tnote\none, two\tx\nthree\ty\n"),
        ("a.jsonl", '{"question": "one, two"}\n\n"three"\n'),
        ("a.txt", "one, two\n\nthree\n"),
        ("b.csv", '\ufeffText\n"one, two"\nthree\n'),
    ],
)
def test_each_row_has_its_line(name: str, text: str, tmp_path: Path, out: Path) -> None:
    file = given(tmp_path, name, text)
    with FaultyServer(echo) as server:
        said = here("batch", file, "--out", str(out), "--mode", "instant", *model(server))
    assert said.returncode == 0, said.stderr
    assert [each["output"] for each in lines(out)] == ["Re: one, two", "Re: three"]
    first = lines(out)[0]
    assert (first["index"], first["id"], first["complete"], first["error"], first["calls"]) == (0, None, True, None, 1)
    assert "2 answered" in said.stderr


def test_a_prompt_is_made_of_columns_and_ids_are_kept(tmp_path: Path, out: Path) -> None:
    file = given(tmp_path, "a.csv", "key,text,lang\n7,Hello,fr\n8,{lang},de\n")
    options = ("--id-column", "key", "--prompt", "Say {text} in {lang}.", "--mode", "instant")
    with FaultyServer(echo) as server:
        assert here("batch", file, "--out", str(out), *options, *model(server)).returncode == 0
    assert [(each["id"], each["output"]) for each in lines(out)] == [
        ("7", "Re: Say Hello in fr."),
        # What a cell says is no placeholder.
        ("8", "Re: Say {lang} in de."),
    ]
    assert lines(out)[0]["row"] == {"key": "7", "text": "Hello", "lang": "fr"}


def test_bad_rows_are_lines_with_an_error_and_end_nothing(tmp_path: Path, out: Path) -> None:
    rows = b'{"question": "a"}\n{broken\n[1]\n{"other": 1}\n{"question": ""}\n{"question": "\xff"}\n{"question": 5}\n'
    file = given(tmp_path, "a.jsonl", rows)
    with FaultyServer(echo) as server:
        said = here("batch", file, "--out", str(out), "--mode", "instant", *model(server))
    assert said.returncode == 3
    assert "2 answered; 5 failed" in said.stderr
    errors = [each["error"] and each["error"]["message"] for each in lines(out)]
    for error, part in zip(
        errors, ["", "line 2: it is not JSON", "line 3: it is neither", "'question'; there are: 'other'",
                 "line 5: the question is empty", "line 6: it is not UTF-8", ""], strict=True
    ):  # fmt: skip
        assert part in (error or "")
    assert lines(out)[6]["output"] == "Re: 5"


def test_the_same_command_asks_what_is_missing_and_what_failed(tmp_path: Path, out: Path) -> None:
    file = given(tmp_path, "a.txt", "one\nfail\nthree\n")
    arguments = ("batch", file, "--out", str(out), "--mode", "instant")
    with FaultyServer(echo) as server:
        said = here(*arguments, *model(server))
        assert said.returncode == 3
        assert "1 failed, and are asked again by the same command" in said.stderr
        assert lines(out)[1]["error"]["kind"]
        asked = len(server.exchanges)
        here(*arguments, "--keep-failed", *model(server))
        assert len(server.exchanges) == asked
    # A line that was torn by a kill.
    whole = out.read_text()
    out.write_text(whole + '{"index": 9, "id"')
    given(tmp_path, "a.txt", "one\nfail\nthree\nfour\n")
    with FaultyServer(lambda exchange: "again") as server:
        said = here(*arguments, *model(server))
        assert said.returncode == 0, said.stderr
        assert sorted(exchange.prompt for exchange in server.exchanges) == ["fail", "four"]
        assert "2 rows are in" in said.stderr
        assert here(*arguments, *model(server)).returncode == 0
        assert len(server.exchanges) == 2
    assert [each["output"] for each in lines(out)] == ["Re: one", "again", "Re: three", "again"]


def test_a_batch_that_is_killed_twice_asks_nothing_again(tmp_path: Path, out: Path) -> None:
    file = given(tmp_path, "a.txt", "".join(f"question {i}\n" for i in range(12)))
    arguments = ["batch", file, "--out", str(out), "--mode", "instant", "--concurrency", "2"]
    answered: list[str] = []
    asked, held = 0, threading.Event()

    def script(exchange: Exchange) -> Reply | str:
        nonlocal asked
        asked += 1
        if asked >= 5 and not held.is_set():
            return Hold(held)
        answered.append(exchange.prompt)
        return f"Re: {exchange.prompt}"

    with FaultyServer(script) as server:
        for number, code in ((signal.SIGKILL, -9), (signal.SIGTERM, 143)):
            before, asked = len(server.exchanges), 0
            with process(command(*arguments, *model(server))) as running:
                # Two are held, and so all others are answered.
                arrived = server.wait_for(lambda: len(server.exchanges) >= before + 6, PATIENCE)  # noqa: B023
                running.send_signal(number)
                _, err = running.communicate(timeout=PATIENCE)
            assert arrived
            assert running.returncode == code, err
        held.set()
        said = here(*arguments, *model(server))
    assert "4 answered" not in err
    assert "to go on, give the same command again" in err
    assert said.returncode == 0, said.stderr
    assert [each["output"] for each in lines(out)] == [f"Re: question {i}" for i in range(12)]
    assert sorted(answered) == sorted({f"question {i}" for i in range(12)})


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["missing.csv"], "No such file"),
        (["a.csv", "--question-column", "qestion"], "there is no 'qestion'; there are: 'text', 'note'"),
        (["a.csv"], "there is no 'question'; there are: 'text', 'note'"),
        (["a.csv", "--prompt", "Say {tekst}"], "there is no 'tekst'"),
        (["a.csv", "--question-column", "text", "--id-column", "key"], "there is no 'key'"),
        (["a.xlsx"], "--format"),
        (["a.csv", "--question-column", "text", "--mode", "instnt"], "invalid choice"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_asked(
    arguments: list[str], part: str, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.csv", "a.xlsx"):
        given(tmp_path, name, "text,note\nHello,x\n")
    said = here("batch", *arguments, "--out", str(out), *NOWHERE)
    assert said.returncode == 2
    assert part in said.stderr
    assert not out.exists()


def test_an_id_that_stands_twice_is_told(tmp_path: Path, out: Path) -> None:
    file = given(tmp_path, "a.csv", "key,question\n7,one\n7,two\n8,three\n")
    with FaultyServer(echo) as server:
        said = here("batch", file, "--out", str(out), "--id-column", "key", "--mode", "instant", *model(server))
    assert said.returncode == 3
    assert [each["output"] for each in lines(out)] == ["Re: one", None, "Re: three"]
    assert lines(out)[1]["error"]["message"] == "line 3: the id '7' stands in an earlier row"


@pytest.mark.parametrize("text", ["", "question\n", 'question\n""\n'])
def test_a_file_without_rows_is_an_error(text: str, tmp_path: Path, out: Path) -> None:
    said = here("batch", given(tmp_path, "a.csv", text), "--out", str(out), *NOWHERE)
    assert said.returncode == 2
    assert "no row that can be asked" in said.stderr


def test_a_journal_that_cannot_be_opened_is_an_error_before_anything_is_asked(tmp_path: Path, out: Path) -> None:
    file = given(tmp_path, "a.txt", "one\n")
    said = here("batch", file, "--out", str(out), "--journal", given(tmp_path, "no.db", "not a journal"), *NOWHERE)
    assert said.returncode == 1
    assert "no.db" in said.stderr
    assert not out.read_text()


def test_a_file_that_is_no_batch_is_not_touched(tmp_path: Path, out: Path) -> None:
    file = given(tmp_path, "a.txt", "one\n")
    out.write_text("my thesis\nin two lines\n")
    said = here("batch", file, "--out", str(out), *NOWHERE)
    assert said.returncode == 2
    assert "line 1 is not of a batch" in said.stderr
    assert out.read_text() == "my thesis\nin two lines\n"


def test_an_endpoint_that_is_down_ends_the_batch(tmp_path: Path, out: Path) -> None:
    file = given(tmp_path, "a.txt", "".join(f"question {i}\n" for i in range(400)))
    with FaultyServer(lambda exchange: HttpError(401)) as server:
        said = here("batch", file, "--out", str(out), "--mode", "instant", *model(server))
        assert said.returncode == 1
        assert len(server.exchanges) < 100
    assert "in a row failed" in said.stderr
    assert "the same command again" in said.stderr


def test_a_run_that_waits_for_a_decision_is_asked_again() -> None:
    call = PendingCall(id="c", run_id="r", task="answer", tool="delete", arguments={"what": "all"}, why="it deletes")
    result = RunResult[str](run_id="r", question="q", output="", text="", complete=False, pending=(call,))
    line = line_for(Row(0, 1, {}, "q"), BatchResult(0, None, "q", result))
    assert (line["output"], line["error"]["kind"]) == (None, "Suspended")
    assert "delete" in line["error"]["message"]
    assert "contemplate resume r" in line["error"]["hint"]


def test_the_estimate_is_of_all_rows(tmp_path: Path, out: Path) -> None:
    file = given(tmp_path, "a.txt", "one\ntwo\n")
    said = here("batch", file, "--out", str(out), "--estimate", *NOWHERE)
    assert said.returncode == 0
    assert "2 rows" in said.stdout
    assert not out.exists()
