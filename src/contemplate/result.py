"""The result of a task, and of a run."""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal

from pydantic import Field, JsonValue, PlainSerializer, SerializationInfo, SerializeAsAny
from pydantic_core import to_jsonable_python
from typing_extensions import TypeVar

from .data import Data, Record, Text, html_of, readable, to_json_text
from .decisions import PendingCall
from .messages import ImagePart, Message, TokenLogprob
from .plan import PROGRAM_TASK, Plan, Task
from .usage import Usage

OutputT = TypeVar("OutputT", default=str)

SHOWN = 60

Outcome = Literal["answered", "capped", "failed", "cancelled", "suspended"]
RunStatus = Literal["answered", "partial", "suspended"]


def _written(value: Any, info: SerializationInfo) -> Any:
    """Return a value for JSON; its text, if the type cannot write it: an answer is not lost for that."""
    try:
        return to_jsonable_python(
            value,
            by_alias=bool(info.by_alias),
            round_trip=info.round_trip,
            bytes_mode="base64",
            inf_nan_mode="strings",
        )
    except Exception:
        return readable(repr(value))


# A value of any type, carried as it is; only when it is stored or shown does it become JSON.
_AS_JSON = PlainSerializer(_written, when_used="json")
AnyValue = Annotated[Any, _AS_JSON]


class ErrorInfo(Data):
    """An error as data: the name of its class, its message, and what to do next.

    Args:
        kind: the name of its class.
        message: what happened.
        hint: what to do.
        status, code: of a model's server: the HTTP status, and what it calls the error; a limit's code is its name.
        retry_after: seconds that the server asked to wait.
    """

    kind: str
    message: Text
    hint: Text | None = None
    status: int | None = None
    code: Text | None = None
    retry_after: float | None = None


class Dissent(Data):
    """An answer that did not prevail, and the tasks that gave it."""

    answer: Text
    tasks: tuple[Text, ...]


class Citation(Data):
    """A passage of an answer, and the tasks on which it rests, as the aggregator says.

    Args:
        start, end: where the passage begins and ends in the text, in characters.
        marks_end: where the marks behind it end, such as " [1, 3]".
        tasks: the ids of the tasks.
    """

    start: int
    end: int
    marks_end: int
    tasks: tuple[Text, ...]


class TaskResult(Data):
    """The result of a task.

    "answered" has a complete text; "capped" was cut short by a limit (length, turns, budget); "failed" has an `error`;
    "cancelled" was stopped because its answer was no longer needed, or because time ran out; "suspended" waits for a
    decision on a tool call, and goes on when its run is resumed. All but "answered" keep in `text` what was written
    until then. A failed task is never passed on as an answer.

    Args:
        index: the launch order within the run, from 0.
        output: the parsed value, if the task was to answer in the run's output type.
        started: when it started, in seconds after the run did.
        seconds: how long it took.
        support, dissent: for a task answered by several subagents: the names of those on whose answers it rests, and
            the other answers.
        complete: False if it was answered by a run of its own that left something out.
        messages: the whole conversation of the subagent, tool calls and results included.
        logprobs: the tokens of the last answer with their log-probabilities, if they were asked for and the model gave
            them.
        metadata: the user's own data (`Answer.metadata`).
    """

    task: Task
    outcome: Outcome
    text: Text = ""
    output: AnyValue = None
    images: tuple[ImagePart, ...] = ()
    error: ErrorInfo | None = None
    usage: Usage = Usage()
    model: str | None = None
    index: int = 0
    started: float = 0.0
    seconds: float = 0.0
    messages: tuple[Message, ...] = ()
    support: tuple[Text, ...] = ()
    dissent: tuple[Dissent, ...] = ()
    complete: bool = True
    logprobs: tuple[TokenLogprob, ...] | None = None
    metadata: dict[str, JsonValue] = Field(default={})

    @property
    def id(self) -> str:
        """The task's id."""
        return self.task.id

    @property
    def answered(self) -> bool:
        """Whether the text is a complete answer."""
        return self.outcome == "answered"

    def to_record(self) -> Record:
        """Return the task and what came of it as a row of a table; an output that is no plain value is JSON."""
        output = self.model_dump(mode="json", include={"output"})["output"]
        return {
            **self.task.to_record(),
            "model": self.model or self.task.model,
            "outcome": self.outcome,
            "text": self.text,
            "output": to_json_text(output) if isinstance(output, (list, dict)) else output,
            "error": None if self.error is None else f"{self.error.kind}: {self.error.message}",
            "complete": self.complete,
            "started": self.started,
            "seconds": self.seconds,
            **self.usage.model_dump(),
        }


_NOT_STARTED: Record = dict.fromkeys(TaskResult(task=Task(id="-", prompt=""), outcome="cancelled").to_record())


