"""Answers that are a call of one of the client's tools.

The run contemplates as it always does, and what it answers is the call, typed by the schema of the tool's arguments: so
one call goes out in every mode, however many subagents answered, and its arguments are checked, and repaired. The run
is then over; what the tool returns belongs to the conversation of the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

from pydantic import JsonValue

from ..decisions import PendingCall
from ..models.schemas.definitions import nested
from ..result import RunResult
from ..tools.tool import Tool
from .api_errors import invalid_request
from .json_output import Schema, json_output
from .neutral_request import Asked

ToCall = Callable[[RunResult[Any]], RunResult[Any]]


def forced_call(asked: Asked) -> tuple[Asked, ToCall | None]:
    """Return what is to be asked so that the answer is a call, and what makes the call of it; None if none is forced.

    Raises:
        RequestError: there is no such tool, or the schema of its arguments is none.
    """
    if asked.tool_choice in ("auto", "none"):
        return asked, None
    tools = [each for each in asked.tools if isinstance(each, Tool)]
    chosen = tools if asked.tool_choice == "required" else [each for each in tools if each.name == asked.tool_choice]
    if not chosen:
        named = "required" if asked.tool_choice == "required" else repr(asked.tool_choice)
        offered = ", ".join(each.name for each in tools) or "none"
        raise invalid_request(f"tool_choice: {named}, but the tools are: {offered}", param="tool_choice")
    if len(chosen) > 1:
        return _typed(asked, "call", _any_of(chosen)), _next_step
    only = chosen[0].name
    return _typed(asked, only, _described(chosen[0])), lambda result: _calling(result, only, result.output)


def answer_call(asked: Asked) -> tuple[Asked, ToCall | None]:
    """Return what is to be asked so that the answer is a call of a tool that takes it; None where no tool does.

    The other tools are called as ever. So no part of a question decides the answer before the parts are merged.

    Raises:
        RequestError: the schema of the tool's arguments is none.
    """
    if not asked.answer_tools or asked.tool_choice != "auto" or asked.output_type is not None:
        return asked, None
    taking = [each for each in asked.tools if isinstance(each, Tool) and each.name in asked.answer_tools]
    others = tuple(each for each in asked.tools if each not in taking)
    if len(taking) > 1:
        return replace(_typed(asked, "call", _any_of(taking)), tools=others), _next_step
    only = taking[0].name
    typed = replace(_typed(asked, only, _described(taking[0])), tools=others)
    return typed, lambda result: _calling(result, only, result.output)


def next_step(asked: Asked) -> tuple[Asked, ToCall]:
    """Return what is to be asked so that the answer is the next step, a call or a text, and what makes that of it.

    So several subagents that answer one question propose what is to be done, and it is done once.

    Raises:
        RequestError: the answer is to have a schema of its own, or that of a tool's arguments is none.
    """
    if asked.output_type is not None:
        raise invalid_request(
            f"tools: several subagents of the model {asked.model!r} answer the same question, and cannot have both "
            "tools and a schema for the answer",
            param="tools",
        )
    tools = [each for each in asked.tools if isinstance(each, Tool)]
    return _typed(asked, "step", _any_of(tools, _TEXT)), _next_step


def _typed(asked: Asked, name: str, schema: Schema) -> Asked:
    return replace(asked, tools=(), tool_choice="auto", output_type=json_output(name, schema, "tools"))


def _next_step(result: RunResult[Any]) -> RunResult[Any]:
    step = result.output["step"]
    if "tool" in step:
        return _calling(result, step["tool"], step["arguments"])
    return result.model_copy(update={"text": step["answer"], "output": step["answer"]})


def _calling(result: RunResult[Any], tool: str, arguments: dict[str, Any]) -> RunResult[Any]:
    id_ = f"call_{uuid4().hex[:24]}"
    call = PendingCall(id=id_, run_id=result.run_id, tool=tool, arguments=arguments, kind="external")
    return result.model_copy(update={"pending": (call,), "text": ""})


_TEXT: Schema = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}


def _described(tool: Tool) -> Schema:
    return {"description": tool.description, **tool.parameters} if tool.description else dict(tool.parameters)


def _any_of(tools: Sequence[Tool], *others: Schema) -> Schema:
    """Return the schema of a step that is a call of one of `tools`, or one of `others`."""
    definitions: dict[str, JsonValue] = {}
    calls: list[JsonValue] = []
    for each in tools:
        arguments = nested(dict(each.parameters), definitions)
        call: dict[str, JsonValue] = {
            "type": "object",
            "properties": {"tool": {"type": "string", "const": each.name}, "arguments": arguments},
            "required": ["tool", "arguments"],
            "additionalProperties": False,
        }
        calls.append({"description": each.description, **call} if each.description else call)
    steps: dict[str, JsonValue] = {"step": {"anyOf": [*calls, *others]}}
    schema: Schema = {"type": "object", "properties": steps, "required": ["step"], "additionalProperties": False}
    return {**schema, "$defs": definitions} if definitions else schema
