"""Suspended runs of a contemplator without a journal: each is kept in a journal in memory until it is over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..decisions import Decision
from ..result import RunResult
from .run import Job, Parts, new_run_id

if TYPE_CHECKING:
    from ..journal import Journal

Decisions = Mapping[str, Decision | bool]
NO_DECISIONS: Decisions = {}
MOST_KEPT = 1000


class SuspendedRuns:
    """The suspended runs; of more than 1,000, the oldest are forgotten."""

    def __init__(self) -> None:
        self._journals: dict[str, Journal] = {}

    def __contains__(self, run_id: object) -> bool:
        return run_id in self._journals

    def forget(self, run_id: str) -> None:
        """Forget a run."""
        self._journals.pop(run_id, None)

    async def run(self, parts: Parts, job: Job, decisions: Decisions = NO_DECISIONS) -> RunResult[Any]:
        """Make a run, or go on with one that is suspended, and keep it if it is suspended then.

        Raises:
            ConfigurationError: no such call waits, or something else was decided of it.
            ContemplateError: there is no answer.
        """
        # Imported on use only, as both import SQLite.
        from ..journal import Journal
        from .journaled_runs import keep_or_continue, resume

        run_id = job.run_id or new_run_id()
        job = replace(job, run_id=run_id)
        known = run_id in self._journals
        journal = self._journals.setdefault(run_id, Journal())
        result: RunResult[Any] | None = None
        try:
            result = await (resume(parts, job, journal, decisions) if known else keep_or_continue(parts, job, journal))
        finally:
            # One that failed while it was resumed can be resumed again.
            if result is None and not known:
                del self._journals[run_id]
        if not result.pending:
            self._journals.pop(run_id, None)
        elif len(self._journals) > MOST_KEPT:
            self._journals.pop(next(iter(self._journals)))
        return result
