"""The accounts in a journal: each exchange with a gate is a transaction of its own."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import inf

from ...models.wrappers.rate_limit import Exchanged, News, Turns
from .. import opened_once
from ..journal import Journal
from ..patience import PATIENCE
from ..store import SQLConnection
from .account_row import load, save
from .account_status import AccountStatus, statuses
from .calls import add_calls, end_calls, let_in, turns
from .gates import LEASE, renewed


class JournalAccounts:
    """The accounts in a journal. See `SharedAccounts`."""

    lease = LEASE

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    @property
    def key(self) -> Hashable:
        """What is equal for two journals that are the same."""
        return self._journal.key or self._journal

    def exchange(self, account: str, gate: str, news: News, patience: float) -> Exchanged:
        """Tell what is new, let in whoever's turn it is, and return how the account stands."""
        store = self._journal.store

        def write(connection: SQLConnection) -> Exchanged:
            store.make(connection, "limits")
            store.lock(connection, f"limit {account}")
            store.commit_asynchronously(connection)
            now = store.now(connection)
            found = load(store, connection, account, news, now)
            gates, expires = renewed(connection, account, gate, found.pace, now)
            end_calls(connection, news.ends, found.pace, now)
            add_calls(connection, account, gate, news.joins, found)
            let_in(connection, account, found, now)
            found.due = min(found.due, expires)
            save(connection, account, found)
            those = turns(connection, gate, news.waiting, found.due, found.head, now)
            return Exchanged(those, found.pace.window.out, gates)

        # What is told a second time makes no difference.
        return store.write(write, patience)

    def look(self, account: str, gate: str, waiting: Sequence[str], patience: float) -> Turns:
        """Return whose turn it is, as others may have let calls in."""
        store = self._journal.store

        def read(connection: SQLConnection) -> Turns:
            if not store.has(connection, "limits"):
                return Turns({}, waiting)
            row = connection.execute("SELECT due, head FROM limit_accounts WHERE account = ?", (account,)).fetchone()
            due, head = row or (None, "")
            return turns(connection, gate, waiting, inf if due is None else due, head, store.now(connection))

        return store.read(read, patience)

    def status(self) -> list[AccountStatus]:
        """Return the accounts at a glance, by name. Blocks.

        Raises:
            JournalError: the journal cannot be read.
        """
        store = self._journal.store
        return store.read(lambda connection: statuses(store, connection), PATIENCE)


def accounts_in(journal: str | Journal) -> JournalAccounts:
    """Return the accounts in a journal.

    Raises:
        ConfigurationError: the name of the journal has no known form.
        MissingDependencyError: it is in PostgreSQL, and the extra "cluster" is not installed.
    """
    return JournalAccounts(opened_once(journal))
