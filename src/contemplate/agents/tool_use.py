"""One tool call of a task: its events, its journal entry, and its error as text."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Any

from pydantic_core import to_json

from ..decisions import Decision, Returned
from ..errors import ToolDenied, ToolError, error_info
from ..events import ToolFinished, ToolStarted
from ..images import checked_image
from ..messages import Message, Part, ProviderData, ToolCall
from ..models import ModelResponse
from ..plan import Task
from ..prompts import Prompts
from ..run.context import RunContext
from ..run.tool_calls import HeldUse, ToolPlace, ToolResult
from ..run.tool_contexts import tool_context
from ..tools.approval import decided_call, need_of
from ..tools.tool import Tool
from ..tools.tool_context import ToolContext
from ..tools.user_code import contained

ToolOutput = str | tuple[Part, ...]
# Characters of arguments and results that events tell.
MOST_TOLD = 4000


async def run_tool_call(
    call: ToolCall,
    run: RunContext,
    task: Task,
    use: Callable[[ToolContext[Any]], Awaitable[ToolOutput]],
    tool: Tool | None = None,
    place: ToolPlace | None = None,
) -> ToolResult:
    """Run one tool call and return its result; an error becomes text for the model, and data.

    Args:
        call: the call.
        run: the run.
        task: the task that makes the call.
        use: runs the tool, given the context of the call.
        tool: the tool, if its calls may need a decision.
        place: the place of the call among equal ones, if others are made in parallel.
    """

    async def used() -> ToolResult:
        with tool_context(run, task, call) as context:
            return await _result_of(lambda: use(context), run.prompts)

    if run.listening:
        arguments = _cut(call.arguments)
        run.emit(ToolStarted(task_id=task.id, tool=call.name, call_id=call.id, arguments=arguments))
    started = perf_counter()
    held = None if tool is None or not (tool.approval or tool.external) else _held(tool, call, run, task)
    result = await run.use_tool(task.id, call, used, held, place)
    if run.listening:
        seconds = perf_counter() - started
        told: dict[str, Any] = {"seconds": seconds, "error": result.error, "text": _cut(result.text)}
        run.emit(ToolFinished(task_id=task.id, tool=call.name, call_id=call.id, **told))
    return result


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TOLD else f"{text[: MOST_TOLD - 3]}..."


def _held(tool: Tool, call: ToolCall, run: RunContext, task: Task) -> HeldUse:
    async def decided(decision: Decision) -> ToolResult:
        with tool_context(run, task, call) as context:
            made = tool.within(context)
            result = await _result_of(lambda: decided_call(made, call.arguments, decision, run.prompts), run.prompts)
            return result._replace(seen=decision.images) if isinstance(decision, Returned) else result

    return HeldUse(lambda: need_of(tool, call.arguments), decided)


async def _result_of(use: Callable[[], Awaitable[ToolOutput]], prompts: Prompts) -> ToolResult:
    try:
        with contained():
            return _as_result(await use(), prompts)
    except ToolDenied as denied:
        return ToolResult(prompts.render("tool_denied", reason=denied.message).strip(), error_info(denied))
    except Exception as raised:
        error = error_info(raised)
        return ToolResult(prompts.render("tool_error", kind=error.kind, message=error.message), error)


def _as_result(output: ToolOutput, prompts: Prompts) -> ToolResult:
    if isinstance(output, str):
        return ToolResult(output)
    message = Message(role="tool", parts=output)
    try:
        images = tuple(map(checked_image, message.images))
    except ValueError as error:
        raise ToolError(f"an image that the tool made cannot be shown: {error}") from None
    note = prompts.render("tool_images", number=str(len(message.images)))
    return ToolResult("\n".join(filter(None, (message.text, note))), images=images)


def with_own_ids(response: ModelResponse, messages: Sequence[Message]) -> ModelResponse:
    """Return `response` with another id for each of its calls that has one of a call in `messages`.

    Some servers count calls from zero in each turn, and ids that are made here follow from a prompt that was condensed.
    """
    calls = response.message.tool_calls
    if not calls:
        return response
    used = {call.id for message in messages for call in message.tool_calls}
    opaque = response.message.provider_data
    if used.isdisjoint(call.id for call in calls) or (opaque is not None and _names_calls(opaque, calls)):
        return response
    place = len(messages)
    own = tuple(call.model_copy(update={"id": _unused(call.id, place, used)}) for call in calls)
    message = response.message.model_copy(update={"tool_calls": own})
    return response.model_copy(update={"message": message})


def _names_calls(opaque: ProviderData, calls: Sequence[ToolCall]) -> bool:
    """Return whether what goes back to the provider as it is names one of the calls."""
    written = to_json(opaque.fields)
    return any(to_json(call.id) in written for call in calls)


def _unused(name: str, place: int, used: set[str]) -> str:
    while name in used:
        name = f"{name}_{place}"
    used.add(name)
    return name
