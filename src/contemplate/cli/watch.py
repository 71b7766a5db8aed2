"""Making a run and showing it while it works, until it ends or a signal ends it."""

from __future__ import annotations

import signal
from collections.abc import Sequence

import anyio

from ..contemplator import Contemplator
from ..errors import ContemplateError, error_info
from ..events import Event
from ..images import ImageSource
from ..journal import Journal
from ..result import ErrorInfo, RunResult
from ..run.run import new_run_id
from ..views.summary import usage_text
from .console import say
from .exit_codes import INTERRUPTED, exit_code_of_result
from .run_progress import RunProgress
from .save_images import ImageFolder
from .signals import cancel_on_signal
from .view import View


def watch(
    mind: Contemplator[str],
    question: str,
    images: Sequence[ImageSource],
    run_id: str | None,
    view: View,
    journal: Journal | None,
    folder: ImageFolder | None = None,
) -> int:
    """Make a run, show it, and return the exit code."""
    progress = RunProgress()
    run_id = run_id or new_run_id()
    try:
        ended = anyio.run(_run, mind, question, images, run_id, view, progress)
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        view.stop(_interruption(signal.SIGINT), progress.partial() if progress.run_id else None)
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
        if progress.recorded:
            say(f"{progress.recorded} of the calls had been made before, and were not paid for again")
        if not ended.complete:
            _say_how_to_go_on(run_id, journal)
        return exit_code_of_result(ended)
    partial = progress.partial()
    view.stop(_interruption(ended), partial)
    say(f"interrupted; what it cost so far: {usage_text(partial.usage)}")
    _say_how_to_go_on(run_id, journal)
    return INTERRUPTED if ended == signal.SIGINT else 128 + ended


async def _run(
    mind: Contemplator[str],
    question: str,
    images: Sequence[ImageSource],
    run_id: str,
    view: View,
    progress: RunProgress,
) -> RunResult[str] | signal.Signals:
    """Return the result of the run, or the signal that ended it."""
    shown = _Guarded(view)
    with anyio.CancelScope() as scope, cancel_on_signal(scope) as received:
        async with mind.stream(question, images=images, run_id=run_id) as run:
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


def _say_how_to_go_on(run_id: str, journal: Journal | None) -> None:
    if journal is not None:
        say(f"to go on, without paying again for what was answered: contemplate resume {run_id}")


def _interruption(number: signal.Signals) -> ErrorInfo:
    return ErrorInfo(kind="Interrupted", message=f"interrupted by {number.name}")
