"""The events of a run: one frozen class each, distinguished by `kind`.

Events are the only way to observe a run. The terminal, the server, logs and traces all read this one stream.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from .data import Data, Text
from .decisions import PendingCall
from .plan import Plan, Task
from .result import Citation, Dissent, ErrorInfo, TaskResult
from .usage import Usage

Speaker = Literal["planner", "subagent", "aggregator"]
# Why a call is made once more: after an error, beside one that is late, or of another model.
Again = Literal["retried", "hedged", "replaced"]
# What a call waits behind: other calls of the run; those to which a limit or a budget gave what is left; others of the
# account (`Limit`); one with the same beginning (`Warm`).
Queue = Literal["concurrency", "limits", "rate", "prefix"]
# How many answers of a vote, or candidates of a tournament, an event names at most: the strongest.
STRONGEST = 10
EVERYONE: frozenset[Speaker] = frozenset({"planner", "subagent", "aggregator"})


class CallName(Data):
    """The name of a model call in events, logs and journals.

    Args:
        run: the id of the outermost run.
        path: the path of the calling run within it, such as "2/sample-1"; "" for the outermost run itself.
        role: who calls.
        task: the task's id within its run; None outside a task.
        turn: the number of earlier calls by the same role for the same task.
    """

    run: str
    path: str = ""
    role: Speaker
    task: str | None = None
    turn: int = 0

    @property
    def task_path(self) -> str | None:
        """The task's id after the path of its run; None outside a task."""
        return self.task if self.task is None or not self.path else f"{self.path}/{self.task}"


class Course(NamedTuple):
    """The course of a call, in seconds.

    Args:
        queued: how long it waited for its turn.
        first: after how long, once it was made, the first piece came; None if it came in one.
        again: when, after it was asked for, it was made once more, and why, in a word and in words.
    """

    queued: float = 0.0
    first: float | None = None
    again: tuple[tuple[float, Again, str], ...] = ()


NOT_MADE = Course()


class RunEvent(Data):
    """The base of every event.

    Args:
        run_id: the id of the outermost run.
        path: the path of the event's run within it, made of the tasks around it, such as "2" or "2/sample-1"; "" for
            the outermost run itself.
        at: when it happened, in seconds after the outermost run started, or was resumed.
    """

    run_id: str = ""
    path: str = ""
    at: float = 0.0

    def stamp(self, run_id: str, path: str, at: float) -> None:
        """Say of which run this event is, and when it was made: a moment ago, so that nobody has seen it."""
        # Not a copy: copying an event costs more than making it.
        fields = self.__dict__
        fields["at"] = at
        if not fields["run_id"]:
            fields["run_id"], fields["path"] = run_id, path


class RunStarted(RunEvent):
    """The run began."""

    kind: Literal["run_started"] = "run_started"
    question: Text
    model: str


class PlanDelta(RunEvent):
    """The planner wrote a piece of its plan."""

    kind: Literal["plan_delta"] = "plan_delta"
    text: Text


class TaskPlanned(RunEvent):
    """A task was planned; it starts when the tasks that it needs are done."""

    kind: Literal["task_planned"] = "task_planned"
    task: Task


class Noted(RunEvent):
    """Something was decided, repaired, dropped or given up; the run goes on."""

    kind: Literal["noted"] = "noted"
    message: Text


class PlanReady(RunEvent):
    """The planner has finished. Tasks that an aggregator adds are planned after this."""

    kind: Literal["plan_ready"] = "plan_ready"
    plan: Plan


class TaskStarted(RunEvent):
    """A subagent began its task."""

    kind: Literal["task_started"] = "task_started"
    task_id: Text
    model: str


class TaskTold(RunEvent):
    """The subagent of a task was sent a message, which it reads before its next turn, if there is one."""

    kind: Literal["task_told"] = "task_told"
    task_id: Text
    text: Text


class TaskDelta(RunEvent):
    """A subagent wrote a piece of its text, or of its `reasoning`.

    `restart`: the pieces before are void, as the call broke off and is made again.
    """

    kind: Literal["task_delta"] = "task_delta"
    task_id: Text
    text: Text = ""
    reasoning: Text = ""
    restart: bool = False

    @classmethod
    def of(cls, task_id: str, text: str, reasoning: str, restart: bool) -> TaskDelta:
        """Return the event of a piece whose texts are readable."""
        return cls._unchecked(
            {
                "run_id": "",
                "path": "",
                "at": 0.0,
                "kind": "task_delta",
                "task_id": task_id,
                "text": text,
                "reasoning": reasoning,
                "restart": restart,
            }
        )


class ToolStarted(RunEvent):
    """A subagent called a tool. `arguments`: as JSON, in 4,000 characters at most."""

    kind: Literal["tool_started"] = "tool_started"
    task_id: Text
    tool: Text
    call_id: Text
    arguments: Text = ""


class ToolProgress(RunEvent):
    """A tool said what it is doing (`ToolContext.progress`), in 500 characters at most.

    `tool` is the tool that said it; in a program that calls tools, `call_id` is that of the program.
    """

    kind: Literal["tool_progress"] = "tool_progress"
    task_id: Text
    tool: Text
    call_id: Text
    message: Text


class ToolFinished(RunEvent):
    """A tool returned `text`, of which there are 4,000 characters at most, or failed (`error`)."""

    kind: Literal["tool_finished"] = "tool_finished"
    task_id: Text
    tool: Text
    call_id: Text
    seconds: float
    error: ErrorInfo | None = None
    text: Text = ""


