"""One tool call of a task: its events, its journal entry, and its error as text."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

from ..errors import ToolError, error_info
from ..events import ToolFinished, ToolStarted
from ..images import checked_image
from ..messages import Message, Part, ToolCall
from ..plan import Task
from ..prompts import render
from ..run.context import RunContext
from ..run.tool_calls import ToolResult
from ..run.tool_contexts import tool_context
from ..tools.tool_context import ToolContext
from ..tools.user_code import contained

ToolOutput = str | tuple[Part, ...]


async def run_tool_call(
    call: ToolCall, run: RunContext, task: Task, use: Callable[[ToolContext[Any]], Awaitable[ToolOutput]]
) -> ToolResult:
    """Run one tool call and return its result; an error becomes text for the model, and data.

    Args:
        call: the call.
        run: the run.
        task: the task that makes the call.
        use: runs the tool, given the context of the call.
    """

    async def used() -> ToolResult:
        with tool_context(run, task, call) as context:
            return await _result_of(lambda: use(context))

    if run.listening:
        run.emit(ToolStarted(task_id=task.id, tool=call.name, call_id=call.id))
    started = perf_counter()
    result = await run.use_tool(task.id, call, used)
    if run.listening:
        seconds = perf_counter() - started
        run.emit(ToolFinished(task_id=task.id, tool=call.name, call_id=call.id, seconds=seconds, error=result.error))
    return result


async def _result_of(use: Callable[[], Awaitable[ToolOutput]]) -> ToolResult:
    try:
        with contained():
            return _as_result(await use())
    except Exception as raised:
        error = error_info(raised)
        return ToolResult(render("tool_error", kind=error.kind, message=error.message), error)


def _as_result(output: ToolOutput) -> ToolResult:
    if isinstance(output, str):
        return ToolResult(output)
    message = Message(role="tool", parts=output)
    try:
        images = tuple(map(checked_image, message.images))
    except ValueError as error:
        raise ToolError(f"an image that the tool made cannot be shown: {error}") from None
    note = render("tool_images", number=str(len(message.images)))
    return ToolResult("\n".join(filter(None, (message.text, note))), images=images)
