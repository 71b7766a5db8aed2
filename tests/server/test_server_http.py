"""What a client sees that is not the official one: statuses, headers, the bytes of a stream."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from contemplate import Contemplator
from contemplate.errors import ConfigurationError, MissingDependencyError
from contemplate.models import DeltaSink, ModelRequest, ModelResponse
from contemplate.server import ServerSettings, create_app
from contemplate.server.chat import replies
from contemplate.testing import ScriptedModel

from .conftest import Minds, Serve, serving

QUESTION = {"model": "m", "messages": [{"role": "user", "content": "Why?"}]}
CHAT = "/v1/chat/completions"


@pytest.fixture
def http(serve: Serve) -> Iterator[httpx2.Client]:
    """A client of one contemplator, that says "Yes."."""
    with httpx2.Client(base_url=serve(saying("Yes."))) as client:
        yield client


def saying(text: str) -> Minds:
    return {"m": Contemplator(ScriptedModel(text), mode="instant")}


def error(response: httpx2.Response) -> dict[str, Any]:
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    found: dict[str, Any] = body["error"]
    return found


def test_it_is_well(http: httpx2.Client) -> None:
    response = http.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_the_bytes_of_a_stream(http: httpx2.Client) -> None:
    response = http.post(CHAT, json={**QUESTION, "stream": True})
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    *events, done, rest = response.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    chunks = [json.loads(event.removeprefix("data: ")) for event in events]
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": ""},
        {"content": "Yes."},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, "stop"]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert all("usage" not in chunk for chunk in chunks)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"model": "m"}'])
def test_a_body_that_is_no_request(http: httpx2.Client, body: bytes) -> None:
    response = http.post(CHAT, content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert error(response)["type"] == "invalid_request_error"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_only_json_is_taken(http: httpx2.Client, kind: str) -> None:
    response = http.post(CHAT, content=json.dumps(QUESTION), headers={"content-type": kind})
    assert response.status_code == 415
    assert "application/json" in error(response)["message"]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large(http: httpx2.Client, chunked: bool) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(33):
            yield b" " * 1024 * 1024

    body = pieces() if chunked else b"".join(pieces())
    response = http.post(CHAT, content=body, headers={"content-type": "application/json"})
    assert response.status_code == 413
    assert error(response)["code"] == "request_too_large"
    assert http.post(CHAT, json=QUESTION).status_code == 200


def test_paths_and_methods_that_are_not_there(http: httpx2.Client) -> None:
    missing = http.post("/v1/embeddings", json={})
    assert (missing.status_code, error(missing)["message"]) == (404, "POST /v1/embeddings: Not Found")
    wrong = http.get(CHAT)
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert error(wrong)["message"] == f"GET {CHAT}: Method Not Allowed"


def test_a_long_silence_is_filled_with_chunks_that_say_nothing(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "KEEP_ALIVE_SECONDS", 0.05)
    heard = threading.Event()

    class Slow:
        name = "slow"

        async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
            import anyio.to_thread

            assert await anyio.to_thread.run_sync(heard.wait, 20.0)
            return await ScriptedModel("Yes.").request(request, on_delta)

    url = serve({"m": Contemplator(Slow(), mode="instant")})
    lines = []
    with httpx2.stream("POST", url + CHAT, json={**QUESTION, "stream": True}) as response:
        for line in response.iter_lines():
            lines.append(line)
            if sum('"delta":{}' in each for each in lines) == 2:
                heard.set()
    assert lines[0].startswith('data: {"id":"chatcmpl-')
    assert lines[-2:] == ["data: [DONE]", ""]


def test_connections_are_kept_from_run_to_run_while_the_application_lives() -> None:
    opened: list[bool] = []

    class Connected(Contemplator[str]):
        async def __aenter__(self) -> Connected:
            opened.append(True)
            return await super().__aenter__()

        async def __aexit__(self, *error: object) -> None:
            opened.append(False)
            await super().__aexit__(*error)

    mind = Connected(ScriptedModel("Yes."), mode="instant")
    with serving({"a": mind, "b": mind}) as url:
        assert httpx2.post(url + CHAT, json={**QUESTION, "model": "b"}).status_code == 200
        assert opened == [True]
    assert opened == [True, False]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("host", "status"), [("localhost:8400", 200), ("[::1]:8400", 200), ("127.0.0.1", 400), ("rebound.example.org", 400)]
)
async def test_an_application_may_be_asked_by_known_names_only(host: str, status: int) -> None:
    app = create_app(saying("Yes."), ServerSettings(allowed_hosts=("localhost", "[::1]")))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=f"http://{host}") as client:
        assert (await client.get("/healthz")).status_code == status


def test_there_must_be_something_to_serve() -> None:
    with pytest.raises(ConfigurationError, match="nothing to serve"):
        create_app({})


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from contemplate import server

    for module in ("uvicorn_server", "announced_server"):
        monkeypatch.delitem(sys.modules, f"contemplate.server.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingDependencyError, match=r"contemplate-ai\[server\]"):
        _ = server.serve
