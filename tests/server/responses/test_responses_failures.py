"""Errors, before and in a stream: what a client makes again, and what not."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from contemplate.errors import ModelRateLimitError, ModelRequestError, ModelServerError
from contemplate.server.responses import replies
from contemplate.testing import ScriptedModel

from ...patience import PATIENCE
from ..test_server_clients import StepByStep
from .conftest import events_of, instant, types


def test_an_upstream_that_refuses_the_request_refuses_ours(client: Any) -> None:
    api = client(instant(ScriptedModel(lambda _: _raise(ModelRequestError("too odd", model="x", status=400)))))
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError):
            api.responses.create(model="m", input="Why?", stream=stream)


def test_a_slow_down_stays_one(client: Any) -> None:
    api = client(instant(ScriptedModel(lambda _: _raise(ModelRateLimitError("slow down", model="x", retry_after=7.0)))))
    for stream in (False, True):
        with pytest.raises(openai.RateLimitError) as caught:
            api.responses.create(model="m", input="Why?", stream=stream)
        assert caught.value.response.headers["retry-after"] == "7"


def test_a_server_error_is_told_in_the_stream_and_not_as_one_that_clients_repeat(raw: Any) -> None:
    events = raw(instant(ScriptedModel(lambda _: _raise(ModelServerError("it fell over", model="x"))))).stream()
    assert types(events) == ["created", "in_progress", "failed"]
    final = events[-1]["response"]
    assert (final["status"], final["error"]["code"]) == ("failed", "invalid_prompt")
    assert "it fell over" in final["error"]["message"]
    assert final["metadata"]["contemplate:error"]


def test_a_whole_answer_that_fails_has_a_status(raw: Any) -> None:
    error = raw(instant(ScriptedModel(lambda _: _raise(ModelServerError("it fell over", model="x"))))).refused()
    assert error["status"] == 502


def test_a_failure_in_mid_stream_ends_what_was_begun(client: Any) -> None:
    model = StepByStep(["The beginning ", "of it"], error=ModelServerError("it fell over", model="x"))
    api = client(instant(model, stream=True))
    with api.responses.stream(model="m", input="Why?") as stream:
        told = list(stream)
    assert told[-1].type == "response.failed"
    assert [each.type for each in told].count("response.output_item.done") == 1
    kept = api.responses.retrieve(told[-1].response.id)
    assert (kept.status, kept.output[0].status) == ("failed", "incomplete")


def test_silence_is_filled_with_events(raw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    import httpx2

    monkeypatch.setattr(replies, "KEEP_ALIVE_SECONDS", 0.01)
    monkeypatch.setattr(replies, "HOLD_SECONDS", 0.01)
    gate = threading.Event()
    api = raw(instant(StepByStep([gate, "late"]), stream=True))
    body = {"model": "m", "input": "Why?", "stream": True}
    text = ""
    with httpx2.stream("POST", f"{api.url}/v1/responses", json=body, timeout=PATIENCE) as sent:
        for piece in sent.iter_text():
            text += piece
            if text.count("event: response.in_progress") >= 4:
                gate.set()
    events = events_of(text)
    assert types(events)[:2] == ["created", "in_progress"]
    assert types(events)[-1] == "completed"


def _raise(error: Exception) -> str:
    raise error
