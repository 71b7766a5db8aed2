"""Journals in SQLite: a file, or in memory.

store       the file as a journal uses it
database    the connection to it
checkpoints what is in its log comes into the file
run_locks   one process at a time has a run
"""

from __future__ import annotations

from .store import SQLiteFile

__all__ = ["SQLiteFile"]
