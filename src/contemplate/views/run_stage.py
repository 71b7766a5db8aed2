"""What there is to say of a run while it goes on: its clock and its cost, who is ahead, and what it is doing."""

from __future__ import annotations

import re
from collections.abc import Callable

from ..events import Event, ModelCalled, OutputDelta, PlanDelta, PlanReady, RunStarted, StandingsChanged, VoteCounted
from ..usage import NOTHING
from .pace import Pace
from .summary import leading
from .task_states import TAIL, TaskStates

PLAN_TAIL = 4000
_TITLE = re.compile(r'"title"\s*:\s*"((?:[^"\\]|\\.)*)')


class RunStage:
    """The stage of a run; give it every event."""

    def __init__(self) -> None:
        self._pace = Pace()
        self._usage = NOTHING
        self._leading = ""
        self._model = ""
        self._plan: str | None = None
        self._thought = ""

    def add(self, event: Event) -> None:
        """Take account of an event; of a run within a task, only the cost is the run's."""
        self._pace.add(event)
        match event:
            case ModelCalled(usage=usage):
                self._usage += usage
            case _ if event.path:
                pass
            case RunStarted(model=model):
                self._model = model
            case PlanDelta(text=text):
                self._plan = ((self._plan or "") + text)[-PLAN_TAIL:]
            case PlanReady():
                self._plan = None
            case VoteCounted() | StandingsChanged():
                self._leading = leading(event)
            case OutputDelta(text="", reasoning=reasoning):
                self._thought = (self._thought + reasoning)[-TAIL:]
            case _:
                pass

    def parts(self, tasks: TaskStates, end_of: Callable[[str], str]) -> list[str]:
        """Return what there is to say, such as "0:42", "11 tokens/s", "5 calls" and "planning Costs".

        Args:
            tasks: its tasks.
            end_of: returns as much of the end of a text as there is room for.
        """
        usage = self._usage
        calls = f"{usage.calls:,} call{'s' if usage.calls > 1 else ''}" if usage.calls else ""
        cost = f"${usage.cost_usd:.4f}" if usage.cost_usd else ""
        return [*filter(None, (*self._pace.parts(), calls, cost, self._leading, self._doing(tasks, end_of)))]

    def _doing(self, tasks: TaskStates, end_of: Callable[[str], str]) -> str:
        # Another thread may add events: what may change meanwhile is read once.
        plan = self._plan
        if self._thought:
            return f"thinking {end_of(self._thought)}"
        if plan is not None:
            return f"planning {_last_title(plan)}"
        if not tasks:
            return f"asking {self._model}"
        return "merging" if tasks.done else ""


def _last_title(plan: str) -> str:
    """Return the title that was written last in a plan that is being written; "" if there is none yet."""
    titles = _TITLE.findall(plan)
    return titles[-1] if titles else ""
