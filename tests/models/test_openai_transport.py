"""The way of a request: what the `openai` package says of it, and what it meets."""

from __future__ import annotations

import asyncio
import gzip
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
import anyio
import httpx2
import openai
import pytest
from pydantic_core import to_json

from contemplate import Message
from contemplate.errors import ModelConnectionError, ModelRateLimitError, ModelRequestError
from contemplate.models import Delta, ModelRequest, OpenAIModel
from contemplate.models.openai import aiohttp_transport, connections, httpx_transport
from contemplate.models.openai.account import Account
from contemplate.models.openai.address import address_of
from contemplate.testing import FaultyServer
from contemplate.testing.faulty import ChatAnswer, Exchange, HttpError, RawBody
from contemplate.testing.faulty.http import HttpConnection

pytestmark = pytest.mark.anyio

KEY = "sk-secret-0123456789"
# Those of the connection, and two that the package adds to tell its own attempts apart.
OF_EACH = {"host", "connection", "accept-encoding", "content-length", "x-stainless-retry-count", "x-stainless-timeout"}
ASKING = ModelRequest((Message.user("hello"),))


@pytest.fixture(params=["aiohttp", "httpx2"])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "httpx2":
        monkeypatch.setattr(connections, "aiohttp_fits", lambda: False)
    return str(request.param)


