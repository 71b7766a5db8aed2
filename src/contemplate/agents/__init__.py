"""Agents: what turns one task into one answer.

agent         the usual one: a loop of model and tools; tool_calls, one use of a tool
output        typed answers, with bounded repair
program       answers that a program prints
checks        answers that must pass a check of the user's
"""

from __future__ import annotations

from .agent import Agent
from .checks import checked

__all__ = ["Agent", "checked"]
