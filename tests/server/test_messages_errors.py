"""Errors of Anthropic's Messages: in its form, before and in the middle of a stream."""

from __future__ import annotations

import threading
from typing import Any

import anyio
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contemplate import Contemplator
from contemplate.errors import ModelAuthError, ModelRateLimitError
from contemplate.models import Delta, DeltaSink, ModelRequest, ModelResponse
from contemplate.modes import Mode
from contemplate.server.api_errors import Failure, server_error
from contemplate.server.messages.errors import ErrorBody
from contemplate.testing import ScriptedModel

from ..patience import PATIENCE
from .conftest import Serve
from .messages_client import error_of, events_of, post, texts
from .test_server_clients import StepByStep, instant

BODY: dict[str, Any] = {"model": "m", "max_tokens": 500, "messages": [{"role": "user", "content": "Why?"}]}


def said(*blocks: Any, role: str = "user") -> dict[str, Any]:
    return {"messages": [{"role": role, "content": list(blocks)}]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"messages": []}, "messages: "),
        ({"max_tokens": 0}, "max_tokens: "),
        ({"stream": "perhaps"}, "stream: "),
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, "messages: none has the role user"),
        ({"messages": [{"role": "tool", "content": "Hi"}]}, "messages[0].role: "),
        (said(), "messages: the last user message is empty"),
        (said({"type": "text", "text": " "}), "messages: the last user message is empty"),
        (said({"type": "text"}), "messages[0].content[0]: a block of type text needs a text in its field text"),
        (said("Hi"), "messages[0].content[0]: a block must be an object with a type"),
        (
            said({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="}}),
            "messages[0].content[0]: blocks of type document are not supported: send its text",
        ),
        (said({"type": "image", "source": {"type": "file", "file_id": "f"}}), "images from the Files API"),
        (said({"type": "image", "source": {"type": "base64"}}), "messages[0].content[0]: an image needs a source"),
        (
            said({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}),
            "source: its data is not an image",
        ),
        (said({"type": "tool_result", "tool_use_id": "t"}), "messages: history[0] is the result of a tool call 't'"),
        (said({"type": "tool_use", "id": "t", "name": "f", "input": {}}), "only messages of the role assistant hold"),
        ({"tools": [{"name": "f", "input_schema": {"type": "array"}}]}, "tools[0]: "),
        ({"tools": [{"name": "a b", "input_schema": {}}]}, "tools[0]: 'a b' cannot be the name of a tool"),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema: "),
        ({"tool_choice": {"type": "tool"}}, "tool_choice: the type tool needs a name"),
        ({"tool_choice": {"type": "any"}}, "tool_choice: required, but the tools are: none"),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {"type": 1}}}},
            "output_config.format.schema: it is no JSON schema",
        ),
    ],
)
def test_a_request_that_is_none_is_refused_by_its_field(serve: Serve, change: dict[str, Any], words: str) -> None:
    model = ScriptedModel("Yes.")
    response = post(serve(instant(model)), BODY | change)
    error = error_of(response)
    assert (response.status_code, error.error.type) == (400, "invalid_request_error")
    assert words in error.error.message
    assert model.requests == []


def test_what_a_request_may_be_refused_for_before_it_is_read(serve: Serve) -> None:
    url = serve(instant(ScriptedModel("Yes.")))
    for response, status, kind in (
        (httpx2.post(f"{url}/v1/messages", content=b"{", headers={"content-type": "application/json"}), 400, None),
        (httpx2.post(f"{url}/v1/messages", content=b"x", headers={"content-type": "text/plain"}), 415, None),
        (httpx2.get(f"{url}/v1/messages"), 405, None),
        (httpx2.get(f"{url}/v1/messages/batches"), 404, "not_found_error"),
        (post(url, BODY | {"model": "x"}), 404, "not_found_error"),
        (post(url, BODY | {"model": "x"}, "/v1/messages/count_tokens"), 404, "not_found_error"),
        (post(url, BODY | {"system": "x" * (33 << 20)}), 413, "request_too_large"),
    ):
        assert response.status_code == status
        assert response.json()["error"]["type"] == kind or kind is None
        assert response.json()["request_id"] == response.headers["request-id"]


