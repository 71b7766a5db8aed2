"""`Connection`: headers, query, TLS with an authority of one's own, proxies, and HTTP clients of one's own."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import create_connection, socket
from typing import Any, ClassVar

import anyio
import httpx2
import pytest
import trustme

from contemplate import Contemplator, Message
from contemplate.errors import AggregationError, ConfigurationError, ModelConnectionError, ModelError
from contemplate.events import Event
from contemplate.models import Connection, Delta, ModelRequest, OpenAIModel
from contemplate.models.openai import connections
from contemplate.testing import FaultyServer
from contemplate.testing.faulty import Exchange, HttpError

from ..patience import PATIENCE

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leftovers")]

KEY, SECRET = "sk-secret-0123456789", "t0p-secret-value"
ASKING = ModelRequest((Message.user("hello"),))


@pytest.fixture(params=["aiohttp", "httpx2"], autouse=True)
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "httpx2":
        monkeypatch.setattr(connections, "aiohttp_fits", lambda: False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return str(request.param)


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def stream(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def ask(url: str, connection: Connection, *, stream: bool = False, api_key: Any = KEY) -> str:
    said: list[Delta] = []
    model = OpenAIModel("m", base_url=url, api_key=api_key, connection=connection)
    return (await model.request(ASKING, said.append if stream else None)).message.text


# Headers, query and keys


async def test_headers_are_sent(stream: bool) -> None:
    connection = Connection(headers={"X-Team": SECRET, "user-agent": "mine"})
    with FaultyServer("yes") as server:
        await ask(server.url, connection, stream=stream)
        (exchange,) = server.exchanges
    headers = exchange.headers
    assert (headers["x-team"], headers["user-agent"], headers["authorization"]) == (SECRET, "mine", f"Bearer {KEY}")


@pytest.mark.parametrize("own", ["", "?tenant=7"])
async def test_a_query_is_sent(own: str, stream: bool) -> None:
    paths: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Noting", (Answering,), {"paths": paths}))
    url = f"http://127.0.0.1:{server.server_address[1]}/openai/v1{own}"
    with serving(server):
        await ask(url, Connection(query={"api-version": "2026-05-01"}), stream=stream)
    assert paths == [f"/openai/v1/chat/completions{f'{own}&' if own else '?'}api-version=2026-05-01"]


async def test_a_key_in_another_header(stream: bool) -> None:
    keys = iter(["key-number-1", "key-number-2"])
    with FaultyServer("yes") as server:
        connection = Connection(key_header="api-key")
        for _ in range(2):
            await ask(server.url, connection, stream=stream, api_key=lambda: next(keys))
        await ask(server.url, Connection(headers={"authorization": "Basic abc"}), stream=stream)
        told = [(each.headers.get("api-key"), each.headers.get("authorization")) for each in server.exchanges]
    assert told == [("key-number-1", None), ("key-number-2", None), (None, "Basic abc")]


def test_an_own_authorization_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    OpenAIModel("m", connection=Connection(headers={"Authorization": "Bearer abc"}))


async def test_nothing_tells_them(stream: bool) -> None:
    def echoing(exchange: Exchange) -> HttpError:
        return HttpError(400, f"no: {exchange.headers}")

    events: list[Event] = []
    connection = Connection(headers={"X-Team": SECRET}, proxy="")
    with FaultyServer(echoing) as server:
        model = OpenAIModel("m", base_url=server.url, api_key=KEY, connection=connection)
        with pytest.raises(AggregationError) as caught:
            await Contemplator(model, mode="instant", on_event=events.append).run("q")
    told = [str(caught.value), repr(connection), repr(model), repr(vars(model)), *(e.model_dump_json() for e in events)]
    assert not [text for text in told if SECRET in text or KEY in text]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"headers": {"X-Team": f"{SECRET}\n"}}, "'X-Team' is not a text"),
        ({"headers": {"X Team": SECRET}}, "'X Team' is not the name"),
        ({"verify": "nowhere.pem"}, "nowhere.pem cannot be read"),
        ({"certificate": ("nowhere.pem", "key.pem")}, "nowhere.pem and key.pem cannot be read"),
        ({"verify": __file__}, "cannot be read"),
        ({"connect_timeout": 0}, "connect_timeout"),
        ({"client": object()}, "client is a builtins.object"),
    ],
)
def test_what_cannot_be_is_refused_at_once(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        Connection(**wrong)
    assert SECRET not in str(caught.value)


async def test_equal_settings_share_connections(stream: bool) -> None:
    with FaultyServer("yes") as server:
        one, same, other = (Connection(headers={"X-Team": team}) for team in ("a", "a", "b"))
        assert one == same
        assert hash(one) == hash(same)
        first, second, third = (
            OpenAIModel("m", base_url=server.url, api_key=KEY, connection=each) for each in (one, same, other)
        )
        async with first.connect():
            for model in (first, second, first, second):
                await model.request(ASKING)
            assert server.connections == 1
            await third.request(ASKING)
        assert server.wait_for(lambda: server.connections == 0)


# TLS


class Secure:
    """A server with TLS, and its authority's certificate in a file; with `client`, it wants one from clients."""

    def __init__(self, folder: Path, *, wants: bool = False) -> None:
        self.authority = trustme.CA()
        self.file = folder / "ca.pem"
        self.authority.cert_pem.write_to_path(self.file)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
        if wants:
            context.verify_mode = ssl.CERT_REQUIRED
            self.authority.configure_trust(context)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://localhost:{self.server.server_address[1]}/v1"


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[None]:
    # A client that refuses the certificate is no fault of the server's.
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    paths: ClassVar[list[str]] = []

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.paths.append(self.path)
        message = {"role": "assistant", "content": "safe"}
        if body.get("stream"):
            chunks = [{"choices": [{"index": 0, "delta": message, "finish_reason": "stop"}]}]
            data = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
            kind = "text/event-stream"
        else:
            data = json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
            kind = "application/json"
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data.encode())


