"""Contemplating within a task: a run of its own, which spends what the outer run has left."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import anyio

from ..errors import ConfigurationError
from ..limits import Limits
from ..plan import Task
from ..prompts import render
from ..prompts.results import shown
from ..result import Dissent
from .engine import execute
from .protocols import Answer
from .run import Parts, limits_within, one_deeper
from .task_context import TaskContext


async def contemplate_within(
    task: Task, ctx: TaskContext, *, parts: Parts, limits: Limits, question: str | None = None
) -> Answer:
    """Answer `task` with a contemplator's parts, as if it were a question of its own.

    Args:
        task: the task.
        ctx: its view of the outer run.
        parts: the inner contemplator's; a candidate's output type is that of the outer run, and a part is text.
        limits: those on tasks and seconds hold for the inner run; calls and tokens are counted by the outer one.
        question: what the inner run's question is; the task, in words, if None.

    Raises:
        ConfigurationError: runs are nested too deep, or the task names tools of an agent's.
        ContemplateError: the inner run came to nothing.
    """
    run = ctx.run
    if task.tools is not None:
        raise ConfigurationError(
            f"task {task.id!r} says which tools it may use, and is given to a contemplator, which has its own",
            hint="leave Task.tools out, or give the task to an Agent",
        )
    output = None if task.kind == "part" else run.output
    limits = limits_within(Limits(tasks=limits.tasks, seconds=limits.seconds))
    deadline = math.inf if limits.seconds is None else anyio.current_time() + limits.seconds
    model = parts.model if task.model is None else run.model(task.model)
    inner = run.within(
        task,
        _question(task, ctx) if question is None else question,
        model=model,
        output=output,
        deadline=deadline,
        images_to=parts.images_to,
    )
    with one_deeper(run.depth):
        conclusion = await execute(
            inner,
            planner=parts.planner,
            agent=parts.agent,
            aggregator=parts.aggregator,
            limits=limits,
        )
    for note in inner.notes:
        run.note(f"within {task.label!r}: {note}")
    if not conclusion.complete and all(each.complete for each in inner.results.values()):
        run.note(f"within {task.label!r}: something was left out of the answer")
    value: Any = conclusion.output
    if output is not None and value is None:
        value = output.parse(conclusion.text)
    return Answer(
        conclusion.text,
        None if output is None else output.dump(value),
        conclusion.images,
        "answered" if inner.stopped_by is None else "capped",
        support=_named(task, conclusion.support),
        dissent=tuple(Dissent(answer=each.answer, tasks=_named(task, each.tasks)) for each in conclusion.dissent),
        complete=conclusion.complete,
    )


def inner_name(task: Task, inner: str) -> str:
    """What calls of the inner run's task `inner` are named by in the outer run."""
    return f"{task.id}/{inner}"


def _named(task: Task, inner: Sequence[str]) -> tuple[str, ...]:
    return tuple(inner_name(task, each) for each in inner)


def _question(task: Task, ctx: TaskContext) -> str:
    said = [task.prompt]
    if task.kind == "part":
        said = [render("nested", prompt=task.prompt, question=ctx.run.question)]
    if ctx.inputs:
        said.insert(0, shown(ctx.inputs, ctx.run.run_id))
    if task.instructions:
        said.append(task.instructions)
    return "\n\n".join(said)
