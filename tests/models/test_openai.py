"""`OpenAIModel` against a real server: what it sends and reads, and what it makes of all that goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from email.utils import formatdate
from time import time
from typing import Any

import anyio
import pytest

from contemplate import ImagePart, Message, ModelSettings
from contemplate.errors import (
    ConfigurationError,
    ModelAuthError,
    ModelConnectionError,
    ModelError,
    ModelRateLimitError,
    ModelRequestError,
    ModelResponseError,
    ModelServerError,
    ModelTimeoutError,
)
from contemplate.messages import ToolCall
from contemplate.models import Delta, ModelRequest, ModelResponse, OpenAIModel, OutputSchema, Retry, ToolSpec, resolve
from contemplate.models.openai import connections
from contemplate.testing import FaultyServer
from contemplate.testing.faulty import (
    FAULTS,
    BrokenBody,
    ChatAnswer,
    Exchange,
    HttpError,
    Page,
    RawBody,
    RawStream,
    Reply,
    Reset,
    Silence,
)

pytestmark = pytest.mark.anyio

KEY = "sk-secret-0123456789"


@pytest.fixture(params=["aiohttp", "httpx2"])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of sending; on trio it is httpx2 in any case."""
    if request.param == "httpx2":
        monkeypatch.setattr(connections, "aiohttp_fits", lambda: False)
    return str(request.param)


def asking(text: str = "hello", **more: Any) -> ModelRequest:
    return ModelRequest((Message.user(text),), **more)


async def ask(
    script: Any, request: ModelRequest | None = None, *, stream: bool = False
) -> tuple[ModelResponse, list[Delta], Exchange]:
    deltas: list[Delta] = []
    with FaultyServer(script) as server:
        model = OpenAIModel("m", base_url=server.url, api_key=KEY)
        response = await model.request(request or asking(), deltas.append if stream else None)
        exchange = server.exchanges[-1]
        assert server.wait_for(lambda: server.connections == 0)
    return response, deltas, exchange


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_is_read_whole(stream: bool, transport: str) -> None:
    answer = ChatAnswer("näïve ☃ answer", reasoning="let me think", cached_tokens=1)
    response, deltas, exchange = await ask(answer, stream=stream)
    assert response.message == Message.assistant("näïve ☃ answer")
    assert (response.reasoning, response.finish, response.model) == ("let me think", "stop", "m")
    assert response.usage.model_dump() == {
        "calls": 1,
        "input_tokens": 1,
        "cached_input_tokens": 1,
        "output_tokens": 4,
        "reasoning_tokens": 0,
        "cost_usd": None,
    }
    assert exchange.headers["authorization"] == f"Bearer {KEY}"
    if stream:
        assert "".join(delta.text for delta in deltas) == "näïve ☃ answer"
        assert "".join(delta.reasoning for delta in deltas) == "let me think"


@pytest.mark.parametrize("stream", [True, False])
async def test_tool_calls(stream: bool) -> None:
    answer = ChatAnswer("", tool_calls=[("add", '{"a": 1}'), ("mul", '{"b": 2}')], finish="tool_calls")
    request = asking(tools=(ToolSpec("add", "Adds.", {"type": "object"}),), tool_choice="required")
    response, _, exchange = await ask(answer, request, stream=stream)
    assert [(call.name, call.arguments) for call in response.message.tool_calls] == [
        ("add", '{"a": 1}'),
        ("mul", '{"b": 2}'),
    ]
    assert response.finish == "tool_calls"
    assert exchange.body["tool_choice"] == "required"
    assert exchange.body["tools"][0]["function"]["name"] == "add"


