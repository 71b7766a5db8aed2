"""Moves what a file's write-ahead log has into the file, in a thread: it waits for the disk, as no event loop may."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

# After so many transactions; and the pages of the log after which SQLite does it itself, within a transaction: the log
# begins anew only where nothing is written meanwhile.
TRANSACTIONS = 100
MOST_PAGES = 8000


class Checkpoints:
    """The checkpoints of one file, by one process.

    Args:
        file: the file, which no link leads to; None for a database in memory, which has no log.
    """

    def __init__(self, file: Path | None) -> None:
        self._address = None if file is None else f"{file.as_uri()}?mode=rw"
        self._since = 0
        self._thread: threading.Thread | None = None

    def written(self) -> None:
        """Note a transaction. One thread calls this at a time."""
        self._since += 1
        if self._since < TRANSACTIONS or self._address is None or (self._thread and self._thread.is_alive()):
            return
        self._since = 0
        self._thread = threading.Thread(target=_move, args=(self._address,), name="contemplate checkpoint", daemon=True)
        # Where the interpreter is ending, there are no new threads.
        with suppress(RuntimeError):
            _forks.start(self._thread)

    def close(self) -> None:
        """Wait until the file is not used any more."""
        if self._thread is not None and self._thread.is_alive():
            self._thread.join()


class _Forks:
    """Lets no process be forked while such a thread is at work.

    It has locks of SQLite, which a copy would never see released, and so would wait for ever in any of its functions.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known = False
        self._threads: list[threading.Thread] = []

    def start(self, thread: threading.Thread) -> None:
        """Start a thread.

        Raises:
            RuntimeError: the interpreter is ending.
        """
        with self._lock:
            if not self._known and hasattr(os, "register_at_fork"):
                os.register_at_fork(
                    before=self._before, after_in_parent=self._lock.release, after_in_child=self._lock.release
                )
                self._known = True
            self._threads = [*_alive(self._threads), thread]
            thread.start()

    def _before(self) -> None:
        self._lock.acquire()
        for thread in _alive(self._threads):
            thread.join()


def _alive(threads: Iterable[threading.Thread]) -> list[threading.Thread]:
    return [each for each in threads if each.is_alive()]


_forks = _Forks()


def _move(address: str) -> None:
    # As far as nobody is in the way; what it cannot move, the next one does.
    with suppress(sqlite3.Error), closing(sqlite3.connect(address, timeout=0, uri=True)) as connection:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
