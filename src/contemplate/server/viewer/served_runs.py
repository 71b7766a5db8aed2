"""The runs of a server, as its viewer shows them, and how those of them go on that wait."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

from ...decisions import Decision
from ...errors import ConfigurationError
from ...events import Event
from ...journal import RunRecord
from ...result import RunResult
from ...run.listeners import Listener
from ..neutral_request import Asked, Question
from ..visits import Count, Visit
from .shown_runs import ShownRuns

if TYPE_CHECKING:
    from ..active_runs import ActiveRuns
    from ..effort import Served
    from ..waiting_runs import WaitingRun


def shown_runs(served: Served, runs: ActiveRuns, count: Count, *, keys: bool) -> ShownRuns:
    """Return what the viewer of a server shows; `count` is told of each run that went on by a decision.

    Without `keys`, that is what was asked since it began: a journal is its owner's, and everybody may reach the server.
    """
    journals = [mind.journal for mind in served.contemplators if mind.journal is not None]
    # One journal may be that of several.
    by_key = {each.key or id(each): each for each in journals}
    return ShownRuns(tuple(by_key.values()) if keys else (), runs.live, _GoOn(served, runs, count).resume, served=True)


@dataclass(frozen=True)
class _GoOn:
    served: Served
    runs: ActiveRuns
    count: Count

    async def resume(
        self,
        record: RunRecord | None,
        run_id: str,
        decisions: Mapping[str, Decision],
        hear: Listener,
        visit: Visit | None,
    ) -> None:
        """Go on with a run, as it was asked, within the limits and the budgets of whoever decides.

        Raises:
            ContemplateError: it cannot go on, or there is no answer.
            RequestError: the server is stopping.
        """
        waiting = self.runs.waiting.find(run_id)
        name = waiting.asked.model if waiting is not None else _name_of(record)
        # The request is over, and counted, long before its run.
        visit = replace(visit or Visit(), model=name, run_id=run_id)
        began = perf_counter()

        def hear_and_count(event: Event) -> None:
            # What is refused before it begins is no run.
            visit.outcome = visit.outcome or "left"
            visit.see(event)
            hear(event)

        try:
            async with self.runs.hold():
                result = await self._resume(waiting, name, run_id, decisions, hear_and_count, visit)
            visit.outcome = "suspended" if result.pending else "answered"
        except Exception:
            visit.outcome = visit.outcome and "failed"
            raise
        finally:
            self.count(visit, perf_counter() - began)

    async def _resume(
        self,
        waiting: WaitingRun | None,
        name: str | None,
        run_id: str,
        decisions: Mapping[str, Decision],
        hear: Listener,
        visit: Visit,
    ) -> RunResult[Any]:
        asked = self._asked_of(name, run_id) if waiting is None else waiting.asked
        return await self.runs.runner.resume(run_id, decisions, asked, visit, hear)

    def _asked_of(self, name: str | None, run_id: str) -> Asked:
        mind = None if name is None else self.served.mind(name)
        if name is None or mind is None:
            raise ConfigurationError(f"run {run_id!r}: there is no contemplator {name!r} here to go on with it")
        # What it was asked is in its record.
        return Asked(mind, name, Question(""))


def _name_of(record: RunRecord | None) -> str | None:
    name = None if record is None else record.labels.get("contemplator")
    return name if isinstance(name, str) else None
