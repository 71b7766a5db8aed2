"""Asking a model for a value of a type: parse, and tell it what was wrong, at most so many times."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from ..errors import OutputError
from ..messages import Message
from ..models import ModelRequest, ModelResponse, OutputSchema
from ..prompts import render
from ..run.output_type import OutputType

Ask = Callable[[ModelRequest], Awaitable[ModelResponse]]


def with_schema(request: ModelRequest, output: OutputType[Any] | None) -> ModelRequest:
    """`request`, to be answered in the type `output`."""
    if output is None:
        return request
    return replace(request, output_schema=OutputSchema(output.name, output.json_schema))


async def parsed(
    response: ModelResponse, request: ModelRequest, ask: Ask, output: OutputType[Any], *, repairs: int
) -> tuple[Any, ModelResponse]:
    """The value in `response`, and the response that held it: `response`, or the answer to a repair.

    Args:
        response: what the model answered to `request`.
        request: what it had been asked.
        ask: asks it again.
        output: the type.
        repairs: how often it may be told what was wrong.

    Raises:
        OutputError: no answer fits the type.
    """
    messages = request.messages
    for attempt in range(repairs + 1):
        try:
            return output.parse(response.message.text), response
        except OutputError as error:
            if attempt == repairs:
                raise OutputError(
                    f"{error.message}, after {repairs} repairs", hint="simplify output_type, or use a stronger model"
                ) from None
            complaint = Message.user(render("repair_output", problem=error.message))
            # A wish to use a tool, unanswered, would make the conversation one that providers refuse.
            said = response.message.model_copy(update={"tool_calls": ()})
            messages = (*messages, said, complaint)
            again = replace(request, messages=messages, tool_choice="none" if request.tools else "auto")
            response = await ask(with_schema(again, output))
    raise AssertionError("unreachable")
