"""A model writes the plan, and its first tasks run while it is still writing the last ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from textwrap import shorten

from pydantic import JsonValue

from ..errors import ConfigurationError, ModelError
from ..events import PlanDelta
from ..messages import Message
from ..models import Delta, Model, ModelRequest, ModelResponse, OutputSchema
from ..plan import Task
from ..prompts import fence_mark, fenced, render
from ..run.context import RunContext
from ..run.protocols import Planner
from ..settings import ModelSettings
from .plan_parser import Draft, DraftReader, plan_schema
from .sized import Sized

MAX_CALLS = 2
MAX_TOLD = 300


def model(
    max_tasks: int = 6,
    *,
    min_tasks: int = 2,
    roles: Mapping[str, str | Model] | None = None,
    max_samples: int = 1,
    tools: bool = False,
    model: str | Model | None = None,
    settings: ModelSettings | None = None,
) -> Planner:
    """One call writes a graph of tasks; a task starts when its JSON object is complete and what it needs is done.

    Needs that name no earlier task are dropped, and tasks beyond `max_tasks` too, each with a note. If no task at all
    can be read, the model is told once what was wrong; if that does not help, the question is asked as it is.

    `min_tasks=1` lets the model decide whether to fan out at all: if it plans a single task, the question is asked as
    it is, with what the plan says of role, samples and tools, and there is no other task.

    After LLMCompiler, Kim et al. 2023, https://arxiv.org/abs/2312.04511, without its wait for the whole plan.
    Costs one call (two with a repair) before the first task can start, and one for each sample of a task.

    Args:
        max_tasks: the most tasks that are run.
        min_tasks: the fewest that the model is asked for.
        roles: models that a task can be given to, by names that speak for themselves, such as "fast" and "strong": the
            plan says for each task which. A name that is not among them is the run's own model, with a note.
        max_samples: the most samples that the plan may ask for of a task. They are made at the same time, and a vote on
            them (`answers.final`) is the task's answer. A number beyond it is cut to it, with a note.
        tools: whether the plan says for each task which of the agent's tools it may use. It is told their names and
            what they do. A name that is not among them is dropped, with a note.
        model: which model plans; the run's own if None.
        settings: of the planning call.

    Raises:
        ConfigurationError: `min_tasks` and `max_tasks` contradict each other, or `max_samples` is less than one.
    """
    if not 1 <= min_tasks <= max_tasks:
        raise ConfigurationError(f"planners.model: 1 <= min_tasks <= max_tasks is needed, not {min_tasks}, {max_tasks}")
    if max_samples < 1:
        raise ConfigurationError(f"planners.model(max_samples={max_samples}): at least one sample is needed")
    plan = _ModelPlanner(min_tasks, max_tasks, dict(roles or {}), max_samples, tools, model, settings)
    return Sized(plan, calls=(1, MAX_CALLS), tasks=(min_tasks, max_tasks), samples=max_samples)


@dataclass(frozen=True, slots=True)
class _Choices:
    """What the plan of one run may choose for a task: a role, each with its model's name; samples; tools."""

    roles: Mapping[str, str]
    samples: int
    tools: Mapping[str, str]

    def schema(self, min_tasks: int, max_tasks: int) -> OutputSchema:
        made = plan_schema(min_tasks, max_tasks, list(self.roles), samples=self.samples, tools=list(self.tools))
        return OutputSchema("plan", made)

    def rules(self, run_id: str) -> Iterator[str]:
        if self.roles:
            yield render("plan_roles", roles=", ".join(f'"{role}"' for role in self.roles))
        if self.samples > 1:
            yield render("plan_samples", samples=str(self.samples))
        if self.tools:
            # A server's words for its tools are not the user's.
            told = [("tools", "\n".join(f"- {name}: {does}" for name, does in self.tools.items()))]
            mark = fence_mark(run_id, told)
            yield render("plan_tools", mark=mark, tools=fenced(told, mark))
        # Last, and with every field that is asked for: small models write what they were shown.
        asked = {"role": self.roles, "samples": self.samples > 1, "tools": self.tools}
        yield render("plan_format", more="".join(f', "{name}": ...' for name, wanted in asked.items() if wanted))