async def ask(url: str, *, stream: bool = False) -> str:
    said: list[Delta] = []
    model = OpenAIModel("m", base_url=url, api_key=KEY)
    return (await model.request(ASKING, said.append if stream else None)).message.text


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_requests_have_the_headers_of_the_package(transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-1")
    with FaultyServer() as server:
        await ask(server.url)
        async with openai.AsyncOpenAI(api_key=KEY, base_url=server.url) as client:
            await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hello"}])
        ours, theirs = (_without(exchange.headers) for exchange in server.exchanges)
    assert ours == theirs
    assert (ours["openai-organization"], ours["openai-project"]) == ("org-1", "project-1")


def _without(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in OF_EACH and "timeout" not in name}


def test_a_base_url_keeps_its_query() -> None:
    account = Account("http://localhost:1/openai/v1?api-version=preview", KEY)
    assert address_of(account).url == "http://localhost:1/openai/v1/chat/completions?api-version=preview"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("status", [307, 308])
async def test_redirects_are_followed(status: int, stream: bool, transport: str) -> None:
    with FaultyServer("from elsewhere") as there:
        moved = HttpError(status, headers={"location": f"{there.url}/chat/completions"})
        with FaultyServer(moved) as here:
            assert await ask(here.url, stream=stream) == "from elsewhere"
        (exchange,) = there.exchanges
    assert exchange.prompt == "hello"
    # Another host, and so none of its business.
    assert KEY not in exchange.headers.get("authorization", "")


@dataclass(frozen=True)
class Packed:
    """An answer as some proxies send it."""

    async def send(self, connection: HttpConnection, exchange: Exchange) -> None:
        whole = gzip.compress(to_json(ChatAnswer("unpacked").completion(exchange)))
        await connection.whole(whole, 200, {"content-type": "application/json", "content-encoding": "gzip"})


@pytest.mark.parametrize("stream", [True, False])
async def test_packed_responses_are_unpacked(stream: bool, transport: str) -> None:
    with FaultyServer(Packed()) as server:
        assert await ask(server.url, stream=stream) == "unpacked"


async def test_proxies_are_used(transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultyServer() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.removesuffix("/v1"))
        # This server is no proxy; it says that it was asked as one is.
        with pytest.raises(ModelRequestError, match="there is no POST http://models.example/v1/chat/completions"):
            await ask("http://models.example/v1")


async def test_an_error_tells_its_cause(transport: str) -> None:
    limited = HttpError(429, "slow down", headers={"retry-after": "3"})
    with FaultyServer(limited) as server, pytest.raises(ModelRateLimitError, match="HTTP 429: slow down") as caught:
        await ask(server.url)
    assert caught.value.retry_after == 3
    # A status has no error behind it, and what the server said may hold secrets.
    assert caught.value.__cause__ is None
    with pytest.raises(ModelConnectionError, match="no connection to http://127.0.0.1") as lost:
        await ask(server.url)
    assert isinstance(lost.value.__cause__, aiohttp.ClientConnectorError | httpx2.ConnectError)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": {"message": "no such model", "type": "x"}}', "HTTP 400: no such model"),
        (b'{"object": "error", "message": "no such model", "code": 400}', "HTTP 400: no such model"),
        (b'{"error": "no such model"}', "HTTP 400: no such model"),
        (b'{"detail": "no such model"}', "HTTP 400: no such model"),
        (b'{"detail": [{"loc": ["body"]}]}', "HTTP 400: Bad Request"),
        (b"[1]", "HTTP 400: Bad Request"),
        (b"<html>", "HTTP 400: Bad Request"),
        (b"\xff\xfe", "HTTP 400: Bad Request"),
        (b"", "HTTP 400: Bad Request"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_what_servers_say_of_an_error_is_passed_on(body: bytes, said: str, stream: bool, transport: str) -> None:
    with FaultyServer(RawBody(body, status=400)) as server, pytest.raises(ModelRequestError, match=said):
        await ask(server.url, stream=stream)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_connection_that_was_read_to_its_end_is_used_again(stream: bool, transport: str) -> None:
    with FaultyServer("ok") as server:
        model = OpenAIModel("m", base_url=server.url, api_key=KEY)
        async with model.connect():
            for _ in range(3):
                await model.request(ASKING, (lambda _: None) if stream else None)
        assert server.accepted == 1
        assert server.wait_for(lambda: server.connections == 0)


async def test_one_that_was_idle_for_long_is_not(transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (aiohttp_transport, httpx_transport):
        monkeypatch.setattr(module, "IDLE_SECONDS", 0.05)
    with FaultyServer("ok") as server:
        model = OpenAIModel("m", base_url=server.url, api_key=KEY)
        async with model.connect():
            await model.request(ASKING)
            await anyio.sleep(0.1)
            await model.request(ASKING)
        assert server.accepted == 2
        assert server.wait_for(lambda: server.connections == 0)


@dataclass(frozen=True)
class EndWithoutEnd:
    """A stream that says that it is done, and then breaks off within its body."""

    async def send(self, wire: HttpConnection, exchange: Exchange) -> None:
        chunk = b'data: {"choices": [{"delta": {"content": "paid for"}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
        await wire.head(200, {"content-type": "text/event-stream", "content-length": str(len(chunk) + 10)})
        await wire.raw(chunk)
        await asyncio.sleep(0.02)
        wire.close()


async def test_an_answer_that_is_whole_outlives_its_connection(transport: str) -> None:
    with FaultyServer(EndWithoutEnd()) as server:
        assert await ask(server.url, stream=True) == "paid for"


async def test_what_a_listener_raises_is_its_own(transport: str) -> None:
    def broken(delta: Delta) -> None:
        raise BrokenPipeError("nobody reads")

    with FaultyServer("ok") as server:
        with pytest.raises(BrokenPipeError, match="nobody reads"):
            await OpenAIModel("m", base_url=server.url, api_key=KEY).request(ASKING, broken)
        assert server.wait_for(lambda: server.connections == 0)


WITH_FEW_FILES = """
import resource, sys
import anyio
from contemplate import Message
from contemplate.models import ModelRequest, OpenAIModel
from contemplate.models.openai import connections

resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
if sys.argv[2] == "httpx2":
    connections.aiohttp_fits = lambda: False


async def main():
    model = OpenAIModel("m", base_url=sys.argv[1])
    async with model.connect(), anyio.create_task_group() as group:
        for _ in range(300):
            group.start_soon(model.request, ModelRequest((Message.user("hello"),)))


anyio.run(main)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="knows no such limit")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_more_calls_than_open_files_wait(transport: str) -> None:
    with FaultyServer() as server:
        command = [sys.executable, "-c", WITH_FEW_FILES, server.url, transport]
        done = await anyio.run_process(command, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
        assert len(server.exchanges) == 300
        assert server.accepted <= 128
