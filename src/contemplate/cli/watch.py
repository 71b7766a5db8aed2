"""Making a run and showing it while it works, until it ends or a signal ends it."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable

import anyio

from ..errors import ContemplateError, error_info
from ..events import Event
from ..result import ErrorInfo, RunResult
from ..run.listeners import Listener
from ..stream import stream_of
from ..views.run_progress import RunProgress
from ..views.summary import usage_text
from .approvals import say_what_waits
from .console import say
from .exit_codes import INTERRUPTED, exit_code_of_result
from .signals import cancel_on_signal
from .view import View

Start = Callable[[Listener], Awaitable[RunResult[str]]]


def watch(
    start: Start,
    view: View,
    *,
    go_on: str | None = None,
    once_more: str | None = None,
    finished: Callable[[RunResult[str]], None] = lambda _: None,
) -> int:
    """Make a run, show it, and return the exit code.

    Args:
        start: makes the run, and tells its events the listener that it is given.
        view: shows it.
        go_on: the command that gets what is missing from the answer, if there is one.
        once_more: the command that goes on after an interruption; `go_on` if None.
        finished: called with the result once it is shown.
    """
    progress = RunProgress()
    try:
        ended = anyio.run(_run, start, view, progress)
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        view.stop(_interruption(signal.SIGINT), progress.partial() if progress.run_id else None)
        raise
    except Exception as error:
        view.stop(error_info(error), error.partial if isinstance(error, ContemplateError) else None)
        if isinstance(error, ContemplateError) and error.partial is not None:
            _say_how_to_go_on(go_on)
        raise
    if isinstance(ended, RunResult):
        view.finish(ended)
        finished(ended)
        _say_what_was_recorded(progress)
        if ended.pending:
            say_what_waits(ended)
        elif not ended.complete:
            _say_how_to_go_on(go_on)
        return exit_code_of_result(ended)
    partial = progress.partial()
    view.stop(_interruption(ended), partial)
    say(f"interrupted; what it cost so far: {usage_text(partial.usage)}")
    _say_what_was_recorded(progress)
    _say_how_to_go_on(once_more or go_on)
    return INTERRUPTED if ended == signal.SIGINT else 128 + ended


async def _run(start: Start, view: View, progress: RunProgress) -> RunResult[str] | signal.Signals:
    """Return the result of the run, or the signal that ended it."""
    shown = _Guarded(view)
    with anyio.CancelScope() as scope, cancel_on_signal(scope) as received:
        async with stream_of(start) as run:
            async for event in run:
                progress.add(event)
                shown.show(event)
        return run.result
    # What was stopped has cost something, too, and may have written something.
    async for event in run:
        progress.add(event)
        shown.show(event)
    return received[0]


class _Guarded:
    """A view that does not cost the answer: one that cannot write shows no more events.

    A reader of standard output who has gone away ends the run all the same: nobody wants the answer.
    """

    def __init__(self, view: View) -> None:
        self._view: View | None = view

    def show(self, event: Event) -> None:
        if self._view is None:
            return
        try:
            self._view.show(event)
        except BrokenPipeError:
            raise
        except (OSError, ValueError) as error:
            self._view = None
            say(f"warning: the run goes on, and cannot be shown: {error}")


def _say_what_was_recorded(progress: RunProgress) -> None:
    if progress.recorded:
        say(f"{progress.recorded} of the calls had been made before, and were not paid for again")


def _say_how_to_go_on(command: str | None) -> None:
    if command is not None:
        say(f"to go on, without paying again for what was answered: {command}")


def _interruption(number: signal.Signals) -> ErrorInfo:
    return ErrorInfo(kind="Interrupted", message=f"interrupted by {number.name}")
