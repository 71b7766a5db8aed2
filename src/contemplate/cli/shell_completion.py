"""`contemplate completion`: a script by which a shell completes commands, options and files."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from ..errors import MissingDependencyError
from .arguments import parser
from .console import write
from .exit_codes import ANSWERED


def completion(options: argparse.Namespace) -> int:
    """Print the script for a shell, and return the exit code.

    Raises:
        MissingDependencyError: shtab is not installed.
    """
    try:
        import shtab
    except ModuleNotFoundError:
        raise MissingDependencyError("completion of commands", "cli") from None
    whole = parser()
    for action in _actions(whole):
        if action.metavar in ("FILE", "DIR"):
            # The place where shtab looks.
            action.complete = shtab.FILE if action.metavar == "FILE" else shtab.DIRECTORY  # type: ignore[attr-defined]
    write(shtab.complete(whole, shell=options.shell) + "\n")
    return ANSWERED


def _actions(whole: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in whole._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from _actions(inner)
