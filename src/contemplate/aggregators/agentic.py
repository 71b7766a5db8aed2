"""An agent that inspects the subagents' trajectories with tools before it answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, create_model

from ..agents.agent import Agent
from ..arguments import checked_arguments
from ..data import to_json_text
from ..errors import ConfigurationError, OutputError
from ..models import Model
from ..plan import Task
from ..result import Conclusion, TaskResult
from ..run.context import RunContext
from ..run.output_type import OutputType, json_in
from ..run.task_context import TaskContext
from ..settings import ModelSettings
from .conclusions import conclusion_of, dissent, earliest_answer, images_of, in_launch_order, nothing_answered, shuffled
from .missed_form import FormMissed, OrElse, WithFallback
from .trajectories import Trajectories

MAX_REPAIRS = 2


@checked_arguments
def agentic(
    *,
    model: str | Model | None = None,
    settings: ModelSettings | None = None,
    max_turns: int = 12,
    context: int = 64_000,
    or_else: OrElse | None = None,
) -> _Agentic:
    """Wait for all results, and let an agent inspect them with tools until it answers. Costs up to `max_turns` calls.

    The agent sees the number and length of the trajectories, and may read solutions, search the steps of a trajectory
    and read some of them; evidence in tool results outranks a subagent's conclusions. It thus reads selected steps,
    while merging reads only answers and summarising reads everything. It finishes with a solution, the trajectories
    that support it, and a reason; it must in its last turn, or once the conversation exceeds `context`. The
    trajectories are anonymised and shuffled, seeded by the run's seed and the answers. If it does not finish in the
    form it is asked for, `or_else` concludes, with a note, and the result is incomplete.

    After AggAgent, Lee et al. 2026, https://arxiv.org/abs/2604.11753.

    Args:
        model: the aggregating model; the run's model if None. It must support tools.
        settings: settings of its calls.
        max_turns: maximum number of calls, repairs of its last answer excluded.
        context: maximum tokens of the conversation.
        or_else: what concludes if the agent does not finish: "first" (the answer that was launched first), "vote",
            "synthesize", or an aggregator. If None, "first", but "synthesize" for parts of a question, none of which
            answers it.

    Raises:
        ConfigurationError: `max_turns` or `context` is less than one.
    """
    if max_turns < 1 or context < 1:
        raise ConfigurationError(f"agentic({max_turns=}, {context=}): both must be at least 1")
    return _Agentic(model, settings or ModelSettings(), max_turns, context, or_else)


class _Agentic(WithFallback):
    def __init__(
        self,
        model: str | Model | None,
        settings: ModelSettings,
        max_turns: int,
        context: int,
        or_else: OrElse | None,
    ) -> None:
        super().__init__(or_else, model)
        self._settings = settings
        self._max_turns = max_turns
        self._context = context

    def model_calls(self, tasks: int) -> int | None:
        """Return how many calls are made at most: turns, repairs of the last one, and those of `or_else`."""
        return self.calls_after(self._max_turns + MAX_REPAIRS, tasks)

    def likely_calls(self, tasks: int) -> int:
        """Return how many calls are made at most if the agent finishes."""
        return self._max_turns

    async def __call__(self, question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> Conclusion:
        ctx.offer(lambda: earliest_answer(ctx))
        seen = [result async for result in results]
        answered = in_launch_order(seen)
        if not answered:
            raise nothing_answered(seen)
        if len(seen) == 1 and seen[0].task.kind != "part":
            return conclusion_of(seen[0], ctx)
        # Truncated and failed trajectories may still contain useful steps.
        usable = sorted((each for each in seen if each.answered or each.messages), key=lambda each: each.index)
        shown = shuffled(usable, ctx, "agentic")
        try:
            text, finish = await self._finish(question, shown, ctx)
        except FormMissed as missed:
            return await self.conclude_instead(question, seen, ctx, missed)
        supporting = {shown[number - 1].id for number in finish.support}
        support = tuple(each.id for each in usable if each.id in supporting) or tuple(each.id for each in answered)
        return Conclusion(
            text=finish.solution if ctx.output is None else text,
            output=None if ctx.output is None else finish.solution,
            images=images_of(each for each in answered if each.id in support),
            support=support,
            dissent=dissent(answered, support),
            complete=all(each.answered for each in seen),
        )

    async def _finish(self, question: str, shown: list[TaskResult], ctx: RunContext) -> tuple[str, Any]:
        """Return the agent's solution as it wrote it, and its answer."""
        trajectories = Trajectories(shown, ctx.prompts)
        agent = Agent(
            tools=trajectories.tools, max_turns=self._max_turns, max_repairs=MAX_REPAIRS, context=self._context
        )
        user = ctx.prompts.render("agentic_question", question=question, trajectories=trajectories.overview)
        messages = ctx.opening("aggregator", ctx.prompts.render("agentic"), user)
        output = _finish_type(len(shown), ctx.output)
        reader = TaskContext(ctx, Task(id="aggregator", prompt=question), role="aggregator", model=self._model)
        try:
            answer = await agent.converse(messages, reader, settings=self._settings, output=output)
        except OutputError as error:
            raise FormMissed(f"the aggregating agent's answer cannot be parsed: {error.message}") from None
        if answer.outcome != "answered":
            raise FormMissed("the aggregating agent did not finish (raise its settings' max_tokens?)")
        if ctx.output is None and not answer.output.solution.strip():
            raise FormMissed("the aggregating agent's solution is empty")
        return to_json_text(json_in(answer.text)["solution"]), answer.output


def _finish_type(count: int, output: OutputType[Any] | None) -> OutputType[Any]:
    """Return the type of the agent's last answer. Not a tool, since tool calls are not repeated when a run resumes."""
    number: Any = Annotated[Literal[tuple(range(1, count + 1))], BeforeValidator(int)]
    solution: Any = str if output is None else output.type
    return OutputType(create_model("Finish", reason=(str, ...), support=(list[number], ...), solution=(solution, ...)))
