"""DBOS's connections to the database, what it writes there, and what it logs."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import Any

import psycopg
import sqlalchemy
from dbos import Serializer, error

from ...errors import ClusterBusy
from ...redaction import redact
from ..site import Site, cluster_error

# The same for all clients and workers: whoever has another one sees none of their runs.
APPLICATION = "contemplate"
WORKFLOW = "contemplation"
# Of the form in which runs are submitted; it is not the package's, so that runs survive an update of it.
VERSION = "1"


class JsonSerializer(Serializer):
    """Writes what is asked as JSON, as anything else could be made to run code by whoever can write to the table."""

    def serialize(self, data: Any) -> str:
        """Return `data` as JSON."""
        return json.dumps(data, default=_described)

    def deserialize(self, serialized_data: str) -> Any:
        """Return what was written."""
        return json.loads(serialized_data)

    def name(self) -> str:
        """Return what it is called in the rows that it has written."""
        return "contemplate_json"


def connections(site: Site, size: int, longest: float = inf) -> sqlalchemy.Engine:
    """Return a pool of at most `size` connections, made as all others are, each answer within `longest` seconds."""

    def connect() -> psycopg.Connection[Any]:
        return site.connect(longest=longest)

    # By a function, not by a URL: so what the URL has in it, such as a password, is in none of DBOS's messages.
    return sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=connect, pool_size=size, max_overflow=0, pool_timeout=30, pool_pre_ping=True
    )


@contextmanager
def working(site: Site) -> Iterator[None]:
    """Turn errors of DBOS and of its connections in the block into `ClusterError`, without secrets."""
    try:
        yield
    except sqlalchemy.exc.TimeoutError:
        raise ClusterBusy(f"cluster on {site.name}: all connections are in use") from None
    except (sqlalchemy.exc.SQLAlchemyError, psycopg.Error, error.DBOSException) as problem:
        raise cluster_error(site, getattr(problem, "orig", None) or problem) from None


def use_own_log() -> None:
    """Let DBOS's messages go where this package's go, without secrets, and no banner anywhere else."""
    log = logging.getLogger("dbos")
    if not any(isinstance(each, _Forwarding) for each in log.handlers):
        log.addHandler(_Forwarding())
    log.propagate = False


class _Forwarding(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        # A run that fails says so itself, and a worker that cannot reach the database does; the rest is detail.
        level = logging.DEBUG if record.levelno < logging.WARNING or record.exc_info else logging.INFO
        # SQLAlchemy adds lines that help nobody who does not use it.
        said = record.getMessage().partition("\n")[0]
        logging.getLogger("contemplate").log(level, "engine: %s", redact(said))


def _described(value: object) -> str:
    return redact(f"{type(value).__name__}: {value}")
