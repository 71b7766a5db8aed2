"""Documents in a journal: texts by name, for what is kept beside the runs, such as what a server has answered.

The table is made on first use, so that versions of this package that know nothing of it read the journal as before.
"""

from __future__ import annotations

from collections.abc import Callable

from .journal import Journal, checksum_of
from .patience import PATIENCE
from .store import SQLConnection

_TOO_MANY = """
    DELETE FROM documents WHERE name NOT IN (SELECT name FROM documents ORDER BY changed DESC, name LIMIT ?)
"""

_KEEP = """
    INSERT INTO documents (name, changed, body, checksum) VALUES (?, ?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET changed = excluded.changed, body = excluded.body, checksum = excluded.checksum
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
        store = self.journal.store
        return store.read(lambda rows: self._read(rows, name) if store.has(rows, "documents") else None, PATIENCE)

    def change(self, name: str, change: Change) -> str | None:
        """Replace the document `name` by what `change` makes of it, and return what was there; None stands for none.

        Nobody else changes it in the meantime. Where a connection is lost, `change` may be called again.

        Raises:
            JournalError: it cannot be read or written.
        """
        store = self.journal.store

        def write(connection: SQLConnection) -> str | None:
            store.make(connection, "documents")
            store.lock(connection, f"document {name}")
            before = self._read(connection, name)
            after = change(before)
            if after is None:
                connection.execute("DELETE FROM documents WHERE name = ?", (name,))
            elif after != before:
                row = (name, store.now(connection), after, checksum_of(after))
                connection.execute(_KEEP, row)
            return before

        return store.write(write, PATIENCE, once=True)

    def names(self, beginning: str) -> list[str]:
        """Return the names of the documents that begin so, those first that were changed first.

        Raises:
            JournalError: the file cannot be read.
        """
        query = "SELECT name FROM documents WHERE substr(name, 1, ?) = ? ORDER BY changed, name"
        store = self.journal.store

        def read(connection: SQLConnection) -> list[str]:
            if not store.has(connection, "documents"):
                return []
            return [name for (name,) in connection.execute(query, (len(beginning), beginning))]

        return store.read(read, PATIENCE)

    def prune(self, seconds: float, most: int) -> int:
        """Delete documents that were not changed for so long, and the oldest of more than `most`; return how many.

        Raises:
            JournalError: the file cannot be written.
        """
        store = self.journal.store

        def write(connection: SQLConnection) -> int:
            if not store.has(connection, "documents"):
                return 0
            before = store.now(connection) - seconds
            old = connection.execute("DELETE FROM documents WHERE changed < ?", (before,)).rowcount
            return old + connection.execute(_TOO_MANY, (most,)).rowcount

        return store.write(write, PATIENCE)

    def _read(self, connection: SQLConnection, name: str) -> str | None:
        row = connection.execute("SELECT body, checksum FROM documents WHERE name = ?", (name,)).fetchone()
        return None if row is None else self.journal.check(f"document {name!r}", *row)
