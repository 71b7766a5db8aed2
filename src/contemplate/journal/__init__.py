"""Journals: each call's result is recorded before it is used, so that a run can be resumed or replayed.

entries          the records
sqlite           the store
database         its file, in SQLite
run_locks        one process at a time has a run
group_commit     writes that come together
run_writer       when what is recorded of a run is written
patience         how what must not block uses it
recording        record a run, and resume it
shared_answers   answers that runs have in common
replaying        replay a run offline
"""

from __future__ import annotations

from ..errors import ConfigurationError
from .entries import Entry, RunRecord
from .shared_answers import SharedAnswers
from .sqlite import Journal

__all__ = ["Entry", "Journal", "RunRecord", "SharedAnswers", "open_journal"]

_SQLITE_PREFIX = "sqlite:///"


def open_journal(journal: str | Journal) -> Journal:
    """Return the journal named "sqlite:///runs.db" (a path after three slashes, as in SQLAlchemy) or "memory:".

    Raises:
        ConfigurationError: the name has another form.
    """
    if isinstance(journal, Journal):
        return journal
    if journal == "memory:":
        return Journal()
    path = journal.removeprefix(_SQLITE_PREFIX)
    if path == journal or not path:
        raise ConfigurationError(f"journal {journal!r} has an unknown form", hint='"sqlite:///runs.db" or "memory:"')
    return Journal(path)
