"""Documents in a journal: texts by name, for what is kept beside the runs, such as what a server has answered.

The table is made on first use, so that versions of this package that know nothing of it read the journal as before.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.resources import files
from sqlite3 import Connection

from .patience import PATIENCE
from .sqlite import Journal, checksum_of

_TOO_MANY = """
    DELETE FROM documents WHERE name NOT IN (SELECT name FROM documents ORDER BY changed DESC, name LIMIT ?)
"""

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
            return self._read(connection, name) if self._is_there(connection) else None

    def change(self, name: str, change: Change) -> str | None:
        """Replace the document `name` by what `change` makes of it, and return what was there; None stands for none.

        Nobody else changes it in the meantime.

        Raises:
            JournalError: it cannot be read or written.
        """
        with self.journal._writing((), PATIENCE) as connection:
            connection.execute(_schema())
            before = self._read(connection, name)
            after = change(before)
            if after is None:
                connection.execute("DELETE FROM documents WHERE name = ?", (name,))
            elif after != before:
                row = (name, time.time(), after, checksum_of(after))
                connection.execute("REPLACE INTO documents VALUES (?, ?, ?, ?)", row)
        return before

    def names(self, beginning: str) -> list[str]:
        """Return the names of the documents that begin so, those first that were changed first.

        Raises:
            JournalError: the file cannot be read.
        """
        query = "SELECT name FROM documents WHERE substr(name, 1, ?) = ? ORDER BY changed, name"
        with self.journal._reading() as connection:
            if not self._is_there(connection):
                return []
            return [name for (name,) in connection.execute(query, (len(beginning), beginning))]

    def prune(self, seconds: float, most: int) -> int:
        """Delete documents that were not changed for so long, and the oldest of more than `most`; return how many.

        Raises:
            JournalError: the file cannot be written.
        """
        with self.journal._writing((), PATIENCE) as connection:
            if not self._is_there(connection):
                return 0
            old = connection.execute("DELETE FROM documents WHERE changed < ?", (time.time() - seconds,)).rowcount
            return old + connection.execute(_TOO_MANY, (most,)).rowcount

    def _is_there(self, connection: Connection) -> bool:
        return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'documents'").fetchone() is not None

    def _read(self, connection: Connection, name: str) -> str | None:
        row = connection.execute("SELECT body, checksum FROM documents WHERE name = ?", (name,)).fetchone()
        return None if row is None else self.journal._check(f"document {name!r}", *row)


def _schema() -> str:
    return files(__package__).joinpath("documents.sql").read_text(encoding="utf-8")
