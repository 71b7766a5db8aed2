"""What a planner is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from ..context import RunContext
from ..plan import Task


class Planner(Protocol):
    """Yields the tasks of a run, and may look at the results so far (`ctx.results`, `ctx.finished`) in between.

    A task starts as soon as it is yielded and what it needs is done. A task may need only tasks yielded before it.
    """

    def __call__(self, question: str, ctx: RunContext) -> AsyncIterator[Task]:
        """Plan for `question`. What it raises ends the run, with all that was finished in the error's `partial`."""
        ...