@pytest.mark.parametrize("mode", ["instant", "thinking", "contemplating"])
@pytest.mark.parametrize("more", [{}, {"stream": True}, {"stream": True, "thinking": {"type": "adaptive"}}])
def test_an_upstreams_refusal_is_told_with_its_status(serve: Serve, mode: Mode, more: dict[str, Any]) -> None:
    slow = StepByStep([], ModelRateLimitError("slow down", model="x", status=429, retry_after=7.0))
    response = post(serve({"m": Contemplator(slow, mode=mode)}), BODY | more)
    assert (response.status_code, error_of(response).error.type) == (429, "rate_limit_error")
    assert (response.headers["retry-after"], response.headers["x-should-retry"]) == ("7", "false")
    locked = StepByStep([], ModelAuthError("no", model="x", status=401))
    response = post(serve({"m": Contemplator(locked, mode=mode)}), BODY | more)
    # The client's own key is not at fault.
    assert (response.status_code, error_of(response).error.type) == (502, "api_error")


def test_thoughts_are_told_where_nothing_follows(serve: Serve) -> None:
    told = threading.Event()
    url = serve(instant(StepByStep([Delta(reasoning="Hmm."), told, "Rivers."])))
    body = BODY | {"stream": True, "thinking": {"type": "adaptive"}}
    with httpx2.stream("POST", f"{url}/v1/messages", json=body, timeout=PATIENCE) as response:
        for line in response.iter_lines():
            if "Hmm." in line:
                told.set()
    assert told.is_set()


def test_an_error_in_mid_stream_is_the_last_event(serve: Serve) -> None:
    import anthropic

    url = serve(instant(StepByStep(["Rivers ", "bring "], ModelAuthError("the key is gone", model="x"))))
    *events, last = events_of(post(url, BODY | {"stream": True}))
    assert texts(events).startswith("Rivers ")
    assert last.error.type == "api_error"
    assert last.request_id.startswith("req_")
    with (
        anthropic.Anthropic(base_url=url, api_key="none", timeout=PATIENCE) as api,
        pytest.raises(anthropic.APIStatusError, match="the key is gone"),
        api.messages.stream(**BODY) as stream,
    ):
        stream.get_final_message()


def test_an_answer_that_begins_anew_ends_with_an_error(serve: Serve) -> None:
    url = serve(instant(StepByStep(["Rivers", Delta(restart=True), "Volcanoes"])))
    *events, last = events_of(post(url, BODY | {"stream": True}))
    assert texts(events) == "Rivers"
    assert last.error.details == {"error_code": "answer_restarted"}


def test_the_official_client_does_not_pay_for_a_failed_run_again(serve: Serve) -> None:
    import anthropic

    model = StepByStep([], ModelAuthError("no", model="x", status=401))
    url = serve(instant(model))
    with (
        anthropic.Anthropic(base_url=url, api_key="none", timeout=PATIENCE) as api,
        pytest.raises(anthropic.InternalServerError) as caught,
    ):
        api.messages.create(**BODY)
    assert len(model.requests) == 1
    assert caught.value.request_id is not None


def test_threads_are_refused_so_that_the_official_client_does_without(serve: Serve) -> None:
    response = post(serve(instant(ScriptedModel("Yes."))), BODY | {"thread": {"type": "create"}})
    assert error_of(response).error.type == "invalid_request_error"
    assert response.json()["error"]["details"] == {"error_code": "thread_unsupported_request"}


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_takes_its_run_with_it(serve: Serve, stream: bool) -> None:
    asked, gone = threading.Event(), threading.Event()

    class Endless:
        name = "endless"

        async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
            asked.set()
            try:
                await anyio.sleep_forever()
            finally:
                gone.set()
            raise AssertionError

    url = serve(instant(Endless()))

    async def leave() -> None:
        async with httpx2.AsyncClient(timeout=PATIENCE) as client, anyio.create_task_group() as group:
            group.start_soon(lambda: client.post(f"{url}/v1/messages", json=BODY | {"stream": stream}))
            await anyio.to_thread.run_sync(asked.wait, PATIENCE)
            group.cancel_scope.cancel()

    anyio.run(leave)
    assert gone.wait(PATIENCE)


@given(status=st.integers(400, 599), retry=st.sampled_from(["true", "false", None]))
def test_every_status_has_a_type(status: int, retry: str | None) -> None:
    headers = {} if retry is None else {"x-should-retry": retry}
    error = ErrorBody.of(Failure(status, "why", "x", headers=headers), "req_1").error
    assert error.type.endswith("_error") or status == 413
    assert (error.type == "invalid_request_error") <= (status < 500)


def test_an_overload_is_one_only_where_it_helps_to_wait() -> None:
    busy = Failure(503, "why", "x", headers={"retry-after": "5"})
    assert ErrorBody.of(busy, "req_1").error.type == "overloaded_error"
    assert ErrorBody.of(server_error("why", status=503, code="x"), "req_1").error.type == "api_error"
