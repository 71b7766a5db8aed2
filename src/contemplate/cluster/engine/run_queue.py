"""The queues of runs, one for each contemplator, as whoever stands outside sees them. All methods block."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Literal

import sqlalchemy
from dbos import DBOSClient, EnqueueOptions, WorkflowStatus, error
from pydantic import JsonValue, ValidationError

from ...data import Data
from ...result import ErrorInfo
from ..site import Site
from ..submission import Submission
from .connection import APPLICATION, WORKFLOW, JsonSerializer, connections, use_own_log, working

CONNECTIONS = 4
# For how many seconds a server may take to answer before it is taken for away.
LONGEST_ANSWER = 30.0
AT_ONCE = 500

RunState = Literal["queued", "running", "over", "cancelled"]
_STATES: dict[str, RunState] = {
    "ENQUEUED": "queued",
    "DELAYED": "queued",
    "PENDING": "running",
    "SUCCESS": "over",
    "ERROR": "over",
    "CANCELLED": "cancelled",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "over",
}


@dataclass(frozen=True, slots=True)
class QueuedRun:
    """A run that was submitted.

    Args:
        state: "over" says nothing of how it ended, which is in the journal.
        mind: the name of the contemplator that is to answer it, and of the queue.
        worker: the worker that has it, or had it last; None if none ever did.
        asked: what was asked; None if that was not wanted.
        error: with what it ended, if that is not in the journal.
        by: the mark of whoever submitted it.
    """

    run_id: str
    state: RunState
    mind: str
    worker: str | None
    asked: Submission | None = None
    error: ErrorInfo | None = None
    by: str = ""


class QueueStatus(Data):
    """The queue of a contemplator.

    Args:
        mind: its name.
        queued: how many runs wait.
        running: how many go on.
        oldest_seconds: for how long the oldest has waited.
        workers: how many workers that are alive have it.
    """

    mind: str
    queued: int = 0
    running: int = 0
    oldest_seconds: float = 0.0
    workers: int = 0


class RunQueue:
    """The queues of a cluster.

    Args:
        site: the database.
        longest: for how many seconds each answer is waited for; `LONGEST_ANSWER` if None.

    Raises (each method):
        ClusterError: the database cannot be reached, or no worker has ever run there.
    """

    def __init__(self, site: Site, longest: float | None = None) -> None:
        use_own_log()
        self._site = site
        self._pool = connections(site, CONNECTIONS, LONGEST_ANSWER if longest is None else longest)
        self._client = DBOSClient(
            system_database_engine=self._pool,
            dbos_system_schema=site.engine_schema,
            serializer=JsonSerializer(),
            application_name=APPLICATION,
            lazy=True,
            retry_connection_errors=False,
        )

    def close(self) -> None:
        """Close its connections."""
        self._client.destroy()
        self._pool.dispose()

    def submit(self, run_id: str, asked: Submission, by: str = "") -> bool:
        """Put a run into the queue of its contemplator; return False if there is one of that id, and change nothing.

        `by` is a mark by which whoever asks finds out later whether the run is his own.
        """
        return self._enqueue(run_id, asked, by)

    def submit_again(self, run_id: str, asked: Submission, by: str = "") -> bool:
        """Do so with one that is over, or was cancelled, too; in one step, so that it is never out of the queue."""
        # What it was is in the journal. So a run is one workflow, by one name, however often it goes on.
        return self._enqueue(run_id, asked, by, self._sql("forget.sql"))

    def run(self, run_id: str, *, with_question: bool = False) -> QueuedRun | None:
        """Return a run; None if it was never submitted, or was removed."""
        return next(iter(self.runs([run_id], with_question=with_question)), None)

    def runs(self, run_ids: Sequence[str], *, with_question: bool = False) -> list[QueuedRun]:
        """Return those of the runs that were submitted."""
        found: list[WorkflowStatus] = []
        with working(self._site):
            for start in range(0, len(run_ids), AT_ONCE):
                some = list(run_ids[start : start + AT_ONCE])
                found += self._client.list_workflows(workflow_ids=some, load_input=with_question)
        return [_queued_run(each) for each in found]

    def cancel(self, run_ids: Collection[str]) -> None:
        """Take runs out of their queues, or from their workers, which are told; nothing happens to those over."""
        told = [{"channel": self._site.cancelled, "run": run_id} for run_id in run_ids]
        with working(self._site):
            self._client.cancel_workflows(list(run_ids))
            with self._pool.begin() as connection:
                connection.execute(sqlalchemy.text("SELECT pg_notify(:channel, :run)"), told)

    def give_back(self, run_ids: Collection[str], mind: str) -> None:
        """Put runs back into the queue of `mind`, whoever has them: who does so no longer has them."""
        if run_ids:
            with working(self._site):
                self._client.resume_workflows(list(run_ids), queue_name=mind)

    def runs_of(self, workers: Collection[str]) -> list[QueuedRun]:
        """Return the runs that these workers have."""
        with working(self._site):
            found = self._client.list_workflows(
                status="PENDING", executor_id=list(workers), load_input=False, load_output=False
            )
        return [_queued_run(each) for each in found]

    def holders(self) -> set[str]:
        """Return the workers that have runs, alive or not."""
        rows = self._read("holders.sql")
        return {str(worker) for (worker,) in rows if worker}

    def queues(self) -> list[QueueStatus]:
        """Return the queues in which runs wait, or of which runs go on; nothing of workers."""
        rows = self._read("queues.sql")
        return [
            QueueStatus(mind=mind, queued=queued, running=running, oldest_seconds=round(max(float(oldest), 0.0), 1))
            for mind, queued, running, oldest in rows
        ]

    def over(self, before: float, number: int, *, after: int = 0) -> list[str]:
        """Return so many of the runs that were over at that time, in seconds since 1970, after as many that come first.

        There are none where no worker has ever run.
        """
        table = f'"{self._site.engine_schema}".workflow_status'
        with working(self._site), self._pool.connect() as connection:
            if connection.execute(sqlalchemy.text("SELECT to_regclass(:table)"), {"table": table}).scalar() is None:
                return []
        with working(self._site):
            found = self._client.list_workflows(
                status=[status for status, state in _STATES.items() if state in ("over", "cancelled")],
                completed_before=datetime.fromtimestamp(before, UTC).isoformat(),
                limit=number,
                offset=after,
                load_input=False,
                load_output=False,
            )
        return [each.workflow_id for each in found]

    def forget(self, run_ids: Collection[str]) -> int:
        """Remove what there is of runs, unless they wait or go on; return of how many."""
        with working(self._site), self._pool.begin() as connection:
            return int(connection.execute(self._sql("forget.sql"), {"runs": list(run_ids)}).scalar() or 0)

    def _enqueue(self, run_id: str, asked: Submission, by: str, *before: sqlalchemy.TextClause) -> bool:
        options: EnqueueOptions = {
            "queue_name": asked.mind,
            "workflow_name": WORKFLOW,
            "workflow_id": run_id,
            "workflow_id_reuse_policy": "reject",
            "authenticated_user": by,
        }
        with working(self._site):
            try:
                with self._pool.begin() as connection:
                    for query in before:
                        connection.execute(query, {"runs": [run_id]})
                    self._client.enqueue_in_transaction(connection, options, asked.as_json())
            except error.DBOSWorkflowIDInUseError:
                return False
        return True

    def _read(self, name: str) -> Sequence[Sequence[Any]]:
        # What its public calls would fetch row by row.
        with working(self._site), self._pool.connect() as connection:
            return connection.execute(self._sql(name)).fetchall()

    def _sql(self, name: str) -> sqlalchemy.TextClause:
        # The name of the schema was checked where it came in.
        text = files(__package__).joinpath(name).read_text(encoding="utf-8")
        return sqlalchemy.text(text.format(schema=f'"{self._site.engine_schema}"'))


def _queued_run(found: WorkflowStatus) -> QueuedRun:
    data: JsonValue = found.input["args"][0] if found.input and found.input["args"] else None
    try:
        asked = None if data is None else Submission.model_validate(data)
    except ValidationError:
        # Of another version.
        asked = None
    output = found.output
    return QueuedRun(
        run_id=found.workflow_id,
        state=_STATES.get(found.status, "over"),
        mind=found.queue_name or ("" if asked is None else asked.mind),
        worker=found.executor_id,
        asked=asked,
        error=ErrorInfo.model_validate(output) if isinstance(output, dict) else None,
        by=found.authenticated_user or "",
    )
