"""`contemplate ask`."""

from __future__ import annotations

import argparse
import os
import signal
import sys

import anyio

from ..contemplator import Contemplator
from ..errors import ConfigurationError, ContemplateError, MissingDependencyError
from ..models import Model, resolve
from ..result import ErrorInfo, RunResult
from ..usage import Limits
from .estimate import print_estimate
from .exits import ANSWERED, INTERRUPTED, LIMITED, say
from .models import fetch_if_local
from .record import Record
from .signals import stopping
from .views import View, view_for
from .words import spent


def ask(options: argparse.Namespace) -> int:
    """Ask the question, show the run, and return the exit code."""
    record = Record()
    view = view_for(options)
    try:
        question = _question(options.question)
        if options.estimate:
            return print_estimate(_mind(options, fetch=False).estimate(question, images=options.image), options.json)
        ended = anyio.run(_watch, _mind(options), question, options.image, view, record)
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        view.stop(_interrupted_by(signal.SIGINT), None)
        raise
    except Exception as error:
        view.stop(ErrorInfo.of(error), error.partial if isinstance(error, ContemplateError) else None)
        raise
    if isinstance(ended, RunResult):
        view.finish(ended)
        return LIMITED if ended.stopped_by and not ended.complete else ANSWERED
    partial = record.partial()
    view.stop(_interrupted_by(ended), partial)
    say(f"interrupted; without the calls that were stopped: {spent(partial.usage)}")
    return INTERRUPTED if ended == signal.SIGINT else 128 + ended


def _interrupted_by(number: signal.Signals) -> ErrorInfo:
    return ErrorInfo(kind="Interrupted", message=f"interrupted by {number.name}")


def _question(given: str) -> str:
    # An argument that Python could not decode in the locale's encoding holds its bytes as surrogates.
    question = sys.stdin.read() if given == "-" else os.fsencode(given).decode("utf-8", errors="replace")
    if not question.strip():
        raise ConfigurationError("the question is empty", hint="contemplate ask 'Why is the sky blue?'")
    return question.strip()


def _mind(options: argparse.Namespace, *, fetch: bool = True) -> Contemplator[str]:
    model = _model(options.model)
    if fetch:
        fetch_if_local(options.model, quiet=options.quiet)
    limits = Limits(
        seconds=options.max_seconds,
        total_tokens=options.max_tokens,
        output_tokens=options.max_output_tokens,
        cost_usd=options.max_cost,
        calls=options.max_calls,
        concurrency=options.concurrency,
    )
    return Contemplator(model, mode=options.mode, limits=limits)


def _model(name: str | None) -> Model:
    try:
        return resolve(name)
    except MissingDependencyError as error:
        if name is not None:
            raise
        raise ConfigurationError(error.message, hint=f"{error.hint}, set OPENAI_API_KEY, or choose a --model") from None


async def _watch(
    mind: Contemplator[str], question: str, images: list[str], view: View, record: Record
) -> RunResult[str] | signal.Signals:
    """The result of the run, or the signal that ended it."""
    with anyio.CancelScope() as scope, stopping(scope) as received:
        async with mind.stream(question, images=images) as run:
            async for event in run:
                record.take(event)
                view.show(event)
        return run.result
    return received[0]
