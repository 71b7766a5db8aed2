"""Conclusions that are one of the results, as it stands."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import ClassVar

from ..errors import AggregationError
from ..messages import ImagePart
from ..result import Conclusion, Dissent, TaskResult
from ..run.context import RunContext


class NoModelCalls:
    """An aggregator that makes no model calls: nothing is kept for it."""

    model_calls: ClassVar[int] = 0


def concluded(
    result: TaskResult,
    ctx: RunContext,
    *,
    support: tuple[str, ...] = (),
    dissent: tuple[Dissent, ...] = (),
    complete: bool = True,
) -> Conclusion:
    """`result` as the conclusion of the run."""
    output = None
    if ctx.output is not None and result.answered and result.task.kind != "part":
        output = ctx.output.load(result.output)
    return Conclusion(
        text=result.text,
        output=output,
        images=result.images,
        support=support or (result.id,),
        dissent=dissent,
        complete=complete,
    )


def images_of(results: Iterable[TaskResult]) -> tuple[ImagePart, ...]:
    """The images of all of them, each once: those of an answer that was written from theirs, and shows none itself."""
    return tuple({image.as_url(): image for each in results for image in each.images}.values())


def in_launch_order(results: Iterable[TaskResult]) -> list[TaskResult]:
    """The answered ones, first launched first."""
    return sorted((each for each in results if each.answered), key=lambda each: each.index)


def picked(winner: TaskResult, seen: Iterable[TaskResult], ctx: RunContext, *, complete: bool = True) -> Conclusion:
    """`winner` as the conclusion, supported by all who said the same, word for word; the others dissent."""
    answered = in_launch_order(seen)
    alike = [each.id for each in answered if each.text.strip() == winner.text.strip() and each.id != winner.id]
    support = (winner.id, *alike)
    return concluded(winner, ctx, support=support, dissent=dissent(answered, support), complete=complete)


def dissent(answered: Iterable[TaskResult], support: Collection[str]) -> tuple[Dissent, ...]:
    """What those said that are no support; who said the same, word for word, together."""
    said: dict[str, list[str]] = {}
    for each in answered:
        if each.id not in support:
            said.setdefault(each.text.strip(), []).append(each.id)
    return tuple(Dissent(answer=text, tasks=tuple(tasks)) for text, tasks in said.items())


def earliest(ctx: RunContext) -> Conclusion:
    """The answer that was launched first, for when there is no time for a better choice.

    Raises:
        AggregationError: nothing was answered.
    """
    answered = in_launch_order(ctx.results.values())
    if not answered:
        raise nothing_answered(ctx.results.values())
    return picked(answered[0], answered, ctx, complete=False)


def nothing_answered(results: Iterable[TaskResult]) -> AggregationError:
    """The error for a run in which no task was answered; it says what the first one failed with."""
    seen = list(results)
    if not seen:
        return AggregationError("no task was finished", hint="raise the limits, or look at the planner")
    first = next((each for each in seen if each.error is not None), seen[0])
    if len(seen) == 1 and first.error is not None and first.error.kind == AggregationError.__name__:
        # It was a run of its own, which has said it already.
        return AggregationError(first.error.message, hint=first.error.hint)
    if first.error is not None:
        why, hint = f"{first.error.kind}: {first.error.message}", first.error.hint
    elif first.outcome == "capped":
        why = "it was capped by a limit of its own before its answer"
        hint = (
            "raise max_tokens in its settings, its agent's max_turns, or the limits of a contemplator within the task; "
            "what it wrote is in the error's `partial`"
        )
    else:
        why, hint = first.outcome, None
    which = "the only task was not" if len(seen) == 1 else f"none of the {len(seen)} tasks was"
    return AggregationError(f"{which} answered; {first.id!r}: {why}", hint=hint)
