"""A real server for each test: uvicorn in a thread, on a loopback port of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Literal, Protocol
from unittest.mock import patch

import pytest
import uvicorn
import uvicorn.server
from starlette.applications import Starlette

from contemplate import Contemplator
from contemplate.server import ServerSettings, create_app
from contemplate.server.uvicorn_connections import guarded

from ..patience import PATIENCE

Minds = Mapping[str, Contemplator[Any]]
Http = type[asyncio.Protocol] | Literal["auto"]
USUAL = ServerSettings()
GUARDED = guarded(USUAL)


class Serve(Protocol):
    def __call__(self, minds: Minds, settings: ServerSettings = ...) -> str: ...


class _Awake:
    """`asyncio` as uvicorn sees it here: it naps for tenths of a second, of which each test would wait for two."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 20)


@pytest.fixture(scope="package", autouse=True)
def _awake() -> Iterator[None]:
    with patch.object(uvicorn.server, "asyncio", _Awake()):
        yield


@contextmanager
def serving(minds: Minds, settings: ServerSettings = USUAL) -> Iterator[str]:
    with serving_app(create_app(minds, settings), guarded(settings)) as url:
        yield url


@contextmanager
def serving_app(app: Starlette, http: Http = GUARDED, port: int = 0) -> Iterator[str]:
    config = uvicorn.Config(app, http=http, log_config=None, access_log=False, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", port)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            # The socket listens already: a client that is too early only waits.
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
            assert not thread.is_alive()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves contemplators until the test is over, and returns the base URL."""
    with ExitStack() as stack:
        yield lambda minds, settings=USUAL: stack.enter_context(serving(minds, settings))
