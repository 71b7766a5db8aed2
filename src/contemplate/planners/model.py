"""A model writes the plan, and its first tasks run while it is still writing the last ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from ..context import RunContext
from ..errors import ConfigurationError
from ..events import PlanDelta
from ..messages import Message
from ..models import Model, ModelRequest, OutputSchema
from ..plan import Task
from ..prompts import render
from ..settings import ModelSettings
from .base import Planner
from .drafts import Draft, DraftReader, plan_schema

TOKENS_PER_TASK = 200
MAX_CALLS = 2


def model(
    max_tasks: int = 6,
    *,
    min_tasks: int = 2,
    model: str | Model | None = None,
    settings: ModelSettings | None = None,
) -> Planner:
    """One call writes a graph of tasks; a task starts when its JSON object is complete and what it needs is done.

    Needs that name no earlier task are dropped, and tasks beyond `max_tasks` too, each with a note. If no task at all
    can be read, the model is told once what was wrong; if that does not help, the question is asked as it is. A plan
    of one task is no plan: then, too, the question is asked as it is, which makes `min_tasks=1` a way to let the model
    decide whether to fan out at all.

    After LLMCompiler, Kim et al. 2023, https://arxiv.org/abs/2312.04511, without its wait for the whole plan.
    Costs one call (two with a repair) before the first task can start.

    Args:
        max_tasks: the most tasks that are run.
        min_tasks: the fewest that the model is asked for.
        model: which model plans; the run's own if None.
        settings: of the planning call. By default its length is bounded by `max_tasks`.

    Raises:
        ConfigurationError: `min_tasks` and `max_tasks` contradict each other.
    """
    if not 1 <= min_tasks <= max_tasks:
        raise ConfigurationError(f"planners.model: 1 <= min_tasks <= max_tasks is needed, not {min_tasks}, {max_tasks}")
    schema = OutputSchema("plan", plan_schema(min_tasks, max_tasks))
    rules = render("plan_optional" if min_tasks == 1 else "plan", min_tasks=str(min_tasks), max_tasks=str(max_tasks))
    # Without a bound, a small model that loops inside its plan takes the whole context.
    bounded = (settings or ModelSettings()).over(ModelSettings(max_tokens=TOKENS_PER_TASK * max_tasks))

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        messages: tuple[Message, ...] = (
            Message.system(rules),
            Message.user(render("plan_question", question=question), ctx.images),
        )
        desk = _Desk(ctx, max_tasks)
        for turn in range(MAX_CALLS):
            request = ModelRequest(messages, bounded, output_schema=schema)
            reader = DraftReader()
            async with ctx.stream("planner", request, model=model, turn=turn) as call:
                async for delta in call:
                    if ctx.listening:
                        ctx.emit(PlanDelta(text=delta.text))
                    for task in desk.tasks(reader.feed(delta.text)):
                        yield task
            response = call.finished
            if desk.count:
                desk.note_cut(response.finish)
                break
            complaint = Message.user(render("repair_plan", problem=desk.problem))
            messages = (*messages, response.message, complaint)
        if desk.count < min(2, max_tasks):
            yield desk.question_itself(question)

    return plan


class _Desk:
    """Makes tasks of drafts, and mends what has only one reading."""

    def __init__(self, ctx: RunContext, max_tasks: int) -> None:
        self.count = 0
        self.problem = "it holds no task"
        self._ctx = ctx
        self._max_tasks = max_tasks
        self._first: Task | None = None
        self._full = False

    def tasks(self, drafts: list[Draft | str]) -> Iterator[Task]:
        for draft in drafts:
            task = self._task(draft)
            if task is None:
                continue
            # The first task waits for the second: a plan of one task is only the question in other words.
            if self.count == 1 < self._max_tasks:
                self._first = task
                continue
            if self._first is not None:
                yield self._first
                self._first = None
            yield task

    def question_itself(self, question: str) -> Task:
        if self.count == 0:
            self._ctx.note(f"no plan could be read ({self.problem}); the question is asked as it is")
        return Task(id="answer", prompt=question, kind="answer", title="Answer")

    def note_cut(self, finish: str) -> None:
        if finish == "length":
            self._ctx.note("the plan was cut off at its length limit; the tasks that were complete are run")

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
        )
