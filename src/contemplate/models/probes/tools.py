"""Probes of tools."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace

from ...messages import Message, ToolCall
from ...prompts import render
from ..base import JsonSchema, ModelRequest, ToolSpec
from .bench import Bench, Outcome
from .schemas import CAPITAL, follows

NAMES = ("Ada", "Grace")
SECRETS = {"Ada": "7391", "Grace": "2846"}


async def tool(bench: Bench) -> Outcome:
    """Offer a tool that is needed."""
    request = ModelRequest((Message.user(render("probes/secret", person=NAMES[0])),), tools=(_secret_tool(),))
    response = await bench.ask(request)
    bench.tool_turn = request, response
    return _called(response.message.tool_calls, 1)


async def tool_result(bench: Bench) -> Outcome:
    """Go on with what the tool returned."""
    if bench.tool_turn is None or not bench.tool_turn[1].message.tool_calls:
        return Outcome("no", "no tool was called")
    request, response = bench.tool_turn
    results = [Message.tool(call.id, SECRETS[NAMES[0]]) for call in response.message.tool_calls]
    messages = (*request.messages, response.message, *results)
    text = (await bench.ask(ModelRequest(messages, tools=request.tools))).message.text
    right = SECRETS[NAMES[0]] in text
    return Outcome("ok" if right else "no", "the answer uses it" if right else "the answer does not use it")


async def tools_at_once(bench: Bench) -> Outcome:
    """Ask for two calls in one turn, as a stream, in which they must be told apart."""
    prompt = render("probes/two_secrets", one=NAMES[0], other=NAMES[1])
    request = ModelRequest((Message.user(prompt),), tools=(_secret_tool(),))
    response = await bench.ask(request, lambda _: None)
    return _called(response.message.tool_calls, 2)


async def tool_required(bench: Bench) -> Outcome:
    """Insist on a tool that is not needed."""
    request = ModelRequest((Message.user(render("probes/word")),), tools=(_secret_tool(),), tool_choice="required")
    return _called((await bench.ask(request)).message.tool_calls, 1)


async def tools_with_schema(bench: Bench) -> Outcome:
    """Ask for an answer that follows a schema, with a tool beside it that is not needed, but may be called."""
    request = ModelRequest((Message.user(render("probes/schema")),), tools=(_secret_tool(),), output_schema=CAPITAL)
    response = await bench.ask(request)
    if response.message.tool_calls:
        results = [Message.tool(call.id, SECRETS[NAMES[0]]) for call in response.message.tool_calls]
        response = await bench.ask(replace(request, messages=(*request.messages, response.message, *results)))
    return follows(response)


def _secret_tool() -> ToolSpec:
    parameters: JsonSchema = {
        "type": "object",
        "properties": {"name": {"type": "string"}},
        "required": ["name"],
        "additionalProperties": False,
    }
    return ToolSpec("secret_number", render("probes/secret_tool"), parameters)


def _called(calls: tuple[ToolCall, ...], wanted: int) -> Outcome:
    right = [call for call in calls if call.name == "secret_number" and _has_name(call.arguments)]
    told = f"{len(calls)} calls" if len(calls) != 1 else "1 call"
    if len(right) < len(calls):
        told += f", {len(calls) - len(right)} with a wrong name or wrong arguments"
    return Outcome("ok" if len(right) >= wanted and len(right) == len(calls) else "no", told)


def _has_name(arguments: str) -> bool:
    with suppress(ValueError):
        given = json.loads(arguments)
        return isinstance(given, dict) and isinstance(given.get("name"), str)
    return False
