"""`contemplate ask`, and watching a run."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Mapping, Sequence

import anyio
from pydantic import JsonValue

from ..contemplator import Contemplator
from ..errors import ConfigurationError, ContemplateError, MissingDependencyError, error_info
from ..images import ImageSource
from ..journal import Journal
from ..limits import Limits
from ..models import Model, resolve
from ..models.redaction import shown_url
from ..models.registry import default_name
from ..result import ErrorInfo, RunResult
from ..run.run import new_run_id
from .estimate import print_estimate
from .exits import ANSWERED, INTERRUPTED, LIMITED, say
from .images import Folder
from .models import fetch_if_local
from .place import journal_if_any
from .record import Record
from .signals import stopping
from .views import View, view_for
from .words import spent

LIMITS = {
    "seconds": "max_seconds",
    "total_tokens": "max_tokens",
    "output_tokens": "max_output_tokens",
    "cost_usd": "max_cost",
    "calls": "max_calls",
    "concurrency": "concurrency",
}


def ask(options: argparse.Namespace) -> int:
    """Ask the question, show the run, and return the exit code."""
    view = view_for(options)
    try:
        question = _question(options.question)
        model = model_called(options.model)
        limits = limits_of(options)
        folder = None if options.save_images is None else Folder(options.save_images)
        if options.estimate:
            mind = Contemplator(model, mode=options.mode, limits=limits)
            return print_estimate(mind.estimate(question, images=options.image), options.json)
        fetch_if_local(options.model, quiet=options.quiet)
        journal = journal_if_any(options)
        mind = Contemplator(model, mode=options.mode, limits=limits, journal=journal, labels=_labels(options, limits))
    except Exception as error:
        view.stop(error_info(error), None)
        raise
    return watch(mind, question, options.image, options.run_id, view, journal, folder)


def watch(
    mind: Contemplator[str],
    question: str,
    images: Sequence[ImageSource],
    run_id: str | None,
    view: View,
    journal: Journal | None,
    folder: Folder | None = None,
) -> int:
    """Make a run, show it, and return the exit code."""
    record = Record()
    run_id = run_id or new_run_id()
    try:
        ended = anyio.run(_watch, mind, question, images, run_id, view, record)
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        view.stop(_interrupted_by(signal.SIGINT), None)
        raise
    except Exception as error:
        view.stop(error_info(error), error.partial if isinstance(error, ContemplateError) else None)
        if isinstance(error, ContemplateError) and error.partial is not None:
            _say_how_to_go_on(run_id, journal)
        raise
    if isinstance(ended, RunResult):
        view.finish(ended)
        if folder is not None:
            folder.save(ended)
        elif ended.images:
            say(f"images in the answer: {len(ended.images)}; to save them: --run-id {run_id} --save-images DIR")
        if record.recorded:
            say(f"{record.recorded} of the calls had been made before, and were not paid for again")
        if not ended.complete:
            _say_how_to_go_on(run_id, journal)
        return LIMITED if ended.stopped_by and not ended.complete else ANSWERED
    partial = record.partial()
    view.stop(_interrupted_by(ended), partial)
    say(f"interrupted; without the calls that were stopped: {spent(partial.usage)}")
    _say_how_to_go_on(run_id, journal)
    return INTERRUPTED if ended == signal.SIGINT else 128 + ended


def model_called(name: str | None) -> Model:
    """The model that was named, or the default one."""
    try:
        return resolve(name)
    except MissingDependencyError as error:
        if name is not None:
            raise
        raise ConfigurationError(error.message, hint=f"{error.hint}, set OPENAI_API_KEY, or choose a --model") from None


def limits_of(options: argparse.Namespace) -> Limits:
    """The limits that were given."""
    return Limits(**{limit: getattr(options, option) for limit, option in LIMITS.items()})


def _labels(options: argparse.Namespace, limits: Limits) -> Mapping[str, JsonValue]:
    """How it was asked for, so that it can be gone on with."""
    name = options.model or default_name()
    return {
        "command": "ask",
        "mode": options.mode,
        "model": shown_url(name) if "://" in name else name,
        "limits": limits.model_dump(mode="json", exclude_none=True),
    }


def _say_how_to_go_on(run_id: str, journal: Journal | None) -> None:
    if journal is not None:
        say(f"to go on, without paying again for what was answered: contemplate resume {run_id}")


def _interrupted_by(number: signal.Signals) -> ErrorInfo:
    return ErrorInfo(kind="Interrupted", message=f"interrupted by {number.name}")


def _question(given: str) -> str:
    # An argument that Python could not decode in the locale's encoding holds its bytes as surrogates.
    question = sys.stdin.read() if given == "-" else os.fsencode(given).decode("utf-8", errors="replace")
    if not question.strip():
        raise ConfigurationError("the question is empty", hint="contemplate ask 'Why is the sky blue?'")
    return question.strip()


async def _watch(
    mind: Contemplator[str], question: str, images: Sequence[ImageSource], run_id: str, view: View, record: Record
) -> RunResult[str] | signal.Signals:
    """The result of the run, or the signal that ended it."""
    with anyio.CancelScope() as scope, stopping(scope) as received:
        async with mind.stream(question, images=images, run_id=run_id) as run:
            async for event in run:
                record.take(event)
                view.show(event)
        return run.result
    return received[0]
