"""From commands to exit codes: every error becomes a line that a newcomer can act on."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from typing import Any

from ..errors import ConfigurationError, ContemplateError, LimitExceeded
from ..result import RunResult
from .words import printable

ANSWERED = 0
FAILED = 1
USAGE = 2
LIMITED = 3
INTERRUPTED = 130


def guarded(options: argparse.Namespace) -> int:
    """Run the command that `options` name, and return its exit code."""
    _prepare(options)
    try:
        code = _command(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        _mute()
        return FAILED
    except Exception as error:
        try:
            if options.traceback:
                traceback.print_exc()
            complain(error, traceback_shown=options.traceback)
        except BrokenPipeError:
            _mute()
        return code_of(error)
    return code


def _command(options: argparse.Namespace) -> int:
    if options.command == "ask":
        from .ask import ask

        return ask(options)
    if options.command == "models":
        from .models import models

        return models(options)
    if options.command in ("runs", "show"):
        from .runs import runs, show

        return runs(options) if options.command == "runs" else show(options)
    if options.command in ("resume", "replay", "reaggregate"):
        from .again import again

        return again(options)
    from .serve import serve

    return serve(options)


def _prepare(options: argparse.Namespace) -> None:
    for stream in (sys.stdin, sys.stdout, sys.stderr):
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


def _mute() -> None:
    """Whoever read the output has gone. Python would complain once more while it closes the streams."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def code_of(error: BaseException) -> int:
    """The exit code for an error."""
    if isinstance(error, LimitExceeded):
        return LIMITED
    return USAGE if isinstance(error, ConfigurationError) else FAILED


def complain(error: BaseException, *, traceback_shown: bool = False) -> None:
    """Say what went wrong, what to do, and what was reached."""
    if isinstance(error, ContemplateError):
        say(f"error: {error.message}")
        if error.hint:
            say(f"hint: {error.hint}")
        if error.partial is not None:
            _say_partial(error.partial)
    elif isinstance(error, OSError):
        say(f"error: {error}")
    else:
        say(f"error: {type(error).__name__}: {error}")
        if not traceback_shown:
            say("hint: run it again with --traceback, and report it if it is a bug")


def _say_partial(partial: RunResult[Any]) -> None:
    answered = sum(task.answered for task in partial.tasks)
    if answered:
        said = f"{answered} of {len(partial.plan.tasks)} tasks had been answered"
        say(f"{said} ({partial.usage.total_tokens:,} tokens); their texts are on standard output")


def say(line: str) -> None:
    """Say a line on standard error."""
    sys.stderr.write(printable(line) + "\n")
