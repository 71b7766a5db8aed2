"""The runs of a server, as its viewer shows them, and how those of them go on that wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...budget import Budget
from ...contemplator import Contemplator
from ...decisions import Decision
from ...errors import ConfigurationError
from ...journal import RunRecord
from ...limits import Limits
from ...run.listeners import Listener
from ..visits import Visit
from .shown_runs import ShownRuns

if TYPE_CHECKING:
    from ..active_runs import ActiveRuns
    from ..effort import Served


def shown_runs(served: Served, runs: ActiveRuns, *, keys: bool) -> ShownRuns:
    """Return what the viewer of a server shows.

    Without `keys`, that is what was asked since it began: a journal is its owner's, and everybody may reach the server.
    """
    journals = [mind.journal for mind in _minds(served) if mind.journal is not None]
    # One file may be that of several.
    by_file = {each.path or id(each): each for each in journals}
    return ShownRuns(tuple(by_file.values()) if keys else (), runs.live, _GoOn(served, runs).resume, served=True)


def _minds(served: Served) -> list[Contemplator[Any]]:
    by_effort = [each for each in served.efforts.values() if isinstance(each, Contemplator)]
    return [*served.minds.values(), *by_effort]


def _allowed(mind: Contemplator[Any], visit: Visit | None) -> tuple[Limits, Sequence[Budget]]:
    return (mind.limits, ()) if visit is None else (visit.limits(mind.limits), visit.budgets)


@dataclass(frozen=True)
class _GoOn:
    served: Served
    runs: ActiveRuns

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
        async with self.runs.hold():
            waiting = self.runs.waiting.find(run_id)
            if waiting is None:
                mind = self._mind_of(record, run_id)
                limits, budgets = _allowed(mind, visit)
                await mind.resume(run_id, decisions, limits=limits, budget=budgets, on_event=hear)
                return
            asked = waiting.asked
            limits, budgets = _allowed(asked.mind, visit)
            await asked.mind.resume(
                run_id,
                decisions,
                output_type=asked.output_type,
                mode=asked.mode,
                answer_settings=asked.settings,
                seed=asked.seed,
                tools=asked.tools,
                limits=limits,
                budget=budgets,
                on_event=hear,
            )

    def _mind_of(self, record: RunRecord | None, run_id: str) -> Contemplator[Any]:
        name = None if record is None else record.labels.get("contemplator")
        mind = self.served.mind(name) if isinstance(name, str) else None
        if mind is None:
            raise ConfigurationError(f"run {run_id!r}: there is no contemplator {name!r} here to go on with it")
        return mind
