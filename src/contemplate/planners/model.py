"""A plan written by a model, whose first tasks run while the rest is still being written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from textwrap import shorten

from pydantic import JsonValue

from ..arguments import checked_arguments
from ..errors import ConfigurationError, ModelError
from ..events import PlanDelta
from ..messages import Message
from ..models import Delta, Model, ModelRequest, ModelResponse, OutputSchema
from ..plan import Task
from ..prompts import Prompts, fence_mark, fenced
from ..run.context import RunContext
from ..run.protocols import Planner
from ..settings import ModelSettings
from .plan_parser import Draft, DraftReader, plan_schema
from .planner_size import Sized

MAX_CALLS = 2
MAX_TOOL_DESCRIPTION_CHARACTERS = 300


@checked_arguments
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
    """Let a model write a task graph in one call; a task starts once its JSON is complete and its needs are done.

    Needs that do not name an earlier task and tasks beyond `max_tasks` are dropped, each with a note. If no task can be
    parsed, the model is asked once to repair the plan; if that fails too, the question is asked directly.

    `min_tasks=1` lets the model decide whether to fan out: if it plans a single task, that task is the question itself,
    with the role, samples and tools that the plan chose.

    After LLMCompiler, Kim et al. 2023, https://arxiv.org/abs/2312.04511, without waiting for the whole plan.
    Costs one call (two with a repair) before the first task can start, and one for each sample of a task.

    Args:
        max_tasks: maximum number of tasks that run.
        min_tasks: minimum number of tasks that the model is asked for.
        roles: models that the plan can assign to a task, by descriptive names such as "fast" and "strong". A task with
            an unknown name uses the run's model, with a note.
        max_samples: maximum number of samples that the plan may request for a task. They run in parallel, and a vote
            on them (`answers.final`) is the task's answer. A larger number is reduced to it, with a note.
        tools: whether the plan chooses which of the agent's tools each task may use. The planning model sees their
            names and descriptions. Unknown names are dropped, with a note.
        model: the model that plans; the run's model if None.
        settings: settings of the planning call.

    Raises:
        ConfigurationError: not 1 <= `min_tasks` <= `max_tasks`, or `max_samples` is less than one.
    """
    if not 1 <= min_tasks <= max_tasks:
        raise ConfigurationError(f"planners.model({min_tasks=}, {max_tasks=}): 1 <= min_tasks <= max_tasks must hold")
    if max_samples < 1:
        raise ConfigurationError(f"planners.model({max_samples=}): max_samples must be at least 1")
    plan = _ModelPlanner(min_tasks, max_tasks, dict(roles or {}), max_samples, tools, model, settings)
    return Sized(
        plan,
        calls=(1, MAX_CALLS),
        tasks=(min_tasks, max_tasks),
        samples=max_samples,
        models=(None, model, *(roles or {}).values()),
    )


@dataclass(frozen=True, slots=True)
class _Choices:
    """What the plan may choose for a task: roles (to model names), a number of samples, tools (to descriptions)."""

    roles: Mapping[str, str]
    samples: int
    tools: Mapping[str, str]

    def schema(self, min_tasks: int, max_tasks: int) -> OutputSchema:
        schema = plan_schema(min_tasks, max_tasks, list(self.roles), samples=self.samples, tools=list(self.tools))
        return OutputSchema("plan", schema)

    def rules(self, prompts: Prompts) -> Iterator[str]:
        if self.roles:
            yield prompts.render("plan_roles", roles=", ".join(f'"{role}"' for role in self.roles))
        if self.samples > 1:
            yield prompts.render("plan_samples", samples=str(self.samples))
        if self.tools:
            # Fenced because descriptions from a tool server are untrusted.
            described = [("tools", "\n".join(f"- {name}: {text}" for name, text in self.tools.items()))]
            mark = fence_mark(described)
            yield prompts.render("plan_tools", mark=mark, tools=fenced(described, mark))
        # The format comes last and lists every requested field, because small models imitate the example.
        optional = {"role": self.roles, "samples": self.samples > 1, "tools": self.tools}
        yield prompts.render(
            "plan_format", more="".join(f', "{name}": ...' for name, wanted in optional.items() if wanted)
        )


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
        # No max_tokens by default: a reasoning model's reasoning would count, and the schema already bounds the plan.
        self._settings = settings or ModelSettings()

    async def __call__(self, question: str, ctx: RunContext) -> AsyncIterator[Task]:
        choices = self._choices(ctx)
        rules = "\n\n".join((self._rules(ctx.prompts), *choices.rules(ctx.prompts)))
        messages = ctx.opening("planner", rules, ctx.prompts.render("plan_question", question=question))
        schema = choices.schema(*self._range)
        builder = _TaskBuilder(ctx, *self._range, choices)
        for _ in range(MAX_CALLS):
            request = ModelRequest(messages, self._settings, output_schema=schema)
            try:
                async with ctx.stream("planner", request, model=self._model) as call:
                    async for delta in call:
                        for task in builder.read(delta):
                            yield task
            except ModelError as error:
                if not builder.yielded:
                    raise
                ctx.note(f"the plan was interrupted ({error.message}); its complete tasks are run")
                break
            if builder.count:
                builder.note_truncation(call.finished)
                break
            if call.finished.finish in ("refusal", "content_filter"):
                builder.problem = "the model declined to write it"
                break
            complaint = Message.user(ctx.prompts.render("repair_plan", problem=builder.problem))
            messages = (*messages, call.finished.message, complaint)
            builder.start_over()
        if not builder.yielded:
            if builder.count == 0:
                ctx.note(f"the plan could not be parsed ({builder.problem}); the question is asked directly")
            yield builder.undecomposed(question)

    def _rules(self, prompts: Prompts) -> str:
        least, most = self._range
        if least == 1:
            split = prompts.render("plan_split_if_needed", max_tasks=str(most))
        else:
            split = prompts.render("plan_split", min_tasks=str(least), max_tasks=str(most))
        return prompts.render("plan", split=split)

    def _choices(self, ctx: RunContext) -> _Choices:
        if self._tools and not ctx.tools:
            ctx.note("planners.model(tools=True): the agent declares no tools, so the plan cannot choose any")
        return _Choices(
            roles={role: ctx.use(each) for role, each in self._roles.items()},
            samples=self._max_samples,
            tools={each.name: shorten(each.description, MAX_TOOL_DESCRIPTION_CHARACTERS) for each in ctx.tools}
            if self._tools
            else {},
        )


class _TaskBuilder:
    """Turns drafts into tasks, and corrects unambiguous mistakes with a note."""

    def __init__(self, ctx: RunContext, min_tasks: int, max_tasks: int, choices: _Choices) -> None:
        self.count = 0
        self.yielded = False
        self.problem = "it contains no task"
        self._ctx = ctx
        self._max_tasks = max_tasks
        self._choices = choices
        # If one task is allowed, hold the first until there is a second: alone, it merely rephrases the question.
        self._holds_first = min_tasks == 1
        self._first: Task | None = None
        self._full = False
        self._reader = DraftReader()

    def read(self, delta: Delta) -> Iterator[Task]:
        """Yield the tasks that `delta` completes."""
        if delta.restart:
            self.start_over()
        if self._ctx.listening:
            self._ctx.emit(PlanDelta(text=delta.text))
        for draft in self._reader.feed(delta.text):
            task = self._task(draft)
            if task is None:
                continue
            if self._holds_first and self.count == 1:
                self._first = task
                continue
            self.yielded = True
            if self._first is not None:
                yield self._first
                self._first = None
            yield task

    def start_over(self) -> None:
        """Discard what was parsed so far; if tasks already run, those are the whole plan."""
        self._reader = DraftReader()
        if self.yielded:
            self._full = True
            self._max_tasks = self.count
        else:
            self.count = 0
            self._first = None

    def note_truncation(self, response: ModelResponse) -> None:
        if response.finish == "length":
            self._ctx.note("the plan was truncated at its length limit; its complete tasks are run")

    def undecomposed(self, question: str) -> Task:
        """Return the question as a task, with the role, samples and tools of the plan's single task if there is one."""
        single = self._first or Task(id="answer", prompt=question)
        fields = {"id": "answer", "prompt": question, "kind": "answer", "title": "Answer"}
        return single.model_copy(update=fields)

    def _task(self, draft: Draft | str) -> Task | None:
        if isinstance(draft, str):
            self.problem = draft
            self._ctx.note(f"a task of the plan was dropped: {draft}")
            return None
        if self.count == self._max_tasks:
            if not self._full:
                self._ctx.note(f"the plan has more than {self._max_tasks} tasks; the rest are dropped")
            self._full = True
            return None
        self.count += 1
        known = [need for need in draft.needs if 1 <= need < self.count]
        unknown = sorted({need for need in draft.needs if need not in known})
        if unknown:
            named = ", ".join(map(str, unknown[:5]))
            self._ctx.note(f"task {self.count} needs {named}, which is not an earlier task; the need is dropped")
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
            self._ctx.note(f"task {self.count} is assigned to {role!r}, which is not a role; it uses the run's model")
        return roles.get(role or "")

    def _samples(self, requested: JsonValue) -> int:
        most = self._choices.samples
        if most == 1 or requested is None:
            return 1
        count = int(min(most, max(1, requested))) if isinstance(requested, int | float) else 1
        if count != requested:
            self._ctx.note(f"task {self.count} requests {requested!s:.40} samples, not 1 to {most}; it gets {count}")
        return count

    def _tools(self, requested: JsonValue) -> tuple[str, ...] | None:
        tools = self._choices.tools
        if not tools or requested is None:
            return None
        names = requested if isinstance(requested, list) else [requested]
        unknown = [str(each) for each in names if each not in list(tools)]
        if unknown:
            named = ", ".join(unknown[:5])
            self._ctx.note(f"task {self.count} names {named:.100}, which is not a tool; the name is dropped")
        return tuple(name for name in tools if name in names)
