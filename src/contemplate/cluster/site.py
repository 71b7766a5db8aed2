"""The database, and where in it the cluster is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ..errors import ClusterBusy, ClusterError, ConfigurationError
from ..journal import POSTGRES, Journal, open_journal
from ..journal.postgres.address import PostgresAddress, address_of
from ..journal.postgres.connections import PostgresConnection, ends_when_still
from ..journal.postgres.outage import in_a_line
from ..journal.postgres.store import channel_of
from ..journal.postgres.troubles import hint_for, passes
from ..redaction import redact

# So that a network that has gone is noticed.
NETWORK: dict[str, Any] = {
    "application_name": "contemplate",
    "connect_timeout": 10,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}

THE_DATABASE = "the cluster's database"
# What is there from the first worker's first moment on: its table, and that of runs in the queues. All else in which
# runs are is made in the seconds after it.
_MADE_FIRST = re.compile(r"\b(workers|workflow_status)\b")


@dataclass(frozen=True)
class Site:
    """A database, and the journal in it.

    Args:
        url: the name of the journal, which may have a password in it.
        address: what it says.
    """

    url: str = field(repr=False)
    address: PostgresAddress

    @classmethod
    def of(cls, journal: str) -> Site:
        """Return the site of the journal of this name.

        Raises:
            ConfigurationError: it is not in PostgreSQL, or the name has another form.
            MissingDependencyError: the extra "cluster" is not installed.
        """
        if not journal.startswith(POSTGRES):
            raise ConfigurationError(
                f"journal {redact(journal)!r} is on one machine only", hint="postgresql://host/database"
            )
        return cls(journal, address_of(journal))

    @property
    def name(self) -> str:
        """What users and errors call it, without secrets."""
        return self.address.name

    @property
    def schema(self) -> str:
        """The journal's schema, in which the table of workers is, too."""
        return self.address.schema

    @property
    def engine_schema(self) -> str:
        """The schema in which the engine keeps its tables."""
        return f"{self.schema}_dbos"

    @property
    def recorded(self) -> str:
        """The channel that tells of each run that has something new in the journal."""
        return channel_of(self.schema)

    @property
    def cancelled(self) -> str:
        """The channel that tells of runs that are to be cancelled."""
        return f"{self.recorded}_cancelled"

    def journal(self) -> Journal:
        """Return the journal."""
        return open_journal(self.url)

    def connect(self, *, autocommit: bool = False, longest: float = inf) -> PostgresConnection:
        """Return a new connection, for each of whose answers anybody waits for `longest` seconds.

        Raises:
            psycopg.OperationalError: there is none to be had.
        """
        given = NETWORK | conninfo_to_dict(self.address.conninfo)
        # A worker that was stopped must not keep others from what it had locked.
        given["options"] = f"{given.get('options', '')} {ends_when_still(self.address)}"
        connection = PostgresConnection.connect(make_conninfo("", **given), autocommit=autocommit)
        connection.longest = longest
        return connection


@contextmanager
def told_as_ours(site: Site, *, known: bool = True) -> Iterator[None]:
    """Turn errors of the database in the block into `ClusterError`, without secrets.

    Args:
        site: the database.
        known: whether it was ever reached: only then one that is not there will be back.
    """
    try:
        yield
    except psycopg.Error as error:
        raise cluster_error(site, error, known=known) from None


def cluster_error(site: Site, error: BaseException, *, known: bool = True) -> ClusterError:
    """Return what an error of the database means for a cluster: a `ClusterBusy` if it may pass."""
    if isinstance(error, psycopg.errors.InvalidSchemaName) or _is_first(error):
        return ClusterError(
            f"no worker has ever run on {site.name}", hint="start one first: contemplate worker app:mind --journal ..."
        )
    if isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
        return ClusterBusy(
            f"the tables of queues on {site.name} are just being made, or are those of an older version",
            hint="start a worker of this version, which makes them",
        )
    said = f"cluster on {site.name}: {in_a_line(error) or type(error).__name__}"
    if not isinstance(error, psycopg.Error):
        return ClusterError(said)
    return (ClusterBusy if passes(error, known=known) else ClusterError)(said, hint=hint_for(error))


def _is_first(error: BaseException) -> bool:
    """Return whether a table is missing that is made first."""
    said = error.diag.message_primary if isinstance(error, psycopg.errors.UndefinedTable) else None
    return _MADE_FIRST.search(said or "") is not None
