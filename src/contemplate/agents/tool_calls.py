"""One tool call of a task: its events, its journal entry, and its error as text."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import perf_counter

from ..decisions import Decision
from ..errors import ToolDenied, ToolError, error_info
from ..events import ToolFinished, ToolStarted
from ..images import checked_image
from ..messages import Message, Part, ToolCall
from ..prompts import render
from ..run.context import RunContext
from ..run.tool_calls import HeldUse, ToolPlace, ToolResult
from ..tools.approval import decided_call, need_of
from ..tools.tool import Tool
from ..tools.user_code import contained

ToolOutput = str | tuple[Part, ...]


async def run_tool_call(
    call: ToolCall,
    run: RunContext,
    task_id: str,
    use: Callable[[], Awaitable[ToolOutput]],
    tool: Tool | None = None,
    place: ToolPlace | None = None,
) -> ToolResult:
    """Run one tool call and return its result; an error becomes text for the model, and data.

    Args:
        call: the call.
        run: the run.
        task_id: id of the task that makes the call.
        use: runs the tool.
        tool: the tool, if its calls may need a decision.
        place: the place of the call among equal ones, if others are made in parallel.
    """
    if run.listening:
        run.emit(ToolStarted(task_id=task_id, tool=call.name, call_id=call.id))
    started = perf_counter()
    held = None if tool is None or not (tool.approval or tool.external) else _held(tool, call)
    result = await run.use_tool(task_id, call, lambda: _result_of(use), held, place)
    if run.listening:
        seconds = perf_counter() - started
        run.emit(ToolFinished(task_id=task_id, tool=call.name, call_id=call.id, seconds=seconds, error=result.error))
    return result


def _held(tool: Tool, call: ToolCall) -> HeldUse:
    def decided(decision: Decision) -> Awaitable[ToolResult]:
        return _result_of(lambda: decided_call(tool, call.arguments, decision))

    return HeldUse(lambda: need_of(tool, call.arguments), decided)


async def _result_of(use: Callable[[], Awaitable[ToolOutput]]) -> ToolResult:
    try:
        with contained():
            return _as_result(await use())
    except ToolDenied as denied:
        return ToolResult(render("tool_denied", reason=denied.message).strip(), error_info(denied))
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
