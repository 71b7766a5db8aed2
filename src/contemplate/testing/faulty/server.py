"""`FaultyServer`."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Self

from .replies import Answer, Reply
from .wire import Hangup, Wire

START_SECONDS = 10.0
BACKLOG = 4096


@dataclass
class Exchange:
    """A request, and what became of it. Times are in seconds, on `time.monotonic`'s clock.

    Attributes:
        number: which request of the server's it is, from 0.
        body: the request's JSON.
        headers: with lower-case names.
        arrived: when the request was there.
        answered: when the last byte of the reply was sent; None if it never was.
        hung_up: when the client closed the connection before that; None if it did not.
        fault: which fault of a mixture it met.
    """

    number: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(repr=False)
    arrived: float
    answered: float | None = None
    hung_up: float | None = None
    fault: str | None = None

    @property
    def model(self) -> str:
        """The model that was asked for."""
        return str(self.body.get("model"))

    @property
    def messages(self) -> list[Mapping[str, Any]]:
        """The conversation."""
        return list(self.body.get("messages", ()))

    @property
    def streams(self) -> bool:
        """Whether a stream was asked for."""
        return bool(self.body.get("stream"))

    @property
    def schema(self) -> str | None:
        """The name of the JSON schema that was asked for."""
        response_format = self.body.get("response_format") or {}
        name = response_format.get("json_schema", {}).get("name")
        return None if name is None else str(name)

    @property
    def prompt(self) -> str:
        """The text of the last message."""
        content = self.messages[-1]["content"] if self.messages else ""
        if isinstance(content, list):
            return "".join(part.get("text", "") for part in content)
        return content or ""


Script = str | Reply | Callable[[Exchange], "Reply | str"]


class FaultyServer:
    """A chat completions server on a loopback port, in a thread of its own.

    Use it as a context manager: `with FaultyServer("The answer is 4.") as server: ... server.url ...`

    Args:
        script: a text or a reply for every request, or a function that makes one of each request. The function runs in
            the server's thread.

    Attributes:
        exchanges: every request so far, in the order of their arrival; clear it to forget them.
        connections: how many connections are open.
        accepted: how many connections were ever opened.
    """

    def __init__(self, script: Script = "ok") -> None:
        self.exchanges: list[Exchange] = []
        self.connections = 0
        self.accepted = 0
        self._numbers = count()
        self._script = script
        self._changed = threading.Condition()
        self._ready = threading.Event()
        self._port = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The base URL, with `/v1`."""
        return f"http://127.0.0.1:{self._port}/v1"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="faulty-server", daemon=True)
        self._thread.start()
        if not self._ready.wait(START_SECONDS):
            raise RuntimeError("the server did not start")
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._stop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def wait_for(self, condition: Callable[[], bool], seconds: float = 10.0) -> bool:
        """Wait until `condition` holds, looking at it whenever something happens; False if it does not in time."""
        with self._changed:
            return self._changed.wait_for(condition, seconds)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        handlers: set[asyncio.Task[None]] = set()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None  # noqa: S101
            handlers.add(task)
            with suppress(asyncio.CancelledError):
                await self._connection(reader, writer)
            handlers.discard(task)

        server = await asyncio.start_server(handle, "127.0.0.1", 0, backlog=BACKLOG)
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in tuple(handlers):
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.accepted += 1
        wire = Wire(reader, writer)
        try:
            while True:
                await self._request(wire)
        except (Hangup, ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            self.connections -= 1
            self._notify()

    async def _request(self, wire: Wire) -> None:
        method, path, headers, body = await wire.receive()
        if method == "GET":
            await wire.json({"object": "list", "data": [{"id": "model", "object": "model"}]})
            return
        exchange = Exchange(next(self._numbers), body, headers, time.monotonic())
        self.exchanges.append(exchange)
        self._notify()
        if not path.endswith("/chat/completions"):
            await wire.json({"error": {"message": f"no such path: {path}"}}, 404)
            return
        await self._reply(wire, exchange)
        self._notify()

    async def _reply(self, wire: Wire, exchange: Exchange) -> None:
        sending = asyncio.create_task(_reply_to(self._script, exchange).send(wire, exchange))
        watching = asyncio.create_task(wire.hung_up())
        try:
            await asyncio.wait((sending, watching), return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                exchange.hung_up = time.monotonic()
                raise Hangup
            sending.result()
            exchange.answered = time.monotonic()
        finally:
            sending.cancel()
            watching.cancel()
            await asyncio.gather(sending, watching, return_exceptions=True)

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()


def _reply_to(script: Script, exchange: Exchange) -> Reply:
    reply = script(exchange) if callable(script) else script
    return Answer(reply) if isinstance(reply, str) else reply
