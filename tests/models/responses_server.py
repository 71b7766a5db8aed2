"""An imitation of OpenAI's Responses API on loopback: what it is sent is checked by the `openai` package's own types.

https://platform.openai.com/docs/api-reference/responses
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from typing import Any

from openai.types.responses import Response
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from pydantic import TypeAdapter

from contemplate.testing.faulty import Exchange, HttpError
from contemplate.testing.faulty.http import HttpConnection

USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 0},
    "output_tokens": 30,
    "output_tokens_details": {"reasoning_tokens": 20},
    "total_tokens": 130,
}


@cache
def _requests() -> TypeAdapter[Any]:
    return TypeAdapter(ResponseCreateParamsNonStreaming)


def checked(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the body of a request as the package's types see it."""
    whole = {name: value for name, value in body.items() if name != "stream"}
    seen: Mapping[str, Any] = _requests().validate_python(whole)
    return seen


def thought(text: str, secret: str) -> dict[str, Any]:
    """An item of reasoning, encrypted."""
    summary = [{"type": "summary_text", "text": text}] if text else []
    return {"id": "rs_1", "type": "reasoning", "summary": summary, "encrypted_content": secret}


def said(text: str) -> dict[str, Any]:
    """An item with text."""
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}


def declined(text: str) -> dict[str, Any]:
    """An item with a refusal."""
    part = {"type": "refusal", "refusal": text}
    return {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}


def called(name: str, arguments: str, call_id: str = "call_1") -> dict[str, Any]:
    """An item that calls a tool."""
    return {
        "id": f"fc_{call_id}",
        "type": "function_call",
        "status": "completed",
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
    }


@dataclass(frozen=True)
class ResponsesAnswer:
    """A response, as events if the request asks for them.

    Args:
        items: its output.
        status: "completed", "incomplete" or "failed".
        reason: why it is incomplete.
        error: why it failed.
        ends: whether a stream reaches its last event.
        whole_output: whether the last event repeats the output.
    """

    items: Sequence[Mapping[str, Any]]
    status: str = "completed"
    reason: str | None = None
    error: Mapping[str, Any] | None = None
    ends: bool = True
    whole_output: bool = True
    usage: Mapping[str, Any] = field(default_factory=lambda: USAGE)

    async def send(self, connection: HttpConnection, exchange: Exchange) -> None:
        """Send the response, or the error of a request that is not one of this API."""
        if exchange.path != "/v1/responses":
            await HttpError(404, "this model is only supported in v1/responses").send(connection, exchange)
            return
        checked(exchange.body)
        response = self._response(exchange)
        if self.status != "failed":
            Response.model_validate(response)
        if not exchange.streams:
            await connection.json(response)
            return
        await connection.begin_stream()
        numbers = count()
        for event in self._events(response):
            await connection.event({**event, "sequence_number": next(numbers)})
        if self.ends:
            await connection.end_stream(done=False)
        else:
            connection.close()

    def _response(self, exchange: Exchange) -> dict[str, Any]:
        return {
            "id": f"resp_{exchange.number}",
            "object": "response",
            "created_at": 0,
            "status": self.status,
            "error": self.error,
            "incomplete_details": None if self.reason is None else {"reason": self.reason},
            "model": exchange.model,
            "output": list(self.items),
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": self.usage,
        }

    def _events(self, response: dict[str, Any]) -> Iterator[dict[str, Any]]:
        begun = {**response, "status": "in_progress", "output": [], "usage": None}
        yield {"type": "response.created", "response": begun}
        yield {"type": "response.in_progress", "response": begun}
        for place, item in enumerate(self.items):
            here = {"output_index": place, "item_id": item["id"]}
            yield {"type": "response.output_item.added", "output_index": place, "item": item}
            yield from _pieces(item, here)
            yield {"type": "response.output_item.done", "output_index": place, "item": item}
        if self.ends:
            output = response["output"] if self.whole_output else []
            yield {"type": f"response.{self.status}", "response": {**response, "output": output}}


def _pieces(item: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for part in item.get("summary", ()):
        yield {"type": "response.reasoning_summary_text.delta", "summary_index": 0, "delta": part["text"], **here}
    for part in item.get("content", ()):
        kind = "output_text" if "text" in part else "refusal"
        text = part.get("text") or part["refusal"]
        yield {"type": "response.content_part.added", "content_index": 0, "part": part, **here}
        for start in range(0, len(text), 5):
            yield {
                "type": f"response.{kind}.delta",
                "content_index": 0,
                "delta": text[start : start + 5],
                "logprobs": [],
                **here,
            }
    if "arguments" in item:
        yield {"type": "response.function_call_arguments.delta", "delta": item["arguments"], **here}
