"""The way of a request: what the `openai` package says of it, and what it meets."""

from __future__ import annotations

import asyncio
import gzip
import os
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import aiohttp
import anyio
import anyio.to_thread
import httpx2
import openai
import pytest
from pydantic_core import to_json

from contemplate import Message
from contemplate.errors import (
    ConfigurationError,
    ModelAuthError,
    ModelConnectionError,
    ModelRateLimitError,
    ModelRequestError,
)
from contemplate.models import Delta, ModelRequest, OpenAIModel, proxies
from contemplate.models.openai import aiohttp_transport, connections, httpx_transport
from contemplate.models.openai.address import address_of
from contemplate.models.openai.endpoint import Endpoint
from contemplate.models.openai.httpx_transport import _close
from contemplate.models.proxies import proxy_for
from contemplate.testing import FaultyServer
from contemplate.testing.faulty import ChatAnswer, Exchange, HttpError, RawBody, Reply
from contemplate.testing.faulty.http import HttpConnection

from ..patience import PATIENCE
from ..processes import run

pytestmark = pytest.mark.anyio

KEY = "sk-secret-0123456789"
# Those of the connection, and two that the package adds to tell its own attempts apart.
OF_EACH = {"host", "connection", "accept-encoding", "content-length", "x-stainless-retry-count", "x-stainless-timeout"}
OF_EACH |= {"x-stainless-async"}
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
async def test_openai_gets_the_headers_of_the_package() -> None:
    with FaultyServer() as server:
        async with openai.AsyncOpenAI(api_key=KEY, base_url=server.url) as client:
            await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hello"}])
        theirs = _without(server.exchanges[0].headers)
    headers = address_of(Endpoint("https://api.openai.com/v1", KEY)).headers
    assert (
        _without({name.lower(): value for name, value in headers.items()}) | {"authorization": f"Bearer {KEY}"}
        == theirs
    )


async def test_others_know_the_client_by_its_name_and_nothing_else(transport: str) -> None:
    with FaultyServer() as server:
        await ask(server.url)
        (exchange,) = server.exchanges
    assert _without(exchange.headers) == {
        "accept": "application/json",
        "authorization": f"Bearer {KEY}",
        "content-type": "application/json",
        "user-agent": f"AsyncOpenAI/Python {openai.__version__}",
    }


FOR_OPENAI = {
    "OPENAI_ORG_ID": "org-1",
    "OPENAI_PROJECT_ID": "project-1",
    "OPENAI_CUSTOM_HEADERS": "X-Gateway-Key: a-secret\nAuthorization: Bearer other\nUser-Agent: spy",
}


