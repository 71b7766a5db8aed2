"""Programs that organise a run, on the command line: given, written by the model, shown, gone on with."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from contemplate.testing import FaultyServer
from contemplate.testing.faulty import Exchange, HttpError, Reply

from .asking import MERGED, here, merges, model

SOURCE = """
found = parallel([f"Is {n} even?" for n in (1, 2)])
note("half way")
print(found, question)
"""


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "runs.db"
    monkeypatch.setenv("CONTEMPLATE_JOURNAL", str(path))
    return path


@pytest.fixture
def program(tmp_path: Path) -> str:
    path = tmp_path / "even.py"
    path.write_text(SOURCE)
    return str(path)


def experts(exchange: Exchange) -> Reply | str:
    if "You write a short Python program" in str(exchange.messages[0]):
        return f"```python\n{SOURCE}```"
    return MERGED if merges(exchange) else "found"


def test_a_program_that_is_given_runs_and_is_shown(journal: Path, program: str) -> None:
    with FaultyServer(experts) as server:
        said = here("ask", "So?", *model(server), "--program", program)
        assert said.returncode == 0, said.stderr
        assert said.stdout.strip() == MERGED
        assert "half way" in said.stderr
        assert len(server.exchanges) == 3
    assert here("show", "last", "--program").stdout.strip() == SOURCE.strip()


def test_a_program_that_the_model_wrote_can_be_run_again(journal: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.py"
    with FaultyServer(experts) as server:
        assert here("ask", "So?", *model(server), "--mode", "program").returncode == 0
        again.write_text(here("show", "last", "--program").stdout)
        assert here("ask", "And so?", *model(server), "--program", str(again)).stdout.strip() == MERGED
        assert len(server.exchanges) == 4 + 3


def test_a_run_goes_on_with_its_program_though_the_file_is_gone(journal: Path, program: str) -> None:
    down = True

    def script(exchange: Exchange) -> Reply | str:
        return HttpError(401) if merges(exchange) and down else experts(exchange)

    with FaultyServer(script) as server:
        first = here("ask", "So?", *model(server), "--program", program, "--run-id", "mine")
        Path(program).unlink()
        asked = len(server.exchanges)
        down = False
        resumed = here("resume", "mine", *model(server))
        assert resumed.returncode == 0, (first.stderr, resumed.stderr)
        assert resumed.stdout.strip() == MERGED
        assert len(server.exchanges) == asked + 1


def test_a_program_may_come_from_a_pipe(journal: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(SOURCE,))
    writer.start()
    with FaultyServer(experts) as server:
        assert here("ask", "So?", *model(server), "--program", str(pipe)).stdout.strip() == MERGED
    writer.join()
    assert here("show", "last", "--program").stdout.strip() == SOURCE.strip()


def test_what_is_wrong_is_said(journal: Path, tmp_path: Path) -> None:
    with FaultyServer(experts) as server:
        missing = here("ask", "So?", *model(server), "--program", str(tmp_path / "none.py"))
        assert missing.returncode == 2
        assert "none.py" in missing.stderr
        assert here("ask", "So?", *model(server), "--mode", "instant").returncode == 0
    shown = here("show", "last", "--program")
    assert shown.returncode == 2
    assert "has no program" in shown.stderr
