"""Answers that are revised before they count: Self-Refine."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Protocol, runtime_checkable

from ..answers.typed import typed
from ..arguments import checked_arguments
from ..errors import ConfigurationError, JournalError, error_info, sole
from ..models import Delta
from ..plan import Task
from ..prompts import fence_mark, fenced
from ..run.protocols import AgentFunction, Answer, WrappedAgent
from ..run.return_values import as_answer
from ..run.task_context import TaskContext

_NO_CHANGE = re.compile(r"\W*(?:answer\W+)?no[\s_-]?changes?\W*", re.IGNORECASE)


@checked_arguments
def refined(agent: AgentFunction, times: int = 1) -> Refined:
    """Wrap an agent so that it revises each of its answers up to `times` times before the answer counts.

    The subagent is asked to look for faults and to write its answer anew; where it finds nothing to change, it says so,
    and is asked no more. If a revision fails, is empty, or is cut off by a limit, the answer before it counts, with a
    note. Calls for revisions come after those that others need for a first answer, if calls are limited. Costs what
    `agent` costs, once more for each revision, in sequence.

    An `Agent` goes on with its conversation, with its tools. Any other agent is given the task once more, with its
    earlier answer among the instructions.

    Self-Refine, Madaan et al. 2023, https://arxiv.org/abs/2303.17651.

    Args:
        agent: the agent to wrap, such as `Agent()`.
        times: maximum number of revisions.

    Raises:
        ConfigurationError: `times` is less than one.
    """
    if times < 1:
        raise ConfigurationError(f"refined({times=}): times must be at least 1")
    return Refined(agent, times)


@runtime_checkable
class GoesOn(Protocol):
    """An agent that can go on with the conversation of its task."""

    async def go_on(self, task: Task, ctx: TaskContext, said: str) -> Answer:
        """Answer `task` anew, after the message `said`."""
        ...


class Refined(WrappedAgent):
    """An agent whose answers are revised up to `times` times."""

    def __init__(self, agent: AgentFunction, times: int) -> None:
        super().__init__(agent)
        self.times = times

    async def __call__(self, task: Task, ctx: TaskContext) -> Answer:
        """Answer `task`, and revise the answer.

        Raises:
            Exception: what the wrapped agent raised instead of a first answer.
        """
        answer = await self.agent(task, ctx)
        for _ in range(self.times):
            # What a limit cut off, or is an image, is not to be revised; what is no answer, others complain of.
            if not isinstance(answer, Answer) or answer.outcome != "answered" or not answer.text.strip():
                break
            # Unless it says otherwise, its tokens are those of the last call so far.
            answer = replace(answer, logprobs=ctx.logprobs if answer.logprobs is None else answer.logprobs)
            ctx.offer(as_answer(answer, ctx.output))
            revision = await self._revision(task, ctx, answer)
            if revision is None:
                if ctx.run.streaming and ctx.text != answer.text:
                    ctx.hear(Delta(answer.text, restart=True))
                break
            answer = revision
        return answer

    async def _revision(self, task: Task, ctx: TaskContext, answer: Answer) -> Answer | None:
        """Return the revision of `answer`; None if that counts as it is."""
        before = ctx.messages
        try:
            revision = await self._ask(task, ctx, answer)
            # Here, as a revision that cannot be used is no reason for the task to fail.
            as_answer(revision, ctx.output)
            fault = _fault_of(revision)
        except Exception as error:
            cause = sole(error)
            if isinstance(cause, JournalError):
                raise
            ctx.keep(before)
            fault = error_info(cause).message
        if fault is not None:
            ctx.run.note(f"task {task.label!r}: the answer counts as it was, not revised: {fault}")
            return None
        return None if _unchanged(revision, answer) else revision

    async def _ask(self, task: Task, ctx: TaskContext, answer: Answer) -> Answer:
        # A program or a value in a given form cannot say that there is nothing to change.
        free = task.program is None and ctx.output is None
        said = ctx.run.prompts.render("refine" if free else "refine_in_form")
        if isinstance(self.agent, GoesOn):
            return await self.agent.go_on(task, ctx, said)
        texts = [("answer", answer.text)]
        mark = fence_mark(texts)
        earlier = ctx.run.prompts.render("refine_earlier", mark=mark, earlier=fenced(texts, mark))
        instructions = "\n\n".join(filter(None, (task.instructions, earlier, said)))
        before = ctx.messages
        revision = await self.agent(task.model_copy(update={"instructions": instructions}), ctx)
        if ctx.messages is not before:
            ctx.keep((*before, *ctx.messages))
        return revision


def _fault_of(revision: Answer) -> str | None:
    if revision.outcome != "answered":
        return "the revision was cut off"
    return None if revision.text.strip() or revision.images else "the revision is empty"


def _unchanged(revision: Answer, answer: Answer) -> bool:
    lines = [line for line in revision.text.splitlines() if line.strip()]
    if any(_NO_CHANGE.fullmatch(line) for line in (*lines[:1], *lines[-1:])):
        return True
    if answer.output is not None:
        return typed(revision.output) == typed(answer.output)
    return revision.text.strip() == answer.text.strip()