async def test_what_the_environment_says_to_openai_is_told_to_no_one_else(
    transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in FOR_OPENAI.items():
        monkeypatch.setenv(name, value)
    with FaultyServer() as server:
        await ask(server.url)
        (exchange,) = server.exchanges
        told = " ".join([*exchange.headers, *exchange.headers.values()]).lower()
        assert not [each for each in ("org-1", "project-1", "gateway", "a-secret", "other", "spy") if each in told]
        assert exchange.headers["authorization"] == f"Bearer {KEY}"
        # A server that is told of by the environment is not OpenAI's either.
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        await OpenAIModel("m", api_key=KEY).request(ASKING)
        assert "openai-organization" not in server.exchanges[-1].headers


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://api.openai.com/v1", True),
        ("https://eu.api.openai.com/v1", True),
        ("http://api.openai.com/v1", False),
        ("https://api.openai.com.example/v1", False),
        ("https://notopenai.com/v1", False),
        ("https://x.openai.azure.com/v1", False),
    ],
)
async def test_openai_itself_is_told(url: str, told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Gateway-Key: a-secret")
    headers = address_of(Endpoint(url, KEY)).headers
    assert ("OpenAI-Organization" in headers, "X-Gateway-Key" in headers) == (told, told)


def _without(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in OF_EACH and "timeout" not in name}


def test_a_base_url_keeps_its_query() -> None:
    account = Endpoint("http://localhost:1/openai/v1?api-version=preview", KEY)
    assert address_of(account).urls["chat"] == "http://localhost:1/openai/v1/chat/completions?api-version=preview"


# Redirects


def redirecting(status: int, *locations: str) -> Callable[[Exchange], Reply | str]:
    """Redirect to each of `locations` in turn, and then answer."""

    def script(exchange: Exchange) -> Reply | str:
        if exchange.number < len(locations):
            location = locations[exchange.number].format(host=exchange.headers["host"])
            return HttpError(status, headers={"location": location})
        return f"{exchange.prompt} at last"

    return script


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize("form", ["http://{host}/v1/chat/completions", "/v1/chat/completions", "?again=1#there"])
async def test_redirects_within_a_server_are_followed(status: int, form: str, stream: bool, transport: str) -> None:
    with FaultyServer(redirecting(status, *[form] * 3)) as server:
        assert await ask(server.url, stream=stream) == "hello at last"
        assert {each.headers["authorization"] for each in server.exchanges} == {f"Bearer {KEY}"}
        assert server.wait_for(lambda: server.connections == 0)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_prompt_goes_to_another_server(status: int, stream: bool, transport: str) -> None:
    with FaultyServer("got it") as there:
        target = there.url.replace("http://", "http://user:pass@") + "/chat/completions?key=t0psecret"
        with FaultyServer(redirecting(status, target)) as here:
            said = f"HTTP {status}: {here.url} redirects to {there.url}/chat/completions "
            with pytest.raises(ModelRequestError, match=re.escape(said)) as caught:
                await ask(here.url, stream=stream)
            assert here.wait_for(lambda: here.connections == 0)
        assert not there.exchanges
    assert not [secret for secret in ("pass@", "t0psecret", KEY) if secret in str(caught.value)]


@pytest.mark.parametrize("status", [300, 301, 302, 303, 399])
async def test_a_redirect_that_changes_the_method_is_an_error(status: int, transport: str) -> None:
    with FaultyServer(redirecting(status, "/elsewhere")) as server:
        with pytest.raises(ModelRequestError, match="/elsewhere .*would become a GET"):
            await ask(server.url)
        assert len(server.exchanges) == 1


@pytest.mark.parametrize(
    "location",
    ["https://127.0.0.1/v1", "//models.example/v1", "http://127.0.0.1.example/v1", "http://[::1", "http://h:port/",
     "file:///etc/passwd", "\\\\models.example\\v1"],
)  # fmt: skip
async def test_where_a_redirect_may_not_lead(location: str, transport: str) -> None:
    with FaultyServer(redirecting(307, location)) as server:
        if location.startswith("\\"):
            # Some parsers read a host here; it is a path of this server.
            with pytest.raises(ModelRequestError, match="there is no POST"):
                await ask(server.url)
        else:
            with pytest.raises(ModelRequestError, match="redirects to"):
                await ask(server.url)
            assert len(server.exchanges) == 1


@pytest.mark.parametrize("headers", [{}, {"location": "/v1/chat/completions"}])
async def test_redirects_that_lead_nowhere_end(headers: dict[str, str], transport: str) -> None:
    with FaultyServer(HttpError(307, headers=headers)) as server:
        with pytest.raises(ModelRequestError, match="HTTP 307"):
            await ask(server.url)
        assert len(server.exchanges) == (6 if headers else 1)


# Keys


@pytest.mark.parametrize("kind", ["sync", "async", "lambda of async"])
async def test_a_key_may_come_from_a_function(kind: str, transport: str) -> None:
    keys = iter(["key-number-1", "key-number-2"])

    async def fetch() -> str:
        await anyio.lowlevel.checkpoint()
        return next(keys)

    functions: dict[str, Any] = {"sync": lambda: next(keys), "async": fetch, "lambda of async": lambda: fetch()}
    echo = lambda exchange: HttpError(400, f"no: {exchange.headers['authorization']}") if exchange.number else "ok"  # noqa: E731
    with FaultyServer(echo) as server:
        model = OpenAIModel("m", base_url=server.url, api_key=functions[kind])
        async with model.connect():
            await model.request(ASKING)
            with pytest.raises(ModelRequestError) as caught:
                await model.request(ASKING)
        assert [each.headers["authorization"] for each in server.exchanges] == [
            "Bearer key-number-1",
            "Bearer key-number-2",
        ]
    assert "key-number" not in str(caught.value)


def failing() -> str:
    raise RuntimeError("the vault with key-number-1 is closed")


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (failing, "raised RuntimeError"),
        (lambda: None, "of type NoneType"),
        (lambda: "key\n", "line break"),
        (lambda: "", "is empty"),
    ],
)
async def test_a_function_that_gives_no_key(function: Any, said: str, transport: str) -> None:
    with FaultyServer() as server:
        with pytest.raises(ModelAuthError, match=said) as caught:
            await OpenAIModel("m", base_url=server.url, api_key=function).request(ASKING)
        assert not server.exchanges
    assert "key-number" not in str(caught.value)


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