class Conclusion(Data):
    """What an aggregator returns; a plain string stands for a conclusion with that text.

    Args:
        text: the answer as text.
        output: the answer in the run's output type, if the aggregator made one.
        support: ids of the tasks on which the answer rests.
        dissent: the other answers.
        complete: whether everything that the aggregator needed had arrived.
        answer: for a vote: the answer that won, in the words of the first task that gave it, without its reasons.
        votes: for a vote: how many tasks gave each answer, by its key, the winner first.
        points: for a tournament: the points of each answer, by the id of the task that gave it first, the winner first.
        citations: which passages of the text rest on which tasks, where the aggregator says so.
    """

    text: Text
    output: AnyValue = None
    images: tuple[ImagePart, ...] = ()
    support: tuple[Text, ...] = ()
    dissent: tuple[Dissent, ...] = ()
    answer: Text | None = None
    votes: dict[str, int] = Field(default_factory=dict)
    points: dict[str, float] = Field(default_factory=dict)
    complete: bool = True
    citations: tuple[Citation, ...] = ()


class RunResult(Data, Generic[OutputT]):
    """The result of a run.

    Args:
        output: the answer: a `str`, or an instance of the output type; None while the run is suspended.
        text: the answer as text.
        plan: every task that was planned.
        tasks: the result of each task that was started, in launch order.
        usage: the sum over all calls: planner, subagents, aggregator.
        seconds: wall-clock time.
        complete: False if a limit or a failure left out something that the answer should rest on.
        missing: ids of planned tasks that were not answered, except those that were no longer needed.
        stopped_by: the field of `Limits` that ended the run early, or "budget:" and the name of a `Budget`; or None.
        support, dissent: the ids of the tasks on which the answer rests, and the other answers.
        answer: after a vote: the answer that won, in the words of the first task that gave it, without its reasons;
            `output` is all that the task wrote.
        votes: after a vote: how many tasks gave each answer, by its key, the winner first.
        points: after a tournament: the points of each answer, by the id of the task that gave it first, the winner
            first.
        citations: which passages of `text` rest on which tasks, if the aggregator was to say so.
        notes: what was decided, repaired, dropped or given up, in words.
        history: the conversation with this question and its answer: `run(next_question, history=result.history)`.
        pending: the tool calls for whose decision a suspended run waits: `mind.resume(run_id, {call.id: ...})`.
    """

    run_id: str
    question: Text
    output: Annotated[SerializeAsAny[OutputT], _AS_JSON]
    text: Text
    images: tuple[ImagePart, ...] = ()
    plan: Plan = Plan()
    tasks: tuple[TaskResult, ...] = ()
    usage: Usage = Usage()
    seconds: float = 0.0
    complete: bool = True
    missing: tuple[str, ...] = ()
    stopped_by: str | None = None
    support: tuple[Text, ...] = ()
    dissent: tuple[Dissent, ...] = ()
    answer: Text | None = None
    votes: dict[str, int] = Field(default_factory=dict)
    points: dict[str, float] = Field(default_factory=dict)
    citations: tuple[Citation, ...] = Field(default=())
    notes: tuple[Text, ...] = Field(default=())
    history: tuple[Message, ...] = ()
    pending: tuple[PendingCall, ...] = Field(default=())

    @property
    def uncited(self) -> str:
        """The text without the marks of its citations."""
        pieces, begin = [], 0
        for each in self.citations:
            pieces.append(self.text[begin : each.end])
            begin = each.marks_end
        return "".join((*pieces, self.text[begin:]))

    @property
    def status(self) -> RunStatus:
        """Whether it was "answered"; is "partial", as something is missing; or is "suspended", with calls `pending`."""
        if self.pending:
            return "suspended"
        return "answered" if self.complete else "partial"

    @property
    def program(self) -> str | None:
        """The program that organised the run (`planners.program`); None if there was none, or it found nothing."""
        return next((each.prompt for each in self.plan.tasks if each.id == PROGRAM_TASK), None)

    def to_records(self) -> list[Record]:
        """Return the tasks as rows of a table, such as pandas' `DataFrame(result.to_records())`.

        The columns are those of `Task.to_record` and `TaskResult.to_record`, with `run_id` before them, and behind them
        `supports`: whether the answer rests on the task, None if that is not known. Of a task that never started, what
        would have come of it is None.
        """
        results = {each.id: each for each in self.tasks}
        tasks = {task.id: task for task in (*self.plan.tasks, *(each.task for each in self.tasks))}
        return [
            {
                "run_id": self.run_id,
                **(results[task.id].to_record() if task.id in results else _NOT_STARTED | task.to_record()),
                "supports": task.id in self.support if self.support else None,
            }
            for task in tasks.values()
        ]

    def __str__(self) -> str:
        """Return the answer, and whether something is missing from it; or what a suspended run waits for."""
        if self.pending:
            return "\n".join((f"run {self.run_id} is suspended, and waits for:", *map(str, self.pending)))
        if self.complete:
            return self.text
        why = f"; missing: {', '.join(self.missing)}" if self.missing else ""
        return f"{self.text}\n\n(incomplete{why})".strip()

    def __repr__(self) -> str:
        text = self.text if len(self.text) <= SHOWN else f"{self.text[:SHOWN]}..."
        counts = f"tasks={len(self.tasks)}, calls={self.usage.calls}, complete={self.complete}"
        counts += f", pending={len(self.pending)}" if self.pending else ""
        return f"RunResult(run_id={self.run_id!r}, text={text!r}, {counts})"

    def _repr_html_(self) -> str:
        return html_of(self, "shown_result")
