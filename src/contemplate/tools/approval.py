"""What a tool call needs before it is made: an approval, or its result from somebody else."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import JsonValue

from ..data import readable, to_json_text
from ..decisions import CallKind, Decision, Denied, Returned
from ..errors import ToolDenied, ToolError, error_info
from ..messages import Part, TextPart
from ..prompts import Prompts
from .tool import Tool


class Need(NamedTuple):
    """What a call needs, and why; with its arguments as JSON data."""

    kind: CallKind
    why: str
    arguments: dict[str, JsonValue]


async def need_of(tool: Tool, arguments: str) -> Need | None:
    """Return what a call of `tool` needs before it is made; None if nothing.

    A call whose arguments are wrong needs nothing, as it will not be made. If the function that decides fails, the call
    needs an approval: that is the safe side.
    """
    if not (tool.approval or tool.external):
        return None
    try:
        given = tool.given(arguments)
    except ToolError:
        return None
    if tool.external:
        return Need("external", "somebody else runs this tool", given)
    why: object = True
    if callable(tool.approval):
        try:
            why = await tool.asks_approval(arguments)
        except Exception as error:
            why = f"whether it needs an approval could not be decided: {error_info(error).message}"
        if not why:
            return None
    return Need("approval", readable(why) if isinstance(why, str) else "its calls need an approval", given)


async def decided_call(tool: Tool, arguments: str, decision: Decision, prompts: Prompts) -> str | tuple[Part, ...]:
    """Return the result of a call as it was decided.

    Raises:
        ToolDenied: it was denied.
        ToolError: the arguments do not match the schema, or whoever made the call says that it failed.
        Exception: whatever the tool raises.
    """
    if isinstance(decision, Denied):
        raise ToolDenied(decision.reason)
    if isinstance(decision, Returned):
        if decision.error is not None:
            raise ToolError(decision.error)
        return tool.returned(decision.value)
    if decision.arguments is None:
        return await tool.call(arguments)
    return await _changed(tool, decision.arguments, prompts)


async def _changed(tool: Tool, arguments: dict[str, JsonValue], prompts: Prompts) -> str | tuple[Part, ...]:
    said = to_json_text(arguments)
    result = await tool.call(said)
    told = prompts.render("tool_changed", arguments=said)
    return f"{told}\n\n{result}" if isinstance(result, str) else (TextPart(text=told), *result)
