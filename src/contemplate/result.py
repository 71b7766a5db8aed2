"""What came of a task, and of a run."""

from __future__ import annotations

from typing import Any, Generic, Literal

from pydantic import Field, JsonValue, SerializeAsAny
from typing_extensions import TypeVar

from .data import Data
from .messages import ImagePart, Message
from .plan import Plan, Task
from .usage import Usage

OutputT = TypeVar("OutputT", default=str)

Outcome = Literal["answered", "capped", "failed", "cancelled"]


class ErrorInfo(Data):
    """An error as data: its class's name, what it said, and what to do next."""

    kind: str
    message: str
    hint: str | None = None


class Dissent(Data):
    """An answer that did not prevail, and the tasks that gave it."""

    answer: str
    tasks: tuple[str, ...]


class TaskResult(Data):
    """What came of a task.

    "answered" has a complete text; "capped" was cut by a limit (length, turns, budget); "failed" has an `error`;
    "cancelled" was stopped because its answer could no longer matter, or because time was up. All but "answered" keep
    in `text` what had been written until then. A failed task is never passed on as an answer.

    Args:
        index: the launch order within the run, from 0.
        output: the parsed value, as JSON, where the task was asked for the run's output type.
        started, seconds: when it started, in seconds since the run did, and how long it took.
        support, dissent: where it was put to several subagents: on whose answers it rests, by the names of their calls,
            and what the others said.
        complete: False where it was answered by a run of its own that had something left out.
        messages: the whole conversation of the subagent, tool calls and results included.
    """

    task: Task
    outcome: Outcome
    text: str = ""
    output: JsonValue = None
    images: tuple[ImagePart, ...] = ()
    error: ErrorInfo | None = None
    usage: Usage = Usage()
    model: str | None = None
    index: int = 0
    started: float = 0.0
    seconds: float = 0.0
    messages: tuple[Message, ...] = ()
    support: tuple[str, ...] = ()
    dissent: tuple[Dissent, ...] = ()
    complete: bool = True

    @property
    def id(self) -> str:
        """The task's id."""
        return self.task.id

    @property
    def answered(self) -> bool:
        """Whether the text is a complete answer."""
        return self.outcome == "answered"


class Conclusion(Data):
    """What an aggregator returns; a plain string stands for a conclusion with that text.

    Args:
        text: the answer as text.
        output: the answer in the run's output type, where the aggregator made one.
        support: ids of the tasks on which the answer rests.
        dissent: the other answers.
        complete: whether everything that the aggregator wanted had arrived.
    """

    text: str
    output: SerializeAsAny[Any] = None
    images: tuple[ImagePart, ...] = ()
    support: tuple[str, ...] = ()
    dissent: tuple[Dissent, ...] = ()
    complete: bool = True


class RunResult(Data, Generic[OutputT]):
    """What came of a run.

    Args:
        output: the answer: a `str`, or an instance of the output type that was asked for.
        text: the answer as text.
        plan: every task that was planned.
        tasks: what came of each task that was started, in the order of their launch.
        usage: all calls together: planner, subagents, aggregator.
        seconds: wall-clock time.
        complete: False when a limit or a failure left something out that the answer should rest on.
        missing: ids of tasks that were planned and not answered, and not stopped as needless.
        stopped_by: the field of `Limits` that ended the run early, or None.
        support, dissent: the tasks on which the answer rests, and what the others said.
        notes: what was mended, dropped or given up on the way, in words.
    """

    run_id: str
    question: str
    output: SerializeAsAny[OutputT]
    text: str
    images: tuple[ImagePart, ...] = ()
    plan: Plan = Plan()
    tasks: tuple[TaskResult, ...] = ()
    usage: Usage = Usage()
    seconds: float = 0.0
    complete: bool = True
    missing: tuple[str, ...] = ()
    stopped_by: str | None = None
    support: tuple[str, ...] = ()
    dissent: tuple[Dissent, ...] = ()
    notes: tuple[str, ...] = Field(default=())
