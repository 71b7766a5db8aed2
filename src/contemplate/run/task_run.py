"""Tasks that are answered by a run of their own, within the run that planned them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..budget import Budget
from ..decisions import Approve
from ..errors import ConfigurationError
from ..events import OutputDelta
from ..limits import Limits
from ..models import Delta
from ..plan import Task
from ..prompts.results import show_results
from ..result import Dissent
from .listeners import Listener
from .protocols import Answer, ParsedAnswer
from .run import Job, Parts, carry_out
from .task_context import TaskContext


async def answer_with_run(
    task: Task,
    ctx: TaskContext,
    *,
    parts: Parts,
    limits: Limits,
    listeners: Sequence[Listener] = (),
    question: str | None = None,
    streams: bool = True,
    budgets: tuple[Budget, ...] = (),
    approve: Approve | None = None,
) -> Answer:
    """Answer `task` with a run, as if it were a question of its own.

    Args:
        task: the task.
        ctx: its view of the outer run.
        parts: the inner run's; the output type of a candidate is the outer run's, and a part is text.
        limits: the inner run's own; those of the outer run hold as well.
        listeners: the inner run's own; those of the outer run receive its events as well.
        question: the inner run's question; made from the task if None.
        approve: decides the inner run's tool calls; that of the outer run if None.
        streams: whether the pieces of the inner run's answer are streamed as the task's text.
        budgets: the inner run's own; those of the outer run hold as well.

    Raises:
        ConfigurationError: runs are nested too deeply, or the task names tools of an agent.
        ContemplateError: the inner run has no answer.
    """
    run = ctx.run
    if task.tools is not None:
        raise ConfigurationError(
            f"task {task.id!r} names the tools it may use, but goes to a contemplator, which has its own",
            hint="leave Task.tools out, or give the task to an Agent",
        )
    output = ctx.output
    model = parts.model if task.model is None else run.model(task.model)
    stream = (run.streaming or None) if parts.stream is None else parts.stream
    job = Job(
        question=_question(task, ctx) if question is None else question,
        images=run.images_for("subagent"),
        history=run.history,
        answer_settings=None if task.kind == "part" else run.answer_settings,
        limits=limits,
        budgets=budgets,
        listeners=listeners,
        approve=approve,
        on_output=(lambda event: _forward(ctx, event)) if streams else None,
    )
    settings = run.settings if parts.settings is None else parts.settings.over(run.settings)
    parts = replace(parts, model=model, output=output, stream=stream, settings=settings)
    ended = await carry_out(parts, job)
    result = ended.result
    run.note_all(task.label, result.notes)
    if not result.complete and all(each.complete for each in result.tasks):
        run.note(f"within {task.label!r}: something was left out of the answer")
    # What says something of one answer is that of the first on which this one rests.
    first = next((each for each in result.tasks if each.id in result.support), None)
    return ParsedAnswer(
        result.text,
        None if output is None else result.output,
        result.images,
        "answered" if ended.cut_by is None else "capped",
        support=_names(task, result.support),
        dissent=tuple(Dissent(answer=each.answer, tasks=_names(task, each.tasks)) for each in result.dissent),
        complete=result.complete,
        logprobs=None if first is None else first.logprobs,
        metadata={} if first is None else first.metadata,
    )


def inner_name(task: Task, inner: str) -> str:
    """Return the name in the outer run of `inner`, a task of the run that answers `task`."""
    return f"{task.id}/{inner}"


def _names(task: Task, inner: Sequence[str]) -> tuple[str, ...]:
    return tuple(inner_name(task, each) for each in inner)


def _forward(ctx: TaskContext, event: OutputDelta) -> None:
    ctx.hear(Delta(event.text, event.reasoning, event.restart))


def _question(task: Task, ctx: TaskContext) -> str:
    prompts = ctx.run.prompts
    said = [task.prompt]
    if task.kind == "part":
        said = [prompts.render("inner_question", prompt=task.prompt, question=ctx.run.question)]
    if ctx.inputs:
        said.insert(0, show_results(ctx.inputs, prompts))
    if task.instructions:
        said.append(task.instructions)
    return "\n\n".join(said)
