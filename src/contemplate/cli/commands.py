"""The commands by name: running one, whatever comes of it, and returning its exit code."""

from __future__ import annotations

import argparse
import sys
import traceback

from .console import discard_output, log_to_standard_error, say, use_utf_8
from .errors import exit_code_of, say_error
from .exit_codes import FAILED, INTERRUPTED


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
    match options.command:
        case "ask":
            from .ask import ask

            return ask(options)
        case "batch":
            from .batch import batch

            return batch(options)
        case "compare":
            from .compare import compare

            return compare(options)
        case "runs" | "show":
            from .runs import runs, show

            return runs(options) if options.command == "runs" else show(options)
        case "resume" | "replay" | "reaggregate":
            from .rerun import rerun

            return rerun(options)
        case "models":
            from .models import models

            return models(options)
        case "view":
            from .viewer import view

            return view(options)
        case "completion":
            from .shell_completion import completion

            return completion(options)
        case "prompts":
            from .prompts import prompts

            return prompts(options)
    from .serve import serve

    return serve(options)
