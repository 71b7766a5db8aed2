"""Anthropic's Messages over plain HTTP: bodies and events, validated strictly against the types of Anthropic's SDK."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import httpx2
from pydantic import BaseModel, TypeAdapter

from ..patience import PATIENCE

# What takes 2 s to import is imported by who runs these tests; see conftest.py.
if TYPE_CHECKING:
    from anthropic.types import Message
    from anthropic.types.shared import ErrorResponse

HEADERS = {"anthropic-version": "2023-06-01", "x-api-key": "none"}
# What is added to the API on purpose.
ADDED = {"contemplate"}

Body = Mapping[str, Any]


@cache
def _events() -> TypeAdapter[Any]:
    from anthropic.types import RawMessageStreamEvent

    return TypeAdapter(RawMessageStreamEvent)


def post(url: str, body: Body, path: str = "/v1/messages") -> httpx2.Response:
    return httpx2.post(f"{url}{path}", json=body, headers=HEADERS, timeout=PATIENCE)


def message_of(response: httpx2.Response) -> Message:
    """The message of a whole reply."""
    from anthropic.types import Message

    assert response.status_code == 200, response.text
    assert response.headers["request-id"].startswith("req_")
    message = Message.model_validate_json(response.content, strict=True)
    check_known(message)
    return message


def error_of(response: httpx2.Response) -> ErrorResponse:
    """The error of a refused request."""
    from anthropic.types.shared import ErrorResponse

    assert response.status_code >= 400
    error = ErrorResponse.model_validate_json(response.content, strict=True)
    assert error.request_id == response.headers["request-id"]
    return error


def events_of(response: httpx2.Response) -> list[Any]:
    """The events of a stream, in the order that the API promises; an error comes last."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    events = [_event(name, data) for name, data in _frames(response.text)]
    check_order([each for each in events if each.type != "error"], failed=events[-1].type == "error")
    return events


def check_order(events: list[Any], *, failed: bool = False) -> None:
    kinds = [each.type for each in events]
    assert kinds[0] == "message_start"
    assert events[0].message.content == []
    assert events[0].message.usage.input_tokens > 0
    if not failed:
        assert kinds[-2:] == ["message_delta", "message_stop"]
    index, block = -1, None
    for each in events[1:] if failed else events[1:-2]:
        if each.type == "content_block_start":
            assert (block, each.index) == (None, index + 1)
            index, block = each.index, each.content_block.type
        elif each.type == "content_block_delta":
            assert each.index == index
            wanted = {"text_delta": "text", "input_json_delta": "tool_use"}.get(each.delta.type, "thinking")
            assert wanted == block
        else:
            assert each.type == "content_block_stop"
            assert (each.index, block is not None) == (index, True)
            block = None
    assert failed or block is None


def check_known(value: Any) -> None:
    """Assert that nothing is in `value` of which the types know nothing."""
    if isinstance(value, BaseModel):
        assert set(value.model_extra or {}) <= ADDED, value
        for name in value.model_fields_set - ADDED:
            check_known(getattr(value, name))
    elif isinstance(value, list):
        for each in value:
            check_known(each)


def _frames(text: str) -> Iterator[tuple[str, str]]:
    for frame in text.removesuffix("\n\n").split("\n\n"):
        name, data = frame.split("\n")
        yield name.removeprefix("event: "), data.removeprefix("data: ")


def _event(name: str, data: str) -> Any:
    assert json.loads(data)["type"] == name
    if name == "error":
        from anthropic.types.shared import ErrorResponse

        return ErrorResponse.model_validate_json(data, strict=True)
    event = _events().validate_json(data, strict=True)
    check_known(event)
    return event


def texts(events: list[Any], kind: str = "text") -> str:
    """What the deltas of a kind add up to."""
    deltas = [each.delta for each in events if each.type == "content_block_delta"]
    return "".join(getattr(each, kind) for each in deltas if each.type == f"{kind}_delta")
