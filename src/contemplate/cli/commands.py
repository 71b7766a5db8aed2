"""The commands by name: running one, whatever comes of it, and returning its exit code."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable
from importlib import import_module

from .console import discard_output, log_to_standard_error, say, use_utf_8
from .errors import exit_code_of, say_error
from .exit_codes import FAILED, INTERRUPTED

_HOMES = {
    "ask": (".ask", "ask"),
    "batch": (".batch", "batch"),
    "cluster": (".cluster.status", "status"),
    "compare": (".compare", "compare"),
    "completion": (".shell_completion", "completion"),
    "models": (".models", "models"),
    "prompts": (".prompts", "prompts"),
    "reaggregate": (".rerun", "rerun"),
    "replay": (".rerun", "rerun"),
    "resume": (".rerun", "rerun"),
    "runs": (".runs", "runs"),
    "serve": (".serve", "serve"),
    "show": (".runs", "show"),
    "submit": (".cluster.submit", "submit"),
    "view": (".viewer", "view"),
    "worker": (".cluster.worker", "worker"),
}


def run_command(options: argparse.Namespace) -> int:
    """Run the command that `options` name, and return its exit code; an error becomes lines that help."""
    use_utf_8()
    if options.log_level is not None:
        log_to_standard_error(options.log_level)
    try:
        code = _dispatch(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        return FAILED
    except Exception as error:
        if options.traceback:
            say(traceback.format_exc().rstrip())
        say_error(error, traceback_shown=options.traceback)
        return exit_code_of(error)
    finally:
        discard_output()
    return code


def _dispatch(options: argparse.Namespace) -> int:
    # Each command imports only what it needs itself.
    module, function = _HOMES[options.command]
    command: Callable[[argparse.Namespace], int] = getattr(import_module(module, __package__), function)
    return command(options)
