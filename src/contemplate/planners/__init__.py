"""Planners: async generators of tasks. Any function of the form of `Planner` is one.

Example:
    async def halves(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield Task(id="pro", prompt=f"The best case for: {question}")
        yield Task(id="con", prompt=f"The best case against: {question}")
"""

from __future__ import annotations

from .base import Planner
from .direct import direct
from .model import model
from .sample import sample

__all__ = ["Planner", "direct", "model", "sample"]
