"""Errors, as lines that a newcomer can act on, and as exit codes."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigurationError, ContemplateError, LimitExceeded
from ..redaction import redact
from ..result import RunResult
from .console import say
from .exit_codes import FAILED, INCOMPLETE, USAGE


def exit_code_of(error: BaseException) -> int:
    """Return the exit code for an error."""
    if isinstance(error, LimitExceeded):
        return INCOMPLETE
    return USAGE if isinstance(error, ConfigurationError) else FAILED


def say_error(error: BaseException, *, traceback_shown: bool = False) -> None:
    """Say what went wrong, what to do, and what was reached."""
    if isinstance(error, ContemplateError):
        say(f"error: {error.message}")
        if error.hint:
            say(f"hint: {error.hint}")
        if error.partial is not None:
            _say_partial(error.partial)
    elif isinstance(error, OSError):
        say(redact(f"error: {error}"))
    else:
        say(redact(f"error: {type(error).__name__}: {error}"))
        if not traceback_shown:
            say("hint: run it again with --traceback, and report it if it is a bug")


def _say_partial(partial: RunResult[Any]) -> None:
    answered = sum(task.answered for task in partial.tasks)
    if answered:
        said = f"{answered} of {len(partial.plan.tasks)} tasks had been answered"
        say(f"{said} ({partial.usage.total_tokens:,} tokens); their texts are on standard output")