async def test_the_whole_conversation_is_sent() -> None:
    messages = (
        Message.system("rules"),
        Message.user("look", (ImagePart(data=b"\x89PNG\r\n\x1a\n", media_type="image/png"),)),
        Message.assistant("", (ToolCall(id="c1", name="add", arguments="{}"),)),
        Message.tool("c1", "5"),
    )
    _, _, exchange = await ask("ok", ModelRequest(messages))
    system, user, assistant, tool = exchange.messages
    assert system == {"role": "system", "content": "rules"}
    assert user["content"][0]["image_url"]["url"].startswith("data:image/png;base64,iVBOR")
    assert assistant["tool_calls"] == [{"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}]
    assert tool == {"role": "tool", "content": "5", "tool_call_id": "c1"}


async def test_settings_are_passed_through() -> None:
    settings = ModelSettings(
        temperature=0,
        top_p=0.5,
        max_tokens=9,
        seed=3,
        stop=("END",),
        reasoning_effort="low",
        logprobs=2,
        extra={"x": 1},
    )
    _, _, exchange = await ask("ok", asking(settings=settings))
    sent = {name: value for name, value in exchange.body.items() if name not in ("model", "messages")}
    assert sent == {
        "temperature": 0,
        "top_p": 0.5,
        "max_tokens": 9,
        "seed": 3,
        "stop": ["END"],
        "reasoning_effort": "low",
        "logprobs": True,
        "top_logprobs": 2,
        "x": 1,
    }


async def test_logprobs_and_images_are_read() -> None:
    token = {"token": "a", "logprob": -0.5, "top_logprobs": [{"token": "b", "logprob": -1.5}]}
    message = {"content": "a", "images": [{"image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]}
    choice = {"message": message, "finish_reason": "stop", "logprobs": {"content": [token]}}
    response, _, _ = await ask(RawBody(json.dumps({"choices": [choice]}).encode()))
    assert response.logprobs is not None
    assert (response.logprobs[0].logprob, response.logprobs[0].top) == (-0.5, {"b": -1.5})
    assert response.message.images[0].as_url() == "data:image/png;base64,iVBORw0KGgo="


async def test_a_schema_is_sent() -> None:
    _, _, exchange = await ask("{}", asking(output_schema=OutputSchema("plan", {"type": "object"})))
    assert exchange.schema == "plan"


async def test_usage_that_is_not_reported_is_estimated() -> None:
    response, _, _ = await ask(ChatAnswer("x" * 40, usage=False), stream=True)
    assert response.usage.output_tokens == 14
    assert response.usage.input_tokens > 0


async def test_a_server_that_does_not_stream_when_asked_to() -> None:
    body = json.dumps({"choices": [{"message": {"content": "all at once"}, "finish_reason": "stop"}]}).encode()
    response, deltas, _ = await ask(RawBody(body), stream=True)
    assert response.message.text == "all at once"
    assert deltas == [Delta("all at once")]


@pytest.mark.parametrize("name", ["one_byte_chunks", "huge", "no_usage"])
async def test_odd_but_right(name: str) -> None:
    response, deltas, _ = await ask(FAULTS[name], stream=True)
    assert response.finish == "stop"
    assert "".join(delta.text for delta in deltas) == response.message.text


async def test_carriage_returns_and_a_missing_end() -> None:
    chunk = json.dumps({"choices": [{"delta": {"content": "ok"}, "finish_reason": "stop"}]}).encode()
    response, _, _ = await ask(RawStream(b": hello\r\n\r\nevent: x\r\ndata:" + chunk, 3), stream=True)
    assert response.message.text == "ok"


FAILURES: list[tuple[Reply, type[ModelError], str]] = [
    (HttpError(401, f"Incorrect API key provided: {KEY}"), ModelAuthError, "check the API key"),
    (HttpError(403), ModelAuthError, "HTTP 403"),
    (HttpError(404, "no such model"), ModelRequestError, "serve this model"),
    (HttpError(400, "bad schema"), ModelRequestError, "bad schema"),
    (HttpError(429), ModelRateLimitError, "HTTP 429"),
    (HttpError(500), ModelServerError, "HTTP 500"),
    (HttpError(503), ModelServerError, "HTTP 503"),
    (Reset("head"), ModelConnectionError, "no connection|broke off"),
    (Page(), ModelResponseError, "not a chat completion"),
    (RawBody(b'{"choices": [{"message": '), ModelResponseError, "not a chat completion"),
    (RawBody(b'{"choices": [{"message": {"content": 42}}]}'), ModelResponseError, "choices.0.message.content"),
    (RawBody(b'{"choices": [{"message": {"content": "\xff"}}]}'), ModelResponseError, "not a chat completion"),
    (RawBody(b'{"error": {"message": "overloaded"}}'), ModelServerError, "overloaded"),
    (RawBody(b'{"choices": []}'), ModelConnectionError, "broke off"),
]
STREAM_FAILURES: list[tuple[Reply, type[ModelError], str]] = [
    (Reset("body"), ModelConnectionError, "no connection|broke off"),
    (BrokenBody(), ModelConnectionError, "broke off"),
    (RawStream(b"data: {oops}\n\n"), ModelResponseError, "not a chat completion"),
    (RawStream(b"data: \xff\xff\n\n"), ModelResponseError, "not a chat completion"),
    (RawStream(b'data: {"error": {"message": "overloaded"}}\n\n'), ModelServerError, "overloaded"),
]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("reply", "kind", "said"), FAILURES)
async def test_failures(reply: Reply, kind: type[ModelError], said: str, stream: bool, transport: str) -> None:
    with pytest.raises(kind, match=said) as caught:
        await ask(reply, stream=stream)
    assert type(caught.value) is kind
    assert caught.value.model == "openai:m"
    assert KEY not in f"{caught.value!r} {caught.value} {caught.value.hint}"


@pytest.mark.parametrize(("reply", "kind", "said"), STREAM_FAILURES)
async def test_streams_that_break(reply: Reply, kind: type[ModelError], said: str, transport: str) -> None:
    with pytest.raises(kind, match=said):
        await ask(reply, stream=True)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("reply", [Silence(), Silence(after_first_token=True), FAULTS["endless"]])
async def test_a_call_without_an_end_is_given_up(reply: Any, stream: bool, transport: str) -> None:
    with pytest.raises(ModelTimeoutError, match="no complete answer within 0.2 s"):
        await ask(reply, asking(settings=ModelSettings(timeout=0.2)), stream=stream)


async def test_nobody_is_there(transport: str) -> None:
    with pytest.raises(ModelConnectionError, match="is the server running"):
        await OpenAIModel("m", base_url="http://127.0.0.1:9/v1").request(asking())


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7000"}, 7000),
        ({"retry-after-ms": "7000000"}, 7000),
        ({"retry-after": "a date in ten hours"}, 36_000),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
async def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    # The date of now, not of when tests were collected.
    dated = {"a date in ten hours": formatdate(time() + 36_000, usegmt=True)}
    with pytest.raises(ModelRateLimitError) as caught:
        await ask(HttpError(429, headers={name: dated.get(value, value) for name, value in headers.items()}))
    assert caught.value.retry_after == (None if seconds is None else pytest.approx(seconds, abs=900))


async def test_cancelling_a_stream_closes_it(transport: str) -> None:
    with FaultyServer(lambda _: Silence(after_first_token=True)) as server:
        model = OpenAIModel("m", base_url=server.url, api_key=KEY)
        async with anyio.create_task_group() as group:
            first = anyio.Event()

            async def call() -> None:
                await model.request(asking(), lambda _: first.set())

            group.start_soon(call)
            await first.wait()
            group.cancel_scope.cancel()
        assert server.wait_for(lambda: server.exchanges[0].hung_up is not None)
        assert server.wait_for(lambda: server.connections == 0)


async def test_a_wave_of_calls_needs_no_more_connections_than_calls(transport: str) -> None:
    with FaultyServer("ok") as server:
        model = OpenAIModel("m", base_url=server.url, api_key=KEY)
        async with model.connect():
            for _ in range(3):
                async with anyio.create_task_group() as group:
                    for _ in range(50):
                        group.start_soon(model.request, asking())
        assert len(server.exchanges) == 150
        assert server.accepted <= 50
        assert server.wait_for(lambda: server.connections == 0)


def test_a_key_goes_only_where_it_belongs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    elsewhere = OpenAIModel("m", base_url="http://127.0.0.1:9/v1")
    assert KEY not in str(vars(elsewhere))
    assert KEY not in repr(OpenAIModel("m"))
    assert KEY not in repr(vars(OpenAIModel("m")))


@pytest.mark.parametrize(
    "url", ["localhost:8000", "http://h:port/v1", "http://h:99999/v1", "http:///v1", "http://[::1/v1"]
)
def test_what_is_not_a_url(url: str) -> None:
    with pytest.raises(ConfigurationError, match="not the URL"):
        OpenAIModel("m", base_url=url)


async def test_what_only_turns_out_not_to_be_a_url() -> None:
    with pytest.raises(ConfigurationError, match="not the URL"):
        await OpenAIModel("m", base_url="http://127.0.0.1/v1\x7f").request(asking())


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (f"{KEY}\n", "line break"),
        (f"{KEY}\r\nX-Other: 1", "line break"),
        (f"{KEY}é", "not ASCII"),
        (KEY.encode(), "of type bytes"),
        (5, "of type int"),
    ],
)
def test_a_key_that_can_be_in_no_header(key: Any, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        OpenAIModel("m", base_url="http://127.0.0.1:9/v1", api_key=key)
    assert KEY not in str(caught.value)
    if isinstance(key, str):
        monkeypatch.setenv("CONTEMPLATE_API_KEY", key)
        monkeypatch.setenv("OPENAI_API_KEY", key)
        for name in ("http://127.0.0.1:9/v1#m", "openai:m"):
            with pytest.raises(ConfigurationError, match=said):
                resolve(name)


# Retries


def script_of(*replies: Reply | str) -> Callable[[Exchange], Reply | str]:
    return lambda exchange: replies[exchange.number]


@pytest.mark.parametrize(
    "fault",
    [
        HttpError(429, headers={"retry-after": "0"}),
        HttpError(408),
        HttpError(409),
        HttpError(502),
        Reset("head"),
        BrokenBody(),
    ],
)
async def test_what_may_pass_is_tried_again(fault: Reply) -> None:
    with FaultyServer(script_of(fault, "at last")) as server:
        model = Retry(OpenAIModel("m", base_url=server.url, api_key=KEY))
        deltas: list[Delta] = []
        response = await model.request(asking(), deltas.append)
        assert response.message.text == "at last"
        assert len(server.exchanges) == 2
    heard = ""
    for delta in deltas:
        heard = delta.text if delta.restart else heard + delta.text
    assert heard == "at last"


@pytest.mark.parametrize(
    "fault", [HttpError(400), HttpError(401), HttpError(404), HttpError(429, headers={"retry-after": "999"})]
)
async def test_what_will_not_pass_is_not_tried_again(fault: Reply) -> None:
    with FaultyServer(fault) as server, pytest.raises(ModelError):
        await Retry(OpenAIModel("m", base_url=server.url, api_key=KEY)).request(asking())
    assert len(server.exchanges) == 1


async def test_attempts_end() -> None:
    with FaultyServer(HttpError(503, headers={"retry-after": "0"})) as server, pytest.raises(ModelServerError):
        await Retry(OpenAIModel("m", base_url=server.url, api_key=KEY), attempts=2).request(asking())
    assert len(server.exchanges) == 2


def test_no_attempts() -> None:
    with pytest.raises(ConfigurationError, match="attempts=0"):
        Retry(OpenAIModel("m", base_url="http://127.0.0.1:9/v1"), attempts=0)
