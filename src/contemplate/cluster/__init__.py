"""Runs on many machines: clients submit questions, workers answer them. Needs the extra `cluster`, and PostgreSQL.

client          submit a question, go on with a run
handle          what comes of a run: its result, its events; cancelling it
batch           many questions, and what comes of them
window          as many of them at a time as keep the workers busy
gathered        what many ask the database at once, asked together
submission      what is asked, as it travels
minds           the contemplators of a worker, by name
worker          a process that carries out runs
pulse           what a worker does every few seconds: it tells that it is alive, and looks after the others
reaper          the runs of workers that have died, given to others
roster          the table of workers
link            what a client has open
notices         what the database tells of runs, as it happens
site            the database, and where in it the cluster is
pruning         what queues have of runs that the journal has not any more
cluster_status  workers, queues and runs at a glance
engine          the queues and who has a run: all that knows DBOS
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .minds import register

if TYPE_CHECKING:
    from .client import Client
    from .cluster_status import ClusterStatus, status
    from .engine.run_queue import QueueStatus
    from .handle import Handle
    from .pruning import prune_queues
    from .roster import WorkerInfo
    from .worker import work

__all__ = [
    "Client",
    "ClusterStatus",
    "Handle",
    "QueueStatus",
    "WorkerInfo",
    "prune_queues",
    "register",
    "status",
    "work",
]

_HOMES = {
    "Client": ".client",
    "ClusterStatus": ".cluster_status",
    "Handle": ".handle",
    "QueueStatus": ".engine.run_queue",
    "WorkerInfo": ".roster",
    "prune_queues": ".pruning",
    "status": ".cluster_status",
    "work": ".worker",
}
_NEEDED = ("dbos", "psycopg", "sqlalchemy")


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    try:
        return getattr(import_module(_HOMES[name], __name__), name)
    except ModuleNotFoundError as error:
        if error.name not in _NEEDED:
            raise
        from ..errors import MissingDependencyError

        raise MissingDependencyError("contemplate.cluster", "cluster") from error
