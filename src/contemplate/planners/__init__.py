"""Planners: async generators of tasks. Any function with the signature of `Planner` is one.

Example:
    async def halves(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield Task(id="pro", prompt=f"The best case for: {question}")
        yield Task(id="con", prompt=f"The best case against: {question}")
"""

from __future__ import annotations

from ..agents.verdicts import Fault, Verdict
from ..agents.verifiers import CheckingProgram
from ..run.protocols import Planner
from .as_needed import as_needed
from .direct import direct
from .mixture import Member, mixture
from .model import model
from .orchestrate import orchestrate
from .program import program
from .rounds import rounds
from .router import router
from .routes import Expense, Route, Situation, Way
from .sample import sample
from .verified import verified

__all__ = [
    "CheckingProgram",
    "Expense",
    "Fault",
    "Member",
    "Planner",
    "Route",
    "Situation",
    "Verdict",
    "Way",
    "as_needed",
    "direct",
    "mixture",
    "model",
    "orchestrate",
    "program",
    "rounds",
    "router",
    "sample",
    "verified",
]
