"""What a run is doing as a whole, by its events: it is asking, planning, thinking, merging, and how its vote stands."""

from __future__ import annotations

import re
from collections.abc import Callable

from ..events import Event, OutputDelta, PlanDelta, PlanReady, RunStarted, VoteCounted
from .summary import majority
from .task_states import TAIL, TaskStates

PLAN_TAIL = 4000
_TITLE = re.compile(r'"title"\s*:\s*"((?:[^"\\]|\\.)*)')


class RunStage:
    """The stage of a run; give it every event.

    Attributes:
        vote: how its vote stands, such as "3 of 4 said 42"; "" without one.
    """

    def __init__(self) -> None:
        self.vote = ""
        self._model = ""
        self._plan: str | None = None
        self._thought = ""

    def add(self, event: Event) -> None:
        """Take account of an event; a run within a task is in that task's stage."""
        if event.path:
            return
        match event:
            case RunStarted(model=model):
                self._model = model
            case PlanDelta(text=text):
                self._plan = ((self._plan or "") + text)[-PLAN_TAIL:]
            case PlanReady():
                self._plan = None
            case VoteCounted(votes=votes) if votes:
                self.vote = majority(*next(iter(votes.items())), sum(votes.values()))
            case OutputDelta(text="", reasoning=reasoning):
                self._thought = (self._thought + reasoning)[-TAIL:]
            case _:
                pass

    def text(self, tasks: TaskStates, end_of: Callable[[str], str]) -> str:
        """Return what it is doing, such as "planning Costs"; "" if its tasks say that.

        Args:
            tasks: its tasks.
            end_of: returns as much of the end of a text as there is room for.
        """
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
