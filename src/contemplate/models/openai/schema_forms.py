"""How an answer is held to a schema, in each form that servers take, and the answer as JSON text again."""

from __future__ import annotations

import re
from typing import Any

from pydantic_core import to_json

from ...messages import Message, TextPart
from ...prompts import Prompts
from ..base import JsonSchema, ModelRequest, ModelResponse, OutputSchema
from ..schemas import sent_schema
from .profile import Profile, SchemaForm

# The text around a block of code, which models put around JSON that they were asked for in words.
_FENCED = re.compile(r"\s*(?P<fence>`{3,}|~{3,})[ \t]*(?:[\w-]+\s|\s)?\s*(?P<json>.+?)\s*(?P=fence)\s*", re.DOTALL)

# Braces alone are also those of formulas.
_JSON_BEGUN = re.compile(r'\{\s*["}]|\A\s*(\[|"|[\d.eE+-]+\s*\Z|(true|false|null)\s*\Z)')


def form_of(request: ModelRequest, profile: Profile) -> SchemaForm | None:
    """Return how the answer to `request` is held to its schema; None if it has none."""
    if request.output_schema is None:
        return None
    if profile.schema_form == "tool":
        # Where a tool must be called, that is not the one for the answer.
        return "words" if request.tool_choice == "required" else "tool"
    return "words" if tools_of(request, profile) and not profile.schema_with_tools else profile.schema_form


def tools_of(request: ModelRequest, profile: Profile) -> bool:
    """Return whether the tools of `request` are sent: not if none may be called, and it can be said no other way."""
    if not request.tools or request.tool_choice != "none":
        return bool(request.tools)
    return profile.none_tool_choice and (
        request.output_schema is None or (profile.schema_with_tools and profile.schema_form != "tool")
    )


def callable_tools(request: ModelRequest, profile: Profile) -> dict[str, JsonSchema]:
    """Return the schemas of the tools that may be called, by name, with the one whose arguments are the answer."""
    tools = {} if request.tool_choice == "none" else {tool.name: tool.parameters for tool in request.tools}
    if request.output_schema is not None and form_of(request, profile) == "tool":
        tools[_tool_name(request)] = request.output_schema.schema
    return tools


def is_streamed(request: ModelRequest, profile: Profile) -> bool:
    """Return whether the answer to `request` can be streamed."""
    if not profile.streams:
        return False
    return profile.schema_streams or form_of(request, profile) in (None, "words", "tool")


def response_format(output: OutputSchema, profile: Profile, form: SchemaForm) -> dict[str, Any] | None:
    """Return the field `response_format`; None in a form without one."""
    if form == "json_object":
        return {"type": "json_object"}
    if form not in ("strict", "plain"):
        return None
    sent = sent_schema(output.schema, profile.schema_dialect)
    named: dict[str, Any] = {"name": output.name, "schema": sent.schema}
    # What cannot be said strictly is asked for less firmly, and checked here.
    strict = {"strict": sent.strict} if form == "strict" else {}
    return {"type": "json_schema", "json_schema": named | strict}


def in_words(output: OutputSchema, prompts: Prompts) -> str:
    """Return the instruction to follow a schema."""
    return prompts.render("schema_in_words", schema=to_json(output.schema).decode())


def answer_tool(request: ModelRequest, profile: Profile) -> dict[str, Any]:
    """Return the tool whose arguments are the answer."""
    assert request.output_schema is not None  # noqa: S101
    name, parameters = _tool_name(request), sent_schema(request.output_schema.schema, profile.schema_dialect).schema
    function = {"name": name, "description": request.prompts.render("answer_tool"), "parameters": parameters}
    return {"type": "function", "function": function}


def plain_answer(response: ModelResponse, request: ModelRequest, form: SchemaForm | None) -> ModelResponse:
    """Return `response` with its JSON as the text, whatever the form that it was asked in."""
    message = response.message
    if form == "tool" and message.tool_calls:
        name = _tool_name(request)
        answers = [call for call in message.tool_calls if call.name == name]
        others = tuple(call for call in message.tool_calls if call.name != name)
        if not answers:
            return response
        if others:
            # It answered before it saw what the tools return.
            return response.model_copy(update={"message": message.model_copy(update={"tool_calls": others})})
        finish = "stop" if response.finish == "tool_calls" else response.finish
        return response.model_copy(update={"message": _with_text(message, answers[0].arguments), "finish": finish})
    if form in ("words", "json_object") and not message.tool_calls:
        fenced = _FENCED.fullmatch(message.text)
        if fenced is not None:
            return response.model_copy(update={"message": _with_text(message, fenced["json"])})
    return response


def takes_no_notice(response: ModelResponse, form: SchemaForm | None) -> bool:
    """Return whether an answer shows that the server does not know what a schema is: it is prose, and is whole.

    JSON that does not fit is the model's fault, as may be what was cut off, filtered or refused.
    """
    text = response.message.text.lstrip()
    if not text or text[0] == "{" or form not in ("strict", "plain", "json_object"):
        return False
    return response.finish == "stop" and not response.message.tool_calls and _JSON_BEGUN.search(text) is None


def _with_text(message: Message, text: str) -> Message:
    return message.model_copy(update={"parts": (TextPart(text=text), *message.images), "tool_calls": ()})


def _tool_name(request: ModelRequest) -> str:
    assert request.output_schema is not None  # noqa: S101
    name = request.output_schema.name
    return f"{name}_answer"[-64:] if any(tool.name == name for tool in request.tools) else name
