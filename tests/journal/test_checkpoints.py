"""What is in a file's write-ahead log comes into the file, and no transaction waits for that."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from collections.abc import Callable
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from contemplate.journal import Journal
from contemplate.journal.sqlite import checkpoints
from contemplate.journal.sqlite.checkpoints import TRANSACTIONS, Checkpoints

from ..patience import PATIENCE
from ..processes import run
from .test_store import entry


def calls_in_the_file(path: Path) -> int:
    """How many calls a reader finds who knows nothing of the log."""
    with closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as raw:
        found: int = raw.execute("SELECT count(*) FROM calls").fetchone()[0]
        return found


def append(journal: Journal, numbers: range) -> None:
    for number in numbers:
        journal.append("r", [entry(number)], {})


def waited(journal: Journal) -> None:
    store: Any = journal.store
    store.database._checkpoints.close()


def test_it_comes_into_the_file_after_so_many_transactions(tmp_path: Path) -> None:
    path = tmp_path / "a journal?"
    with closing(Journal(path)) as journal:
        append(journal, range(TRANSACTIONS - 1))
        waited(journal)
        assert calls_in_the_file(path) == 0
        append(journal, range(TRANSACTIONS - 1, TRANSACTIONS))
        waited(journal)
        assert calls_in_the_file(path) == TRANSACTIONS
        append(journal, range(TRANSACTIONS, 2 * TRANSACTIONS))
        waited(journal)
        assert calls_in_the_file(path) == 2 * TRANSACTIONS


def test_what_a_reader_keeps_back_comes_with_the_next(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with closing(Journal(path)) as journal:
        append(journal, range(1))
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM calls").fetchone() == (1,)
            append(journal, range(1, TRANSACTIONS))
            waited(journal)
            assert calls_in_the_file(path) < TRANSACTIONS
        append(journal, range(TRANSACTIONS, 2 * TRANSACTIONS))
        waited(journal)
        assert calls_in_the_file(path) == 2 * TRANSACTIONS


def test_no_transaction_waits_for_it_and_closing_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began, go_on, moved = threading.Event(), threading.Event(), list[str]()

    def move(address: str) -> None:
        began.set()
        assert go_on.wait(PATIENCE)
        moved.append(address)

    monkeypatch.setattr(checkpoints, "_move", move)
    journal = Journal(tmp_path / "j")
    append(journal, range(TRANSACTIONS))
    assert began.wait(PATIENCE)
    append(journal, range(TRANSACTIONS, 3 * TRANSACTIONS))
    assert moved == []
    closing_it = threading.Thread(target=journal.close)
    closing_it.start()
    # Whoever closes has the connection until the file is not used any more.
    store: Any = journal.store
    while not store.database.lent:
        pass
    go_on.set()
    closing_it.join(PATIENCE)
    assert len(moved) == 1


@pytest.mark.parametrize("path", [None, "missing"])
def test_there_may_be_no_file(tmp_path: Path, path: str | None) -> None:
    """A journal in memory, or a file that was deleted: it is not made again."""
    found = Checkpoints(None if path is None else tmp_path / path)
    for _ in range(2 * TRANSACTIONS):
        found.written()
    found.close()
    assert list(tmp_path.iterdir()) == []


@contextmanager
def _no_threads(monkeypatch: pytest.MonkeyPatch) -> Any:
    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        yield


def test_at_the_end_of_the_interpreter_nothing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: Callable[[], None] = Checkpoints(tmp_path / "j").written
    with _no_threads(monkeypatch):
        for _ in range(3 * TRANSACTIONS):
            found()


FORKING = """
import os, sys, threading, time
from contemplate.journal import Journal
from contemplate.journal.sqlite import checkpoints
from tests.journal.test_store import entry

began, working = threading.Event(), True

def move(address):
    global working
    began.set()
    time.sleep(0.2)
    working = False

checkpoints._move = move
journal = Journal(sys.argv[1])
for number in range(checkpoints.TRANSACTIONS):
    journal.append("r", [entry(number)], {})
began.wait()
child = os.fork()
if child == 0:
    os._exit(3 if working else 0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_no_process_is_forked_meanwhile(tmp_path: Path) -> None:
    """In a copy, nobody would release what the thread has locked in SQLite."""
    done = run([sys.executable, "-c", FORKING, tmp_path / "j"], PATIENCE)
    assert done.stdout == "0\n", done.stderr
