"""Making a run and showing it while it goes on, until it ends, fails or is stopped."""

from __future__ import annotations

import inspect
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

import anyio

from ..errors import ConfigurationError, error_info
from ..result import ErrorInfo, OutputT, RunResult
from ..run.detached_task import OwnTask
from ..run.sync import run_blocking
from ..stream import RunStream
from .view import GuardedView, view_here

SECONDS = 0.2
_STOPPED = ErrorInfo(
    kind="Interrupted",
    message="nothing of the run goes on",
    hint="a run with a journal goes on where it was: mind.stream(question, run_id=...)",
)


async def watch(stream: AbstractAsyncContextManager[RunStream[OutputT]]) -> RunResult[OutputT]:
    """Make a run, show it in the output of this cell while it goes on, and return its result.

    What is shown is drawn anew five times a second at most, and once more at the end: the result, or what had been
    reached when an error or an interruption ended the run. Outside of a notebook, it is lines on standard error.

    Args:
        stream: the run, as in `await watch(mind.stream(question))`; `mind.resume_stream(...)` goes on with one.

    Raises:
        ConfigurationError: it is no stream.
        ContemplateError: there is no answer; the results so far are in the error's `partial`.
    """
    _check(stream, AbstractAsyncContextManager)
    view = view_here()
    run: RunStream[OutputT] | None = None
    try:
        async with stream as run:
            _check(run, RunStream)
            await _show(run, view)
        result = run.result
    except BaseException as error:
        if isinstance(run, RunStream):
            await _show_rest(run, view)
            view.stop(error_info(error) if isinstance(error, Exception) else _STOPPED, getattr(error, "partial", None))
        raise
    view.finish(result)
    return result


def watch_sync(stream: AbstractAsyncContextManager[RunStream[OutputT]]) -> RunResult[OutputT]:
    """Call `watch` from synchronous code. Works where an event loop is running, too, as in a notebook."""
    return run_blocking(lambda: watch(stream))


async def _show(run: RunStream[Any], view: GuardedView) -> None:
    async def now_and_then() -> None:
        while True:
            view.draw()
            await anyio.sleep(SECONDS)

    clock = OwnTask(now_and_then)
    try:
        async for event in run:
            view.add(event)
    finally:
        await clock.end()


async def _show_rest(run: RunStream[Any], view: GuardedView) -> None:
    """Take account of what happened while the run was ended: that has cost something, too."""
    # The run is over, so that nothing is waited for here; its error is being raised.
    with suppress(Exception):
        async for event in run:
            view.add(event)


def _check(stream: object, kind: type[Any]) -> None:
    if isinstance(stream, kind):
        return
    if inspect.iscoroutine(stream):
        stream.close()
    raise ConfigurationError(
        f"watch(stream=...) is a {type(stream).__name__}", hint="give it a run: watch(mind.stream(question))"
    )