class CallWaiting(RunEvent):
    """A tool call waits for a decision: somebody is asked, or the run will be suspended when nothing else can go on."""

    kind: Literal["call_waiting"] = "call_waiting"
    call: PendingCall


class ContextCondensed(RunEvent):
    """A model is shown a short account of its oldest `turns` from now on, as its conversation became too long.

    `tokens_before` and `tokens_after`: its prompt, by the estimate. For an aggregator that works with tools, `task_id`
    is "aggregator".
    """

    kind: Literal["context_condensed"] = "context_condensed"
    task_id: Text
    turns: int
    tokens_before: int
    tokens_after: int


class TaskFinished(RunEvent):
    """A task ended, with one of the four outcomes."""

    kind: Literal["task_finished"] = "task_finished"
    result: TaskResult


class VoteCounted(RunEvent):
    """A vote was counted. `votes` maps the strongest answers, ten at most, to their numbers of votes, leader first."""

    kind: Literal["vote_counted"] = "vote_counted"
    task_id: Text
    votes: dict[Text, int]
    decided: bool


class StandingsChanged(RunEvent):
    """The standings of a tournament changed. Candidates are called by the id of the task that gave the answer first.

    `points` maps the strongest, ten at most, to their points, the leader first; a comparison that is still out counts
    as a draw. `decided`: whether the first place is. `pair`: who were compared, in which `round` (from 1); `score` is
    that of the first of them, from 0 to 1, or None without a verdict. There is no pair before the first round, nor at
    the end of a run that was written down, of which no more is known.
    """

    kind: Literal["standings_changed"] = "standings_changed"
    points: dict[Text, float]
    decided: bool
    round: int | None = None
    pair: tuple[Text, Text] | None = None
    score: float | None = None


class CallStarted(RunEvent):
    """A model is asked; the call may have to wait for its turn."""

    kind: Literal["call_started"] = "call_started"
    name: CallName
    model: str


class CallQueued(RunEvent):
    """A model call has to wait for its turn, and `behind` what; with None, it waits no more.

    Only those that wait are told of, and none that is made once more: it had its turn.
    """

    kind: Literal["call_queued"] = "call_queued"
    name: CallName
    behind: Queue | None = None


class CallRepeated(RunEvent):
    """A model call that goes on is made once more: after an error, beside one that is late, or of another model."""

    kind: Literal["call_repeated"] = "call_repeated"
    name: CallName
    reason: Again
    message: Text = ""


class ModelCalled(RunEvent):
    """A model call succeeded or failed. Holds no prompt and no answer.

    `seconds`: how long it took, after it had waited for its turn for `queued` seconds. `first`: after how many of its
    seconds the first piece came, if it came in pieces. `recorded`: the response came from the journal, and no call was
    made.
    """

    kind: Literal["model_called"] = "model_called"
    name: CallName
    model: str
    usage: Usage
    seconds: float
    finish: str | None = None
    error: ErrorInfo | None = None
    recorded: bool = False
    queued: float = 0.0
    first: float | None = None


class LimitReached(RunEvent):
    """A limit ended the work early; the aggregator concludes from what arrived."""

    kind: Literal["limit_reached"] = "limit_reached"
    limit: str


class OutputDelta(RunEvent):
    """A piece of the answer. `restart`: the pieces before are void."""

    kind: Literal["output_delta"] = "output_delta"
    text: Text = ""
    reasoning: Text = ""
    restart: bool = False

    @classmethod
    def of(cls, text: str, reasoning: str, restart: bool) -> OutputDelta:
        """Return the event of a piece whose texts are readable."""
        return cls._unchecked(
            {
                "run_id": "",
                "path": "",
                "at": 0.0,
                "kind": "output_delta",
                "text": text,
                "reasoning": reasoning,
                "restart": restart,
            }
        )


class RunFinished(RunEvent):
    """The run ended with an answer.

    `support`, `dissent`, `answer`, `votes`, `points`, `citations`: those of its `RunResult`.
    """

    kind: Literal["run_finished"] = "run_finished"
    text: Text
    usage: Usage
    seconds: float
    complete: bool
    stopped_by: str | None = None
    support: tuple[Text, ...] = ()
    dissent: tuple[Dissent, ...] = ()
    answer: Text | None = None
    votes: dict[Text, int] = Field(default={})
    points: dict[Text, float] = Field(default={})
    citations: tuple[Citation, ...] = ()


class RunSuspended(RunEvent):
    """The run waits for decisions on tool calls: `mind.resume(run_id, {call.id: ...})`."""

    kind: Literal["run_suspended"] = "run_suspended"
    pending: tuple[PendingCall, ...]
    usage: Usage
    seconds: float


class RunFailed(RunEvent):
    """The run ended with an error."""

    kind: Literal["run_failed"] = "run_failed"
    error: ErrorInfo
    usage: Usage
    seconds: float


Event = Annotated[
    RunStarted
    | PlanDelta
    | TaskPlanned
    | Noted
    | PlanReady
    | TaskStarted
    | TaskTold
    | TaskDelta
    | ToolStarted
    | ToolProgress
    | ToolFinished
    | CallWaiting
    | ContextCondensed
    | TaskFinished
    | VoteCounted
    | StandingsChanged
    | CallStarted
    | CallQueued
    | CallRepeated
    | ModelCalled
    | LimitReached
    | OutputDelta
    | RunFinished
    | RunSuspended
    | RunFailed,
    Field(discriminator="kind"),
]
