"""Helpers that turn results into a conclusion, unchanged."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import ClassVar

from ..errors import AggregationError
from ..messages import ImagePart
from ..result import Conclusion, Dissent, TaskResult
from ..run.context import RunContext


class NoModelCalls:
    """An aggregator that makes no model calls, so that no budget is reserved for it."""

    model_calls: ClassVar[int] = 0


def conclusion_of(
    result: TaskResult,
    ctx: RunContext,
    *,
    support: tuple[str, ...] = (),
    dissent: tuple[Dissent, ...] = (),
    complete: bool = True,
) -> Conclusion:
    """Return `result` as the conclusion of the run."""
    typed = ctx.output is not None and result.answered and result.task.kind != "part"
    return Conclusion(
        text=result.text,
        output=result.output if typed else None,
        images=result.images,
        support=support or (result.id,),
        dissent=dissent,
        complete=complete,
    )


def images_of(results: Iterable[TaskResult]) -> tuple[ImagePart, ...]:
    """Return the distinct images of `results`, for an answer that was merged from them and has none itself."""
    return tuple({image.as_url(): image for each in results for image in each.images}.values())


def in_launch_order(results: Iterable[TaskResult]) -> list[TaskResult]:
    """Return the answered results in the order of their launch."""
    return sorted((each for each in results if each.answered), key=lambda each: each.index)


def shuffled(results: Sequence[TaskResult], ctx: RunContext, purpose: str) -> list[TaskResult]:
    """Return `results` in random order, against position bias; the order depends on the seed and on their texts."""
    return ctx.random(purpose, (each.text for each in results)).sample(results, len(results))


def conclusion_with_dissent(
    winner: TaskResult, seen: Iterable[TaskResult], ctx: RunContext, *, complete: bool = True
) -> Conclusion:
    """Return `winner` as the conclusion, supported by all identical answers; the others are its dissent."""
    answered = in_launch_order(seen)
    identical = [each.id for each in answered if each.text.strip() == winner.text.strip() and each.id != winner.id]
    support = (winner.id, *identical)
    return conclusion_of(winner, ctx, support=support, dissent=dissent(answered, support), complete=complete)


def dissent(answered: Iterable[TaskResult], support: Collection[str]) -> tuple[Dissent, ...]:
    """Return the answers of tasks that are not in `support`, with identical answers grouped."""
    tasks_by_text: dict[str, list[str]] = {}
    for each in answered:
        if each.id not in support:
            tasks_by_text.setdefault(each.text.strip(), []).append(each.id)
    return tuple(Dissent(answer=text, tasks=tuple(tasks)) for text, tasks in tasks_by_text.items())


def earliest_answer(ctx: RunContext) -> Conclusion:
    """Return the answered result that was launched first, for when there is no time for a better choice.

    Raises:
        AggregationError: no task was answered.
    """
    answered = in_launch_order(ctx.results.values())
    if not answered:
        raise nothing_answered(ctx.results.values())
    return conclusion_with_dissent(answered[0], answered, ctx, complete=False)


def nothing_answered(results: Iterable[TaskResult]) -> AggregationError:
    """Return the error for a run in which no task was answered; it names the first failure."""
    seen = list(results)
    if not seen:
        return AggregationError("no task finished", hint="raise the limits, or check the planner")
    first = next((each for each in seen if each.error is not None), seen[0])
    if len(seen) == 1 and first.error is not None and first.error.kind == AggregationError.__name__:
        # A nested run, whose error already has this form.
        return AggregationError(first.error.message, hint=first.error.hint)
    if first.error is not None:
        why, hint = f"{first.error.kind}: {first.error.message}", first.error.hint
    elif first.outcome == "capped":
        why = "it was capped by its own limit before its answer"
        hint = (
            "raise max_tokens in its settings, its agent's max_turns, or the limits of a contemplator within the task; "
            "its partial text is in the error's `partial`"
        )
    else:
        why, hint = first.outcome, None
    which = "the only task was not" if len(seen) == 1 else f"none of the {len(seen)} tasks was"
    return AggregationError(f"{which} answered; {first.id!r}: {why}", hint=hint)