# Proxies


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    yield monkeypatch


async def test_proxies_are_used(transport: str, environment: pytest.MonkeyPatch) -> None:
    with FaultyServer() as proxy:
        environment.setenv("HTTP_PROXY", proxy.url.removesuffix("/v1"))
        # This server is no proxy; it says that it was asked as one is.
        with pytest.raises(ModelRequestError, match="there is no POST http://models.example/v1/chat/completions"):
            await ask("http://models.example/v1")


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5://127.0.0.1:9", "socks4://127.0.0.1:9", "nonsense"])
@pytest.mark.parametrize(("anyio_backend", "stream"), [("asyncio", True), ("trio", False)])
async def test_this_machine_is_reached_directly(
    name: str, proxy: str, stream: bool, transport: str, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv(name, proxy)
    with FaultyServer("here") as server:
        for url in (server.url, server.url.replace("127.0.0.1", "localhost")):
            assert await ask(url, stream=stream) == "here"


@pytest.mark.parametrize(
    ("url", "exceptions", "direct"),
    [
        ("http://models.example/v1", "", False),
        ("http://models.example/v1", "models.example", True),
        ("http://models.example/v1", ".example", True),
        ("http://models.example/v1", "*.example", True),
        ("http://models.example/v1", "other.org, example", True),
        ("http://models.example/v1", "els.example", False),
        ("http://models.example/v1", "*", True),
        ("http://models.example/v1", "other.org,*", True),
        ("http://models.example:8000/v1", "models.example:8000", True),
        ("http://models.example:8000/v1", "models.example:9000", False),
        ("http://models.example/v1", "models.example:80", True),
        ("http://10.1.2.3/v1", "10.0.0.0/8", True),
        ("http://10.1.2.3/v1", "192.168.0.0/16", False),
        ("http://[fd00::1]/v1", "fd00::/8", True),
        ("http://models.example/v1", ",", False),
        ("http://127.8.8.8/v1", "", True),
        ("http://[::1]:8/v1", "", True),
        ("http://LOCALHOST/v1", "", True),
        ("http://a.localhost/v1", "", True),
        ("http://localhost.example/v1", "", False),
        ("https://models.example/v1", "", True),
    ],
)
def test_where_no_proxy_is_used(url: str, exceptions: str, direct: bool, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("HTTP_PROXY", "proxy.example:3128")
    environment.setenv("NO_PROXY", exceptions)
    assert proxy_for(url) == (None if direct else "http://proxy.example:3128")


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        (
            "socks5://user:hunter2@proxy.example:1080",
            r"install 'httpx2\[socks\]', or add models.example to NO_PROXY",
        ),
        ("socks4://user:hunter2@proxy.example:1080", "'socks4' proxies are not supported"),
    ],
)
async def test_a_proxy_that_cannot_be_used_says_what_to_do(
    proxy: str, said: str, transport: str, environment: pytest.MonkeyPatch
) -> None:
    environment.setattr(proxies, "find_spec", lambda _: None)
    environment.setenv("ALL_PROXY", proxy)
    with pytest.raises(ConfigurationError, match=said) as caught:
        await ask("http://models.example/v1")
    assert "hunter2" not in str(caught.value)


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
        done = await anyio.to_thread.run_sync(run, command, PATIENCE)
        assert (done.returncode, done.stderr) == (0, "")
        assert len(server.exchanges) == 300
        assert server.accepted <= 128


async def test_a_response_is_closed_before_its_rest_is_read() -> None:
    done: list[str] = []

    async def rest() -> AsyncIterator[bytes]:
        done.append("read")
        yield b"x"

    async def aclose() -> None:
        done.append("closed")

    response: Any = SimpleNamespace(aclose=aclose)
    await _close(response, rest())
    assert done == ["closed", "read"]
