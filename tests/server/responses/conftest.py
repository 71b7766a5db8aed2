"""Clients of the Responses API, and a strict reader of what it sends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

import httpx2
import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import Discriminator, TypeAdapter

from contemplate import Contemplator
from contemplate.models import ModelRequest

from ...patience import PATIENCE
from ..conftest import Minds, Serve

PLAN = '{"tasks":[{"title":"Cost","prompt":"cost?","needs":[]},{"title":"Risk","prompt":"risk?","needs":[1]}]}'
MERGED = "Because rivers carry salt into it, and only water leaves it again."

Event = dict[str, Any]


@cache
def reader_of(union: Any) -> TypeAdapter[Any]:
    """What reads events of the API; by their type, as otherwise each of the fifty kinds is tried for each event."""
    return TypeAdapter(Annotated[union, Discriminator("type")])


@cache
def _responses() -> TypeAdapter[Any]:
    return TypeAdapter(Response)


def expert(request: ModelRequest) -> str:
    """Plans two tasks, answers each, merges them."""
    if request.output_schema is not None:
        return PLAN
    return MERGED if "Now answer the whole question" in request.messages[-1].text else "A finding."


def instant(model: Any, **options: Any) -> Minds:
    return {"m": Contemplator(model, mode="instant", **options)}


@dataclass
class Raw:
    """The API without a client between: what is sent is checked against OpenAI's own types, strictly."""

    url: str

    def post(self, **body: Any) -> Any:
        sent = httpx2.post(f"{self.url}/v1/responses", json={"model": "m", "input": "Why?"} | body, timeout=PATIENCE)
        assert sent.status_code == 200, sent.text
        _responses().validate_json(sent.content, strict=True)
        return sent.json()

    def refused(self, **body: Any) -> Any:
        sent = httpx2.post(f"{self.url}/v1/responses", json={"model": "m", "input": "Why?"} | body, timeout=PATIENCE)
        assert sent.status_code >= 400, sent.text
        return sent.json()["error"] | {"status": sent.status_code}

    def stream(self, **body: Any) -> list[Event]:
        given = {"model": "m", "input": "Why?", "stream": True} | body
        sent = httpx2.post(f"{self.url}/v1/responses", json=given, timeout=PATIENCE)
        assert sent.status_code == 200, sent.text
        assert sent.headers["content-type"].startswith("text/event-stream")
        return events_of(sent.text)


def events_of(text: str) -> list[Event]:
    """Read a stream, whose events are as they should be, and which is whole."""
    *frames, done, rest = text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    found: list[Event] = []
    for frame in frames:
        name, data = frame.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        reader_of(ResponseStreamEvent).validate_json(data.removeprefix("data: "), strict=True)
        found.append(event)
    assert found[0]["type"] == "response.created"
    assert [each["sequence_number"] for each in found] == list(range(len(found)))
    return found


def types(events: list[Event]) -> list[str]:
    """The types of events, each run of equal ones as one."""
    short = [each["type"].removeprefix("response.") for each in events]
    return [each for place, each in enumerate(short) if place == 0 or short[place - 1] != each]


def text_of(response: Any) -> str:
    return "".join(part["text"] for item in response["output"] if item["type"] == "message" for part in item["content"])


@pytest.fixture
def raw(serve: Serve) -> Any:
    return lambda minds: Raw(serve(minds))


@pytest.fixture
def client(serve: Serve) -> Iterator[Any]:
    """Makes a client of contemplators."""
    clients: list[openai.OpenAI] = []

    def connect(minds: Minds) -> openai.OpenAI:
        made = openai.OpenAI(base_url=f"{serve(minds)}/v1", api_key="none", timeout=PATIENCE, max_retries=0)
        clients.append(made)
        return made

    yield connect
    for each in clients:
        each.close()
