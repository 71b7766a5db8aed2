"""Tasks, and the graph that they form: a plan."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field, JsonValue, model_validator

from .data import Data, Record, Text, html_of
from .settings import ModelSettings

# The task that stands for the program which organised a run (`planners.program`): its prompt is the program.
PROGRAM_TASK: Final = "program"

TaskKind = Literal["part", "candidate", "answer"]


class Program(Data):
    """Limits for a program that answers a task: the model writes it, the library runs it.

    Args:
        seconds: how long it may run, without the time it waits for tools.
        memory_mib: MiB that it may use.
        output_kib: KiB that it may print.
        repairs: how many times the model may rewrite it, after being told what went wrong.
    """

    seconds: float = Field(default=5.0, gt=0)
    memory_mib: int = Field(default=64, ge=1)
    output_kib: int = Field(default=16, ge=1)
    repairs: int = Field(default=2, ge=0)


class Task(Data):
    """One piece of work for one subagent.

    Args:
        id: names the task within its run.
        prompt: the question for the subagent.
        needs: ids of earlier tasks whose results it is shown; it starts when they are done.
        kind: "part" answers a sub-question. "candidate" is one attempt at the whole question, and "answer" the only
            one: both have the run's output type, and the text of an "answer" streams as the run's output.
        title: a few words for people; the id if None.
        instructions: a persona or a strategy, added to the subagent's system prompt. An attempt with "" is a plain
            call, as an "answer" without any is: the subagent is told the question alone.
        model: the model that answers: a name such as "openai:gpt-5", or one returned by `RunContext.use`. The
            subagents' default if None.
        settings: override the subagents' default settings.
        program: makes a program answer the task, within these limits.
        samples: how many subagents answer it independently; the result is the answer that most of them give.
        tools: the names of the agent's tools that it may use; all of them if None.
        output_schema: the JSON schema of a part's answer: its result's `output` is then JSON. A part is text if None.
        held: its result goes to whoever waits for it and to the tasks that need it, but into the aggregator's stream
            only if the planner releases it (`RunContext.release`), or if nothing else was answered; then it is no
            longer held.
    """

    id: Text = Field(min_length=1)
    prompt: Text
    needs: tuple[Text, ...] = ()
    kind: TaskKind = "part"
    title: Text | None = None
    instructions: Text | None = None
    model: str | None = None
    settings: ModelSettings | None = None
    program: Program | None = None
    samples: int = Field(default=1, ge=1)
    tools: tuple[str, ...] | None = None
    output_schema: dict[str, JsonValue] | None = None
    held: bool = False

    @model_validator(mode="after")
    def _check_schema(self) -> Task:
        if self.output_schema is not None and self.kind != "part":
            raise ValueError(f"task {self.id!r}: output_schema is for parts; a {self.kind} has the run's output type")
        return self

    @property
    def label(self) -> str:
        """The title, else the id."""
        return self.title or self.id

    def to_record(self) -> Record:
        """Return what it is to do as a row of a table; the title is the id if there is none."""
        return {
            "id": self.id,
            "title": self.label,
            "kind": self.kind,
            "prompt": self.prompt,
            "needs": ", ".join(self.needs),
            "instructions": self.instructions,
            "model": self.model,
        }


class Plan(Data):
    """A validated task graph: ids are unique, and a task needs only earlier ones, so there is no cycle.

    Raises:
        ValueError: a task breaks one of these rules (pydantic's `ValidationError`).
    """

    tasks: tuple[Task, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Plan:
        seen: set[str] = set()
        for task in self.tasks:
            problem = problem_with(task, seen)
            if problem is not None:
                raise ValueError(problem)
            seen.add(task.id)
        return self

    def to_records(self) -> list[Record]:
        """Return the tasks as rows of a table, such as pandas' `DataFrame(plan.to_records())`."""
        return [task.to_record() for task in self.tasks]

    def _repr_html_(self) -> str:
        return html_of(self, "shown_plan")


def problem_with(task: Task, earlier: set[str]) -> str | None:
    """Return why `task` cannot follow tasks with the ids `earlier`; None if it can."""
    if task.id in earlier:
        return f"task {task.id!r} was planned twice: ids must be unique"
    for need in task.needs:
        if need == task.id:
            return f"task {task.id!r} needs itself"
        if need not in earlier:
            return f"task {task.id!r} needs {need!r}, which is not an earlier task"
    return None
