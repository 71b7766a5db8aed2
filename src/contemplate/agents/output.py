"""Parse typed output, with bounded repair."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from ..errors import OutputError
from ..messages import Message
from ..models import ModelRequest, ModelResponse, OutputSchema
from ..prompts import Prompts
from ..run.output_type import OutputType
from .withheld_answers import check_given

Ask = Callable[[ModelRequest], Awaitable[ModelResponse]]


def with_schema(request: ModelRequest, output: OutputType[Any] | None) -> ModelRequest:
    """Return `request` with the JSON schema of `output`; unchanged if `output` is None."""
    if output is None:
        return request
    return replace(request, output_schema=OutputSchema(output.name, output.json_schema))


async def parse_with_repair(
    response: ModelResponse,
    request: ModelRequest,
    ask: Ask,
    output: OutputType[Any],
    *,
    repairs: int,
    prompts: Prompts,
) -> tuple[Any, ModelResponse]:
    """Return the parsed value and the response that it came from: `response`, or that of a repair.

    Args:
        response: the model's response to `request`.
        request: the original request.
        ask: calls the model again.
        output: the output type.
        repairs: maximum number of repairs.
        prompts: how it asks for one.

    Raises:
        OutputError: no response matches the type.
        ModelResponseError: a response was withheld; its subclass `ModelRefusalError`, by the model.
    """
    messages = request.messages
    for attempt in range(repairs + 1):
        check_given(response)
        try:
            return output.parse(response.message.text), response
        except OutputError as error:
            if attempt == repairs:
                raise OutputError(
                    f"{error.message}, after {repairs} repairs", hint="simplify output_type, or use a stronger model"
                ) from None
            complaint = Message.user(prompts.render("repair_output", problem=error.message))
            # Providers reject a conversation in which a tool call has no result.
            answer = response.message.model_copy(update={"tool_calls": ()})
            messages = (*messages, answer, complaint)
            repair = replace(request, messages=messages, tool_choice="none" if request.tools else "auto")
            response = await ask(with_schema(repair, output))
    raise AssertionError("unreachable")