async def test_an_authority_of_ones_own(stream: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secure = Secure(tmp_path)
    with serving(secure.server):
        with pytest.raises(ModelConnectionError, match=r"verify failed.*connection=Connection\(verify='ca.pem'\)"):
            await ask(secure.url, Connection(), stream=stream)
        for verify in (False, secure.file, str(secure.file)):
            assert await ask(secure.url, Connection(verify=verify), stream=stream) == "safe"
        monkeypatch.setenv("SSL_CERT_FILE", str(secure.file))
        assert await ask(secure.url, Connection(), stream=stream) == "safe"


@pytest.mark.parametrize("files", [1, 2])
async def test_a_certificate_of_the_client(files: int, stream: bool, tmp_path: Path) -> None:
    secure = Secure(tmp_path, wants=True)
    issued = secure.authority.issue_cert("client.example")
    both, chain, key = (tmp_path / name for name in ("both.pem", "chain.pem", "key.pem"))
    issued.private_key_and_cert_chain_pem.write_to_path(both)
    issued.private_key_pem.write_to_path(key)
    for blob in issued.cert_chain_pems:
        blob.write_to_path(chain)
    with serving(secure.server):
        with pytest.raises(ModelConnectionError):
            await ask(secure.url, Connection(verify=secure.file), stream=stream)
        connection = Connection(verify=secure.file, certificate=both if files == 1 else (chain, key))
        assert await ask(secure.url, connection, stream=stream) == "safe"


# Proxies


class Forwarding(BaseHTTPRequestHandler):
    """A forward proxy: CONNECT for https, absolute URLs for http; RFC 9110, 9.3.6."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[tuple[str, str, str | None]]] = []

    def log_message(self, *_: object) -> None:
        pass

    def do_CONNECT(self) -> None:
        self.seen.append(("CONNECT", self.path, self.headers["proxy-authorization"]))
        host, _, port = self.path.partition(":")
        with create_connection((host, int(port))) as far:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=_pump, args=(far, self.connection))
            back.start()
            _pump(self.connection, far)
            back.join()
        self.close_connection = True

    def do_POST(self) -> None:
        self.seen.append(("POST", self.path, self.headers["proxy-authorization"]))
        body = self.rfile.read(int(self.headers["content-length"]))
        with httpx2.Client(trust_env=False) as client:
            answer = client.post(self.path, content=body, headers={"content-type": "application/json"})
        self.send_response(answer.status_code)
        self.send_header("content-type", answer.headers["content-type"])
        self.send_header("content-length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)


def _pump(here: socket, there: socket) -> None:
    try:
        while piece := here.recv(65536):
            there.sendall(piece)
        there.shutdown(1)
    except OSError:
        pass


@pytest.mark.parametrize("secured", [False, True])
async def test_a_proxy(secured: bool, stream: bool, tmp_path: Path) -> None:
    seen: list[tuple[str, str, str | None]] = []
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), type("Proxy", (Forwarding,), {"seen": seen}))
    proxy.daemon_threads = True
    secure = Secure(tmp_path)
    plain = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    url = secure.url if secured else f"http://127.0.0.1:{plain.server_address[1]}/v1"
    connection = Connection(
        proxy=f"http://user:{SECRET}@127.0.0.1:{proxy.server_address[1]}", verify=secure.file if secured else True
    )
    with serving(secure.server), serving(plain), serving(proxy):
        assert await ask(url, connection, stream=stream) == "safe"
    assert [(method, authorized is not None) for method, _, authorized in seen] == [
        ("CONNECT" if secured else "POST", True)
    ]
    assert SECRET not in repr(connection)
    with pytest.raises(ModelError) as caught:
        await ask(url, connection, stream=stream)
    assert SECRET not in str(caught.value)


async def test_no_proxy(stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with pytest.raises(ModelConnectionError, match=r"http://models.example/v1"):
        await ask("http://models.example/v1", Connection(proxy="http://127.0.0.1:9"), stream=stream)
    with pytest.raises(ConfigurationError, match="'socks4' proxies are not supported") as caught:
        await ask("http://models.example/v1", Connection(proxy=f"socks4://u:{SECRET}@127.0.0.1:9"), stream=stream)
    assert SECRET not in str(caught.value)


# Clients of one's own


async def test_a_client_of_ones_own(stream: bool) -> None:
    seen: list[httpx2.Request] = []

    async def note(request: httpx2.Request) -> None:
        seen.append(request)

    async with httpx2.AsyncClient(trust_env=False, event_hooks={"request": [note]}) as client:
        with FaultyServer("yes") as server:
            model = OpenAIModel("m", base_url=server.url, api_key=KEY, connection=Connection(client=client))
            async with model.connect():
                await model.request(ASKING, (lambda _: None) if stream else None)
            await model.request(ASKING)
            assert not client.is_closed
            assert len(seen) == len(server.exchanges) == 2
        with pytest.raises(ConfigurationError, match="verify beside a client"):
            Connection(client=client, verify=False)


async def test_the_time_to_connect(stream: bool) -> None:
    listening = socket()
    listening.bind(("127.0.0.1", 0))
    # Nobody accepts, and the queue is full.
    listening.listen(0)
    waiting = [socket() for _ in range(3)]
    for each in waiting:
        each.setblocking(False)
        each.connect_ex(listening.getsockname())
    try:
        with anyio.fail_after(PATIENCE), pytest.raises(ModelConnectionError, match="no connection"):
            url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
            await ask(url, Connection(connect_timeout=0.1), stream=stream)
    finally:
        for each in (*waiting, listening):
            each.close()
