"""Tasks answered by several independent samples and a vote."""

from __future__ import annotations

from collections.abc import AsyncIterator

from . import aggregators
from .errors import AggregationError
from .limits import Limits
from .plan import Task
from .run.context import RunContext
from .run.protocols import AgentFunction, Answer, WrappedAgent
from .run.run import Parts
from .run.task_context import TaskContext
from .run.task_run import answer_with_run, inner_name
from .settings import ModelSettings


class Sampled(WrappedAgent):
    """An agent that answers a task `Task.samples` times in parallel and votes on the answers.

    The samples are a nested run, which shares the outer run's limits. They differ only in their seeds, and see the same
    inputs as the task. The vote compares `answers.final`, and stops when it is decided. If no sample is answered, the
    task ends like the first of them.
    """

    async def __call__(self, task: Task, ctx: TaskContext) -> Answer:
        """Answer `task`.

        Raises:
            ContemplateError: no sample was answered, or no answer could be parsed.
        """
        if task.samples == 1:
            return await self.agent(task, ctx)
        samples = _Samples(task, ctx, self.agent)
        run = ctx.run
        parts = Parts(
            run.model(),
            samples.plan,
            samples.answer,
            aggregators.vote(),
            prompts=run.prompts,
            instructions=run.instructions,
        )
        # Each sample restricts its own tools.
        whole = task.model_copy(update={"tools": None})
        try:
            answer = await answer_with_run(
                whole, ctx, parts=parts, limits=Limits(), question=run.question, streams=False
            )
        except BaseException as error:
            samples.keep()
            if isinstance(error, AggregationError):
                return samples.unanswered(error)
            raise
        ctx.adopt(samples.contexts[answer.support[0]])
        samples.note(answer)
        return answer


class _Samples:
    """The samples of one task.

    Attributes:
        contexts: contexts of the started samples, by the names of their calls.
    """

    def __init__(self, task: Task, ctx: TaskContext, agent: AgentFunction) -> None:
        self.contexts: dict[str, TaskContext] = {}
        self._task = task
        self._ctx = ctx
        self._agent = agent
        self._names = [f"sample-{i + 1}" for i in range(task.samples)]
        self._ends: dict[str, Answer | Exception] = {}

    async def plan(self, question: str, ctx: RunContext) -> AsyncIterator[Task]:
        """Yield the task once per sample."""
        task, instructions = self._task, [self._task.instructions]
        if ctx.output is None and task.program is None:
            instructions.append(ctx.prompts.render("answer_line"))
        given = None if task.settings is None else task.settings.seed
        for i, name in enumerate(self._names):
            yield task.model_copy(
                update={
                    "id": name,
                    "title": task.label,
                    # The nested run has the task's model, and the outer run has the results that the task needs.
                    "needs": (),
                    "model": None,
                    "samples": 1,
                    "held": False,
                    "instructions": "\n\n".join(filter(None, instructions)) or None,
                    "settings": ModelSettings(seed=ctx.seed_of(i, given)).over(task.settings),
                }
            )

    async def answer(self, task: Task, ctx: TaskContext) -> Answer:
        """Answer one sample."""
        # The results that the task needs are in the outer run.
        ctx = self.contexts[inner_name(self._task, task.id)] = ctx.with_inputs(self._ctx.inputs)
        try:
            given = self._ends[task.id] = await self._agent(task, ctx)
        except Exception as error:
            self._ends[task.id] = error
            raise
        return given

    def keep(self) -> None:
        """Adopt the text of the first sample that wrote anything, as the task's own."""
        started = (self.contexts.get(inner_name(self._task, name)) for name in self._names)
        written = next((each for each in started if each is not None and each.text), None)
        if written is not None:
            self._ctx.adopt(written)

    def note(self, answer: Answer) -> None:
        """Note disagreement and failures, which make the vote less reliable."""
        label, run = self._task.label, self._ctx.run
        if len(answer.support) == 1 and answer.dissent:
            run.note(f"no two samples of {label!r} agree; the first one is taken")
        lost = [each for each in self._ends.values() if isinstance(each, Exception)]
        if lost:
            run.note(f"{len(lost)} of the {self._task.samples} samples of {label!r} failed: {lost[0]}")

    def unanswered(self, error: AggregationError) -> Answer:
        """Return the first truncated answer; without one, raise the first failure, or `error` if a sample was answered.

        Raises:
            Exception: what that sample raised, or `error`.
        """
        ends = [self._ends[name] for name in self._names if name in self._ends]
        answers = [each for each in ends if isinstance(each, Answer)]
        if any(each.outcome == "answered" for each in answers):
            raise error
        if answers:
            return answers[0]
        raise next((each for each in ends if isinstance(each, Exception)), error)
