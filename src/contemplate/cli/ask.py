"""`contemplate ask`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from typing import Any

import anyio
from pydantic_core import to_json

from ..contemplator import Contemplator
from ..errors import ConfigurationError, ContemplateError
from ..models import resolve
from ..result import ErrorInfo, RunResult
from ..usage import Limits
from .exits import ANSWERED, INTERRUPTED, LIMITED
from .models import fetch_if_local
from .record import Record
from .views import View, view_for


def ask(options: argparse.Namespace) -> int:
    """Ask the question, show the run, and return the exit code."""
    question = _question(options.question)
    record = Record()
    view = view_for(options)
    try:
        mind = _mind(options)
        stopped_by = anyio.run(_watch, mind, question, options.image, view, record)
    except ContemplateError as error:
        view.close()
        if options.json:
            partial = None if error.partial is None else error.partial.model_dump(mode="json")
            _print_json({"error": ErrorInfo.of(error).model_dump(), "partial": partial})
        raise
    if isinstance(stopped_by, RunResult):
        view.finish(stopped_by)
        if options.json:
            sys.stdout.write(stopped_by.model_dump_json(indent=2) + "\n")
        return LIMITED if stopped_by.stopped_by and not stopped_by.complete else ANSWERED
    view.interrupt(record.partial())
    if options.json:
        interrupted = ErrorInfo(kind="Interrupted", message=f"interrupted by {signal.Signals(stopped_by).name}")
        _print_json({"error": interrupted.model_dump(), "partial": record.partial().model_dump(mode="json")})
    return INTERRUPTED if stopped_by == signal.SIGINT else 128 + stopped_by


def _question(given: str) -> str:
    question = sys.stdin.read() if given == "-" else given
    if not question.strip():
        raise ConfigurationError("the question is empty", hint="contemplate ask 'Why is the sky blue?'")
    return question.strip()


def _mind(options: argparse.Namespace) -> Contemplator[str]:
    model = resolve(options.model)
    fetch_if_local(options.model, quiet=options.quiet)
    limits = Limits(
        seconds=options.max_seconds,
        total_tokens=options.max_tokens,
        calls=options.max_calls,
        concurrency=options.concurrency,
    )
    return Contemplator(model, mode=options.mode, limits=limits)


async def _watch(
    mind: Contemplator[str], question: str, images: list[str], view: View, record: Record
) -> RunResult[str] | int:
    """The result of the run, or the number of the signal that ended it."""
    stopped: list[int] = []
    result: RunResult[str] | None = None
    failure: ContemplateError | None = None
    async with anyio.create_task_group() as group:
        group.start_soon(_stop_on_signal, group.cancel_scope, stopped)
        try:
            async with mind.stream(question, images=images) as run:
                async for event in run:
                    record.take(event)
                    view.show(event)
            result = run.result
        except ContemplateError as error:
            failure = error
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return result if result is not None else stopped[0]


async def _stop_on_signal(scope: anyio.CancelScope, stopped: list[int]) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
        async for number in received:
            if stopped:
                # Asked twice: whatever holds up the orderly end is not waited for.
                os._exit(128 + number)
            stopped.append(number)
            scope.cancel()


def _print_json(document: dict[str, Any]) -> None:
    sys.stdout.write(to_json(document, indent=2).decode() + "\n")
