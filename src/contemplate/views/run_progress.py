"""What a run has reached so far, by its events: for the case that it is interrupted."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..events import (
    Event,
    ModelCalled,
    OutputDelta,
    RunFailed,
    RunFinished,
    RunStarted,
    RunSuspended,
    TaskFinished,
    TaskPlanned,
)
from ..plan import Plan, Task
from ..result import RunResult, TaskResult
from ..usage import NOTHING, Usage


@dataclass
class RunProgress:
    """What a run has reached so far.

    Attributes:
        recorded: how many of its calls had been made before.
    """

    run_id: str = ""
    question: str = ""
    text: str = ""
    planned: list[Task] = field(default_factory=list)
    finished: list[TaskResult] = field(default_factory=list)
    usage: Usage = NOTHING
    recorded: int = 0
    seconds: float = 0.0

    def add(self, event: Event) -> None:
        """Add what an event says."""
        match event:
            case ModelCalled(usage=usage, recorded=recorded):
                self.usage += usage
                self.recorded += usage.calls if recorded else 0
            case _ if event.path:
                # The run within a task is part of that task's result.
                pass
            case RunStarted():
                self.run_id, self.question = event.run_id, event.question
            case TaskPlanned(task=task):
                self.planned.append(task)
            case TaskFinished(result=result):
                self.finished.append(result)
            case OutputDelta(text=text, restart=restart):
                self.text = text if restart else self.text + text
            case RunFinished(seconds=seconds) | RunFailed(seconds=seconds) | RunSuspended(seconds=seconds):
                self.seconds = seconds
            case _:
                pass

    def partial(self) -> RunResult[str]:
        """Return it as the result of an incomplete run."""
        return RunResult[str](
            run_id=self.run_id,
            question=self.question,
            output=self.text,
            text=self.text,
            plan=Plan(tasks=tuple(self.planned)),
            tasks=tuple(sorted(self.finished, key=lambda result: result.index)),
            usage=self.usage,
            seconds=self.seconds,
            complete=False,
        )
