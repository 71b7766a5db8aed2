"""Journals: what calls brought is written down before it is used, so that a run can go on, or be gone through again.

entries     what is written down
store       where: SQLite
recording   a run that writes down, and is continued
replaying   a run that is gone through once more, offline
"""

from __future__ import annotations

from ..errors import ConfigurationError
from .entries import Entry, RunRecord
from .sqlite import Journal

__all__ = ["Entry", "Journal", "RunRecord", "open_journal"]

_FILE = "sqlite:///"


def open_journal(journal: str | Journal) -> Journal:
    """The journal called so: "sqlite:///runs.db" (a path after three slashes, as SQLAlchemy writes it), or "memory:".

    Raises:
        ConfigurationError: it is called otherwise.
    """
    if isinstance(journal, Journal):
        return journal
    if journal == "memory:":
        return Journal()
    path = journal.removeprefix(_FILE)
    if path == journal or not path:
        raise ConfigurationError(f"journal {journal!r} is of no known kind", hint='"sqlite:///runs.db" or "memory:"')
    return Journal(path)
