"""Instructions for a role: texts that a user adds to its system message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict, get_args

from ..errors import ConfigurationError
from ..events import Speaker


class Instructions(TypedDict, total=False):
    """What is added to the system message of each role; a role that is left out gets nothing."""

    planner: str
    subagent: str
    aggregator: str


def by_role(instructions: str | Instructions | None) -> Mapping[Speaker, str]:
    """Return `instructions` by role; a text is for subagents.

    Raises:
        ConfigurationError: a role or a text is none.
    """
    if instructions is None:
        return {}
    given: object = {"subagent": instructions} if isinstance(instructions, str) else instructions
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"instructions={instructions!r:.80}", hint='a text, or {"planner": "...", ...}')
    for role, text in given.items():
        if role not in get_args(Speaker):
            raise ConfigurationError(
                f"instructions for {role!r:.80}, which is no role", hint=f"roles: {', '.join(get_args(Speaker))}"
            )
        if not isinstance(text, str):
            raise ConfigurationError(f"instructions for {role!r} are a {type(text).__name__}", hint="give a text")
    return {role: text for role, text in given.items() if text.strip()}
