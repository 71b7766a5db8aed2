"""Agents: functions that turn one task into one answer.

agent         the default agent, a loop of model and tools
withheld      responses that are no answers
tool_calls    one tool call: its events, journal entry and error
output        typed answers, with bounded repair
program       answers computed by a program that the model writes
checks        answers that must pass a user-defined check
verifiers     agents that list the faults of a solution; verdicts: these lists
refined       answers that are revised before they count
"""

from __future__ import annotations

from .agent import Agent
from .checks import checked
from .self_refine import refined

__all__ = ["Agent", "checked", "refined"]
