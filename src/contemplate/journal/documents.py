"""Documents in a journal: texts by name, for what is kept beside the runs, such as what a server has answered.

The table is made on first use, so that versions of this package that know nothing of it read the journal as before.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.resources import files
from sqlite3 import Connection

from .sqlite import PATIENCE, Journal, _checksum

Change = Callable[[str | None], str | None]


class JournalDocuments:
    """The documents of a journal, which many processes may share. Every method blocks."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    def get(self, name: str) -> str | None:
        """Return the document `name`; None if there is none.

        Raises:
            JournalError: the file cannot be read, or the document is damaged.
        """
        with self.journal._reading() as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'documents'").fetchone():
                return None
            return self._read(connection, name)

    def change(self, name: str, change: Change) -> str | None:
        """Replace the document `name` by what `change` makes of it, and return what was there; None stands for none.

        Nobody else changes it in the meantime.

        Raises:
            JournalError: it cannot be read or written.
        """
        with self.journal._writing("", PATIENCE) as connection:
            connection.execute(_schema())
            before = self._read(connection, name)
            after = change(before)
            if after is None:
                connection.execute("DELETE FROM documents WHERE name = ?", (name,))
            elif after != before:
                row = (name, time.time(), after, _checksum(after))
                connection.execute("REPLACE INTO documents VALUES (?, ?, ?, ?)", row)
        return before

    def _read(self, connection: Connection, name: str) -> str | None:
        row = connection.execute("SELECT body, checksum FROM documents WHERE name = ?", (name,)).fetchone()
        return None if row is None else self.journal._check(f"document {name!r}", *row)


def _schema() -> str:
    return files(__package__).joinpath("documents.sql").read_text(encoding="utf-8")