class _ModelPlanner:
    def __init__(
        self,
        min_tasks: int,
        max_tasks: int,
        roles: dict[str, str | Model],
        max_samples: int,
        tools: bool,
        model: str | Model | None,
        settings: ModelSettings | None,
    ) -> None:
        self._range = min_tasks, max_tasks
        self._roles = roles
        self._max_samples = max_samples
        self._tools = tools
        self._model = model
        # No bound on tokens here: a reasoning model's thoughts would count, and the schema bounds the plan itself.
        self._settings = settings or ModelSettings()
        if min_tasks == 1:
            split = render("plan_split_if_needed", max_tasks=str(max_tasks))
        else:
            split = render("plan_split", min_tasks=str(min_tasks), max_tasks=str(max_tasks))
        self._rules = render("plan", split=split)

    async def __call__(self, question: str, ctx: RunContext) -> AsyncIterator[Task]:
        choices = self._choices(ctx)
        rules = Message.system("\n\n".join((self._rules, *choices.rules(ctx.run_id))))
        asked = Message.user(render("plan_question", question=question), ctx.images_for("planner"))
        messages: tuple[Message, ...] = (rules, asked)
        schema = choices.schema(*self._range)
        desk = _Desk(ctx, *self._range, choices)
        for _ in range(MAX_CALLS):
            request = ModelRequest(messages, self._settings, output_schema=schema)
            try:
                async with ctx.stream("planner", request, model=self._model) as call:
                    async for delta in call:
                        for task in desk.read(delta):
                            yield task
            except ModelError as error:
                if not desk.handed_out:
                    raise
                ctx.note(f"the plan broke off ({error.message}); the tasks that were complete are run")
                break
            if desk.count:
                desk.note_cut(call.finished)
                break
            complaint = Message.user(render("repair_plan", problem=desk.problem))
            messages = (*messages, call.finished.message, complaint)
            desk.start_over()
        if not desk.handed_out:
            if desk.count == 0:
                ctx.note(f"no plan could be read ({desk.problem}); the question is asked as it is")
            yield desk.undivided(question)

    def _choices(self, ctx: RunContext) -> _Choices:
        if self._tools and not ctx.tools:
            ctx.note("planners.model(tools=True): the agent names no tools, so the plan can choose none")
        return _Choices(
            roles={role: ctx.use(each) for role, each in self._roles.items()},
            samples=self._max_samples,
            tools={each.name: shorten(each.description, MAX_TOLD) for each in ctx.tools} if self._tools else {},
        )


class _Desk:
    """Makes tasks of drafts, and mends what has only one reading."""

    def __init__(self, ctx: RunContext, min_tasks: int, max_tasks: int, choices: _Choices) -> None:
        self.count = 0
        self.handed_out = False
        self.problem = "it holds no task"
        self._ctx = ctx
        self._max_tasks = max_tasks
        self._choices = choices
        # Where one task is allowed, the first waits for a second: alone, it is the question in other words.
        self._waits = min_tasks == 1
        self._first: Task | None = None
        self._full = False
        self._reader = DraftReader()

    def read(self, delta: Delta) -> Iterator[Task]:
        """The tasks that `delta` completes."""
        if delta.restart:
            self.start_over()
        if self._ctx.listening:
            self._ctx.emit(PlanDelta(text=delta.text))
        for draft in self._reader.feed(delta.text):
            task = self._task(draft)
            if task is None:
                continue
            if self._waits and self.count == 1:
                self._first = task
                continue
            self.handed_out = True
            if self._first is not None:
                yield self._first
                self._first = None
            yield task

    def start_over(self) -> None:
        """What was read so far is void, but for the tasks that already run: then those are the plan."""
        self._reader = DraftReader()
        if self.handed_out:
            self._full = True
            self._max_tasks = self.count
        else:
            self.count = 0
            self._first = None

    def note_cut(self, response: ModelResponse) -> None:
        if response.finish == "length":
            self._ctx.note("the plan was cut off at its length limit; the tasks that were complete are run")

    def undivided(self, question: str) -> Task:
        """The question as it is; if the plan has a single task, with what that says of how to answer it."""
        alone = self._first or Task(id="answer", prompt=question)
        told = {"id": "answer", "prompt": question, "kind": "answer", "title": "Answer"}
        return alone.model_copy(update=told)

    def _task(self, draft: Draft | str) -> Task | None:
        if isinstance(draft, str):
            self.problem = draft
            self._ctx.note(f"a task of the plan was dropped: {draft}")
            return None
        if self.count == self._max_tasks:
            if not self._full:
                self._ctx.note(f"the plan has more than {self._max_tasks} tasks; the rest is dropped")
            self._full = True
            return None
        self.count += 1
        known = [need for need in draft.needs if 1 <= need < self.count]
        unknown = sorted({need for need in draft.needs if need not in known})
        if unknown:
            named = ", ".join(map(str, unknown[:5]))
            self._ctx.note(f"task {self.count} needs {named}, which is no earlier task; the need is dropped")
        return Task(
            id=str(self.count),
            prompt=draft.prompt,
            needs=tuple(map(str, dict.fromkeys(known))),
            title=draft.title.strip() or f"Task {self.count}",
            model=self._model(draft.role),
            samples=self._samples(draft.samples),
            tools=self._tools(draft.tools),
        )

    def _model(self, role: str | None) -> str | None:
        roles = self._choices.roles
        if roles and role not in roles:
            self._ctx.note(f"task {self.count} is given to {role!r}, which is no role; it goes to the usual model")
        return roles.get(role or "")

    def _samples(self, asked: JsonValue) -> int:
        most = self._choices.samples
        if most == 1 or asked is None:
            return 1
        given = int(min(most, max(1, asked))) if isinstance(asked, int | float) else 1
        if given != asked:
            self._ctx.note(f"task {self.count} asks for {asked!s:.40} samples, of 1 to {most}; it has {given}")
        return given

    def _tools(self, asked: JsonValue) -> tuple[str, ...] | None:
        tools = self._choices.tools
        if not tools or asked is None:
            return None
        names = asked if isinstance(asked, list) else [asked]
        unknown = [str(each) for each in names if each not in list(tools)]
        if unknown:
            named = ", ".join(unknown[:5])
            self._ctx.note(f"task {self.count} is to use {named:.100}, which is no tool; it is dropped")
        return tuple(name for name in tools if name in names)
