"""Clients that send slowly, read nothing, close one half, or are too many."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx2
import pytest

from contemplate import Contemplator
from contemplate.models import Delta, DeltaSink, ModelRequest, ModelResponse
from contemplate.server import ServerSettings
from contemplate.testing import ScriptedModel

from ..patience import PATIENCE
from .conftest import Serve

CHAT = "/v1/chat/completions"
BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Why?"}]}


@dataclass
class Endless:
    """Writes for ever, as fast as it is let, until it is cancelled."""

    name: str = "endless"
    cancelled: threading.Event = field(default_factory=threading.Event)

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        try:
            while True:
                if on_delta is not None:
                    on_delta(Delta("word " * 5000))
                await anyio.lowlevel.checkpoint()
        finally:
            self.cancelled.set()


@dataclass
class Held:
    """Answers when it is let."""

    go: threading.Event = field(default_factory=threading.Event)
    asked: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    name: str = "held"

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        self.asked.release()
        assert await anyio.to_thread.run_sync(self.go.wait, PATIENCE, abandon_on_cancel=True)
        return await ScriptedModel("Yes.").request(request, on_delta)


def instant(model: Any) -> dict[str, Contemplator[Any]]:
    return {"m": Contemplator(model, mode="instant")}


@contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as client:
        yield client


def request(body: dict[str, Any], version: str = "1.1") -> bytes:
    content = json.dumps(body).encode()
    head = f"POST {CHAT} HTTP/{version}\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


def read_all(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(65536), b""))


@pytest.mark.parametrize("seconds", [0.2, 30.0])
def test_a_reader_that_does_not_read_is_dropped_and_its_run_is_cancelled(serve: Serve, seconds: float) -> None:
    model = Endless()
    # After a time, or when too much waits.
    url = serve(instant(model), ServerSettings(unread_seconds=seconds))
    with connected(url) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(request(BODY | {"stream": True}))
        assert model.cancelled.wait(PATIENCE)
    assert httpx2.get(url + "/healthz").status_code == 200


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("late", [False, True])
def test_a_half_closed_request_is_answered(serve: Serve, stream: bool, version: str, late: bool) -> None:
    model = Held()
    url = serve(instant(model))
    with connected(url) as client:
        client.sendall(request(BODY | {"stream": stream}, version))
        if late:
            assert model.asked.acquire(timeout=PATIENCE)
        client.shutdown(socket.SHUT_WR)
        assert late or model.asked.acquire(timeout=PATIENCE)
        model.go.set()
        assert b"Yes." in read_all(client)


def test_a_head_that_does_not_come(serve: Serve) -> None:
    url = serve(instant(ScriptedModel("Yes.")), ServerSettings(header_seconds=0.1))
    for said in (b"", b"GET /healthz HTTP/1.1\r\nHost: local"):
        with connected(url) as client:
            client.sendall(said)
            assert read_all(client).startswith(b"HTTP/1.1 408 ")
    with connected(url) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        client.sendall(b"GET /healthz")
        assert b"HTTP/1.1 408 " in read_all(client)


def test_a_body_that_does_not_come(serve: Serve) -> None:
    url = serve(instant(ScriptedModel("Yes.")), ServerSettings(body_seconds=0.1))
    with connected(url) as client:
        client.sendall(request(BODY)[:-5])
        assert client.recv(65536).startswith(b"HTTP/1.1 408 ")


def test_too_many_wait_or_are_told_to_come_again(serve: Serve) -> None:
    model = Held()
    url = serve(instant(model), ServerSettings(max_runs=1, max_queued=1))
    answers: list[httpx2.Response] = []

    def ask() -> None:
        answers.append(httpx2.post(url + CHAT, json=BODY, timeout=PATIENCE))

    asking = [threading.Thread(target=ask) for _ in range(2)]
    for thread in asking:
        thread.start()
    assert model.asked.acquire(timeout=PATIENCE)
    while "contemplate_runs_queued 1.0" not in httpx2.get(url + "/metrics").text:
        assert not answers
    refused = httpx2.post(url + CHAT, json=BODY)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "server_busy")
    assert (refused.headers["retry-after"], refused.headers["x-should-retry"]) == ("5", "true")
    model.go.set()
    for thread in asking:
        thread.join(PATIENCE)
    assert [each.status_code for each in answers] == [200, 200]


def test_bodies_are_bounded(serve: Serve) -> None:
    url = serve(instant(ScriptedModel("Yes.")), ServerSettings(max_body_bytes=1024))
    assert httpx2.post(url + CHAT, json=BODY | {"user": "x" * 1024}).status_code == 413
    assert httpx2.post(url + CHAT, json=BODY).status_code == 200
