"""What a tool is told of its call: the run's side of `ToolContext`."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio

from ..event_loops import call_soon
from ..events import Event, ToolProgress
from ..messages import ToolCall
from ..plan import Task
from ..tools.tool_context import ToolContext
from .context import RunContext

LONGEST_MESSAGE = 500


@contextmanager
def tool_context(run: RunContext, task: Task, call: ToolCall) -> Iterator[ToolContext[Any]]:
    """Yield the context of a tool call, which says nothing more after the block."""
    calls = run._calls
    ongoing = _OngoingCall(run, task, call)
    try:
        yield ToolContext(
            run_id=calls.run_id,
            path=calls.path,
            task=task,
            tool=call.name,
            call_id=call.id,
            _deps=calls.deps,
            _call=ongoing,
        )
    finally:
        ongoing.over = True


class _OngoingCall:
    def __init__(self, run: RunContext, task: Task, call: ToolCall) -> None:
        self.over = False
        self._run = run
        self._task = task
        self._call = call
        self._thread = threading.get_ident()
        # A worker thread cannot ask the event loop for its time.
        left = anyio.current_effective_deadline() - anyio.current_time()
        self._deadline = math.inf if left == math.inf else time.monotonic() + left

    @property
    def seconds_left(self) -> float:
        return self._deadline - time.monotonic()

    @property
    def calls_left(self) -> float:
        return self._run.calls_left

    @property
    def tokens_left(self) -> float:
        return self._run.tokens_left

    @property
    def cost_usd_left(self) -> float:
        return self._run.cost_usd_left

    def report(self, tool: str, message: str) -> None:
        if not self._run.listening:
            return
        text = str(message)
        if len(text) > LONGEST_MESSAGE:
            text = text[: LONGEST_MESSAGE - 3] + "..."
        event = ToolProgress(task_id=self._task.id, tool=tool, call_id=self._call.id, message=text)
        if threading.get_ident() == self._thread:
            self._emit(event)
        else:
            call_soon(self._run._calls.loop, self._emit, event)

    def _emit(self, event: Event) -> None:
        # A thread that was abandoned may still speak.
        if not (self.over or self._run._calls.over):
            self._run.emit(event)
