"""From commands to exit codes: every error becomes a line that a newcomer can act on."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from typing import Any

from ..errors import ConfigurationError, ContemplateError
from ..result import RunResult

ANSWERED = 0
FAILED = 1
USAGE = 2
LIMITED = 3
INTERRUPTED = 130


def guarded(options: argparse.Namespace) -> int:
    """Run the command that `options` name, and return its exit code."""
    _prepare(options)
    try:
        return _command(options)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has gone. Python would complain once more while it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        if options.traceback:
            traceback.print_exc()
        complain(error, traceback_shown=options.traceback)
        return code_of(error)


def _command(options: argparse.Namespace) -> int:
    if options.command == "ask":
        from .ask import ask

        return ask(options)
    if options.command == "models":
        from .models import models

        return models(options)
    from .serve import serve

    return serve(options)


def _prepare(options: argparse.Namespace) -> None:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    if options.log_level is not None:
        import logging

        logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(message)s %(fields)s", level="WARNING")
        for handler in logging.getLogger().handlers:
            handler.addFilter(_with_fields)
        logging.getLogger("contemplate").setLevel(options.log_level.upper())


def _with_fields(record: Any) -> bool:
    """Show what structlog put beside the message."""
    import logging

    usual = vars(logging.makeLogRecord({}))
    fields = {name: value for name, value in vars(record).items() if name not in usual and value is not None}
    record.fields = " ".join(f"{name}={value}" for name, value in fields.items())
    return True


def code_of(error: BaseException) -> int:
    """The exit code for an error."""
    return USAGE if isinstance(error, ConfigurationError) else FAILED


def complain(error: BaseException, *, traceback_shown: bool = False) -> None:
    """Say what went wrong, what to do, and what was reached."""
    if isinstance(error, ContemplateError):
        _say(f"error: {error.message}")
        if error.hint:
            _say(f"hint: {error.hint}")
        if error.partial is not None:
            _say_partial(error.partial)
        return
    _say(f"error: {type(error).__name__}: {error}")
    if not traceback_shown:
        _say("hint: run it again with --traceback, and report it if it is a bug")


def _say_partial(partial: RunResult[Any]) -> None:
    answered = sum(task.answered for task in partial.tasks)
    if answered:
        tokens = partial.usage.total_tokens
        _say(f"{answered} of {len(partial.plan.tasks)} tasks had been answered ({tokens:,} tokens): --json prints them")


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
