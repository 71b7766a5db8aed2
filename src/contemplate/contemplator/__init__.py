"""What users call: `Contemplator`, a model with a planner, an agent and an aggregator, and `ask`, for one question.

contemplator    the class, by whose methods questions are asked, runs resumed, and recorded ones read again
jobs            what is asked of one run, checked, with what the contemplator says of all its runs
held_open       connections and toolsets that stay open between runs
asking          `ask` and `ask_sync`
"""

from __future__ import annotations

from .asking import ask, ask_sync
from .contemplator import Contemplator, opened_journal

__all__ = ["Contemplator", "ask", "ask_sync", "opened_journal"]
