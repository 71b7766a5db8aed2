"""Conclusions that are one of the results, as it stands."""

from __future__ import annotations

from typing import ClassVar

from ..context import RunContext
from ..result import Conclusion, Dissent, TaskResult


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
