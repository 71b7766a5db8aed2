"""Runs on many machines: clients submit questions, workers answer them. Needs the extra `cluster`, and PostgreSQL.

client          submit a question, go on with a run
handle          what comes of a run: its result, its events; cancelling it
batch           many questions, and what comes of them
window          as many of them at a time as keep the workers busy
gathered        what many ask the database at once, asked together
submission      what is asked, as it travels
travelling      tools and budgets, as they travel
minds           the contemplators of a worker, by name
worker          a process that carries out runs
pulse           what a worker does every few seconds: it tells that it is alive, and looks after the others
reaper          the runs of workers that have died, given to others
roster          the table of workers
link            what a client has open
lookout         what keeps a run from being answered, in words
notices         what the database tells of runs, as it happens
site            the database, and where in it the cluster is
pruning         what queues have of runs that the journal has not any more
cluster_status  workers, queues and runs at a glance
metrics         what Prometheus is told
engine          the queues and who has a run: all that knows DBOS
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazily
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

__getattr__ = lazily(
    __name__,
    {
        "Client": ".client",
        "ClusterStatus": ".cluster_status",
        "Handle": ".handle",
        "QueueStatus": ".engine.run_queue",
        "WorkerInfo": ".roster",
        "prune_queues": ".pruning",
        "status": ".cluster_status",
        "work": ".worker",
    },
    extra="cluster",
    needs=("dbos", "prometheus_client", "psycopg", "sqlalchemy"),
)
