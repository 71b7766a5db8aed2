"""Journals: each call's result is recorded before it is used, so that a run can be resumed or replayed.

entries          the records
journal          the records as rows
accounts         what is spent of budgets that processes share
account_limits   rate limits that they share
holding          a run that is taken for a block
store            what it needs of a database
sqlite           a file, or memory
postgres         a database that many machines use
group_commit     writes that come together
run_writer       when what is recorded of a run is written
patience         how what must not block uses a journal
recording        record a run, and resume it
shared_answers   answers that runs have in common
replaying        replay a run offline
pruning          delete what is over and old
"""

from __future__ import annotations

import threading
from collections.abc import Hashable
from weakref import WeakValueDictionary

from ..errors import ConfigurationError
from ..redaction import redact
from .entries import Entry, RunRecord
from .following import killed
from .journal import Journal
from .pruning import prune
from .shared_answers import SharedAnswers

__all__ = ["Entry", "Journal", "RunRecord", "SharedAnswers", "killed", "open_journal", "prune"]

POSTGRES = ("postgresql://", "postgres://")
_SQLITE_PREFIX = "sqlite:///"
_FORMS = '"sqlite:///runs.db", "postgresql://host/database" or "memory:"'


def open_journal(journal: str | Journal) -> Journal:
    """Return the journal of that name.

    It is "sqlite:///runs.db" (a path after three slashes, as in SQLAlchemy), "memory:", or
    "postgresql://user:password@host/database", where "?schema=name" may follow.

    Raises:
        ConfigurationError: the name has another form.
        MissingDependencyError: it is in PostgreSQL, and the extra "cluster" is not installed.
    """
    if isinstance(journal, Journal):
        return journal
    if journal == "memory:":
        return Journal()
    if journal.startswith(POSTGRES):
        from .postgres import PostgresPlace, address_of

        return Journal.at(PostgresPlace(address_of(journal)))
    path = journal.removeprefix(_SQLITE_PREFIX)
    if path == journal or not path:
        raise ConfigurationError(f"journal {redact(journal)!r} has an unknown form", hint=_FORMS)
    return Journal(path)


# However many budgets or limits name it; budgets for each user, say.
_opened: WeakValueDictionary[Hashable, Journal] = WeakValueDictionary()
_opening = threading.Lock()


def opened_once(journal: str | Journal) -> Journal:
    """Return the journal of that name, as `open_journal` does, but the same one each time in a process."""
    if isinstance(journal, Journal):
        return journal
    opened = open_journal(journal)
    if opened.key is None:
        return opened
    with _opening:
        return _opened.setdefault(opened.key, opened)
