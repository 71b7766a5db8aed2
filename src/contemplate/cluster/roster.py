"""The table of workers: who is there, and how often each has said so. All functions block."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from importlib.resources import files
from typing import Any
from uuid import uuid4

from psycopg import Connection, sql
from psycopg.rows import dict_row
from pydantic import Field

from .._version import __version__
from ..data import Data
from .site import Site

_OF_ALL_VERSIONS = "worker, host, pid, minds, concurrency, runs, draining, heartbeat"
# As workers of an older version have made it, the table has none.
_ITS_VERSION = "coalesce(to_jsonb(workers) ->> 'version', '') AS version"
_COLUMNS = f"{_OF_ALL_VERSIONS}, version"


class WorkerInfo(Data):
    """A worker.

    Args:
        worker: its id, which no other ever has.
        host, pid: where it is, and its process there.
        minds: the names of its contemplators.
        concurrency: how many runs of each it carries out at once.
        runs: how many it carries out now.
        draining: whether it takes nothing more, as it was told to end.
        heartbeat: how often it says that it is alive, in seconds.
        version: that of the package; empty if it is one that did not say so yet.
        since: when it started, in seconds since 1970.
        silent: for how many seconds it has not said so.
    """

    worker: str
    host: str
    pid: int
    minds: tuple[str, ...]
    concurrency: int
    runs: int = 0
    draining: bool = False
    heartbeat: float = Field(gt=0)
    version: str = ""
    since: float = 0.0
    silent: float = 0.0

    @property
    def alive(self) -> bool:
        """Whether it has said so within two heartbeats."""
        return self.silent <= 2 * self.heartbeat

    def overrules(self, other: WorkerInfo) -> bool:
        """Return whether another one that is alive has one of its contemplators, with another concurrency."""
        return other.alive and other.concurrency != self.concurrency and not set(self.minds).isdisjoint(other.minds)

    def __str__(self) -> str:
        """Return where it is, and its contemplators."""
        return f"{', '.join(self.minds)} on {self.host} (process {self.pid})"


def this_worker(minds: tuple[str, ...], concurrency: int, heartbeat: float) -> WorkerInfo:
    """Return a new worker in this process."""
    host, pid = socket.gethostname(), os.getpid()
    return WorkerInfo(
        worker=f"{host}-{pid}-{uuid4().hex[:8]}",
        host=host,
        pid=pid,
        minds=minds,
        concurrency=concurrency,
        heartbeat=heartbeat,
        version=__version__,
    )


def create(connection: Connection[Any], site: Site) -> None:
    """Create the table in the journal's schema, which is there, if the table is not, or is that of an older version."""
    newest = "SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = 'version'"
    if connection.execute(newest, (f'"{site.schema}".workers',)).fetchone():
        # Even with IF NOT EXISTS it would need rights that only the first one must have.
        return
    text = files(__package__).joinpath("workers.sql").read_text(encoding="utf-8")
    with connection.transaction():
        # One after the other.
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"{site.schema}/workers",))
        connection.execute(sql.SQL("SET LOCAL search_path TO {}").format(sql.Identifier(site.schema)))
        connection.execute(text)


def beat(connection: Connection[Any], site: Site, worker: WorkerInfo) -> bool:
    """Say that `worker` is alive; return False if others thought that it was not, and had removed it."""
    query = sql.SQL(
        "INSERT INTO {table} ({columns}) VALUES ({values}) ON CONFLICT (worker) DO UPDATE "
        "SET runs = excluded.runs, draining = excluded.draining, renewed = now(), beats = {table}.beats + 1 "
        "RETURNING beats"
    ).format(
        table=_table(site),
        columns=sql.SQL(_COLUMNS),
        values=sql.SQL(", ").join(map(sql.Placeholder, _COLUMNS.split(", "))),
    )
    row = connection.execute(query, {**worker.model_dump(), "minds": list(worker.minds)}).fetchone()
    return row is not None and row[0] > 0


def beats(connection: Connection[Any], site: Site) -> Mapping[str, int]:
    """Return how often each worker has said that it is alive."""
    rows = connection.execute(sql.SQL("SELECT worker, beats FROM {}").format(_table(site))).fetchall()
    return dict(rows)


def remove(connection: Connection[Any], site: Site, worker: str, beats: int | None = None) -> bool:
    """Remove a worker, and return whether it was there; given its `beats`, only if it has not said anything since."""
    query = sql.SQL("DELETE FROM {} WHERE worker = %s AND (%s::bigint IS NULL OR beats = %s)").format(_table(site))
    return connection.execute(query, (worker, beats, beats)).rowcount > 0


def workers(connection: Connection[Any], site: Site) -> list[WorkerInfo]:
    """Return all workers that have not been removed, the oldest first."""
    query = sql.SQL(
        "SELECT {columns}, extract(epoch FROM since)::float8 AS since, "
        "greatest(extract(epoch FROM now() - renewed), 0)::float8 AS silent, {version} FROM {table} ORDER BY since"
    ).format(columns=sql.SQL(_OF_ALL_VERSIONS), version=sql.SQL(_ITS_VERSION), table=_table(site))
    with connection.cursor(row_factory=dict_row) as cursor:
        return [WorkerInfo.model_validate({**row, "minds": tuple(row["minds"])}) for row in cursor.execute(query)]


def _table(site: Site) -> sql.Identifier:
    return sql.Identifier(site.schema, "workers")
