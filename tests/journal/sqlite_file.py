"""The file of a journal, for tests of what only SQLite's has."""

from __future__ import annotations

from contemplate.journal import Journal
from contemplate.journal.sqlite.database import Database
from contemplate.journal.sqlite.store import SQLiteStore


def database_of(journal: Journal) -> Database:
    """The connection to a journal's file."""
    assert isinstance(journal.store, SQLiteStore)
    return journal.store.database
