"""The exit codes of the command; a signal other than Ctrl-C ends it with 128 and the signal's number.

INCOMPLETE stands for an answer from which something is missing, whatever the reason (a limit, a merge or a part that
failed), and for a limit that stopped the run before there was any answer.
"""

from __future__ import annotations

from typing import Any

from ..result import RunResult

ANSWERED = 0
FAILED = 1
USAGE = 2
INCOMPLETE = 3
INTERRUPTED = 130


def exit_code_of_result(result: RunResult[Any]) -> int:
    """Return the exit code for an answer."""
    return ANSWERED if result.complete else INCOMPLETE
