"""One tool call of a task: its events, its place in the journal, and its error in words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import perf_counter

import anyio

from ..errors import error_info
from ..events import ToolFinished, ToolStarted
from ..messages import Message, Part, ToolCall
from ..prompts import render
from ..run.calls import ToolResult
from ..run.cancellation import being_cancelled
from ..run.context import RunContext

Said = str | tuple[Part, ...]


async def used(call: ToolCall, run: RunContext, task_id: str, use: Callable[[], Awaitable[Said]]) -> ToolResult:
    """What `use` returns, or the words for what it raises, and that as data.

    Args:
        call: what is called.
        run: the run.
        task_id: whose call it is.
        use: makes the call.
    """
    if run.listening:
        run.emit(ToolStarted(task_id=task_id, tool=call.name, call_id=call.id))
    started = perf_counter()
    returned = await run.use_tool(task_id, call, lambda: _returned(use))
    if run.listening:
        seconds = perf_counter() - started
        run.emit(ToolFinished(task_id=task_id, tool=call.name, call_id=call.id, seconds=seconds, error=returned.error))
    return returned


async def _returned(use: Callable[[], Awaitable[Said]]) -> ToolResult:
    try:
        return _as_result(await use())
    except (Exception, anyio.get_cancelled_exc_class()) as raised:
        if not isinstance(raised, Exception) and being_cancelled():
            raise
        error = error_info(raised)
        return ToolResult(render("tool_error", kind=error.kind, message=error.message), error)


def _as_result(returned: Said) -> ToolResult:
    if isinstance(returned, str):
        return ToolResult(returned)
    made = Message(role="tool", parts=returned)
    note = render("tool_images", number=str(len(made.images)))
    return ToolResult("\n".join(filter(None, (made.text, note))), images=made.images)
