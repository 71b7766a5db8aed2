"""What each task of a run is doing, or what came of it, by the events of the run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from ..events import Event, TaskDelta, TaskFinished, TaskPlanned, TaskStarted, ToolFinished, ToolProgress, ToolStarted
from ..plan import Task
from ..result import Outcome, RunResult, TaskResult
from .event_lines import task_end, tool_progress, tool_use
from .inner_runs import InnerRuns
from .plan_tree import PlanTree

TAIL = 400

Status = Outcome | Literal["waiting", "running", "stopped", "not started"]


@dataclass(eq=False)
class TaskState:
    """A task, and where it stands.

    Attributes:
        said: the end of what it writes, what it waits for, or how it ended.
        result: what came of it; None before its end.
    """

    task: Task
    status: Status = "waiting"
    said: str = "waiting"
    result: TaskResult | None = None

    @property
    def rank(self) -> int:
        """Return what is shown first where there is no room for all: those at work, those to come, those done."""
        return ("running", "waiting").index(self.status) if self.status in ("running", "waiting") else 2


class TaskStates:
    """The states of a run's tasks as a tree: each task stands below one that it needs."""

    def __init__(self) -> None:
        self._states: dict[str, TaskState] = {}
        self._tree = PlanTree()
        self._within = InnerRuns()

    @classmethod
    def of(cls, result: RunResult[Any]) -> TaskStates:
        """Return the states in which a run has left its tasks."""
        states = cls()
        done = {each.id: each for each in result.tasks}
        for task in (*result.plan.tasks, *(each.task for each in result.tasks)):
            if task.id not in states._states:
                states.add(TaskPlanned(task=task))
        for each in done.values():
            states.add(TaskFinished(result=each))
        states.stop()
        return states

    def __len__(self) -> int:
        return len(self._states)

    def __iter__(self) -> Iterator[TaskState]:
        """Yield them from the top down."""
        return (self._states[each] for each in self._tree.order)

    @property
    def ended(self) -> int:
        """How many tasks have come to an end."""
        return sum(state.rank == 2 for state in list(self._states.values()))

    @property
    def done(self) -> bool:
        """Whether all tasks have come to an end."""
        return self.ended == len(self)

    def depth(self, task_id: str) -> int:
        """Return how many tasks stand above a task."""
        return self._tree.depth(task_id)

    def within(self, task_id: str) -> str:
        """Return what goes on in the runs within a task, in a few words."""
        return self._within.text(task_id)

    def chosen(self, room: int) -> list[TaskState]:
        """Return at most so many, from the top down: those at work first, then those of which something is missing."""
        states = list(self)
        first = set(sorted(states, key=lambda state: (state.rank, state.status == "answered"))[:room])
        return [state for state in states if state in first]

    def add(self, event: Event) -> None:
        """Take account of what an event says of a task; what happens in a run within one is counted in its state."""
        self._within.add(event)
        if event.path:
            return
        match event:
            case TaskPlanned(task=task) if task.kind != "answer":
                self._states[task.id] = TaskState(task, said=self._waiting(task))
                self._tree.add(task)
            case TaskStarted(task_id=task_id) if task_id in self._states:
                self._states[task_id].status, self._states[task_id].said = "running", ""
            case TaskDelta(task_id=task_id) if task_id in self._states:
                state = self._states[task_id]
                kept = "" if event.restart else state.said
                state.said = (kept + event.text + event.reasoning)[-TAIL:]
            case ToolStarted(task_id=task_id, tool=tool) if task_id in self._states:
                self._states[task_id].said = f"{tool_use(tool)} ..."
            case ToolProgress(task_id=task_id) if task_id in self._states:
                self._states[task_id].said = f"{tool_progress(event)} ..."
            case ToolFinished(task_id=task_id) if task_id in self._states:
                self._states[task_id].said = ""
            case TaskFinished(result=result) if result.id in self._states:
                self._end(self._states[result.id], result)
            case _:
                pass

    def _end(self, state: TaskState, result: TaskResult) -> None:
        written = f", {result.usage.output_tokens:,} tokens" if result.error is None else ""
        within = self._within.text(result.id)
        state.status, state.result = result.outcome, result
        state.said = f"{task_end(result)}{written}{f' ({within})' if within else ''}"

    def _waiting(self, task: Task) -> str:
        """Return what a task waits for, by the names in view."""
        needs = [self._states[need].task.label if need in self._states else need for need in task.needs]
        return f"waits for {', '.join(needs)}" if needs else "waiting"

    def stop(self) -> None:
        """Say that no task goes on."""
        for state in self._states.values():
            if state.rank < 2:
                state.status = "stopped" if state.status == "running" else "not started"
                state.said = state.status
