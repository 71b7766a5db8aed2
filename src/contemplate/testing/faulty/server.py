"""`FaultyServer`."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from types import TracebackType
from typing import Self

from .chat_answer import Answer
from .exchange import Exchange, Reply
from .http import Hangup, Malformed, Request, Wire
from .replies import error_body

BACKLOG = 4096

Script = str | Reply | Callable[[Exchange], Reply | str]


class FaultyServer:
    """A chat completions server on a loopback port, in a thread of its own.

    Use it as a context manager: `with FaultyServer("The answer is 4.") as server: ... server.url ...`

    Args:
        script: a text or a reply for every request, or a function that makes one of each request. The function runs in
            the server's thread and must not wait; replies may (`Hold`, `Answer.gates`). What it raises closes the
            connection, and is raised again where the context ends.
        port: the port; a free one if 0.

    Attributes:
        exchanges: every request so far, in the order of their arrival; clear it to forget them.
        accepted: how many connections were ever opened.

    Raises:
        OSError: the port is taken.
    """

    def __init__(self, script: Script = "ok", *, port: int = 0) -> None:
        self.exchanges: list[Exchange] = []
        self.accepted = 0
        self._script = script
        self._port = port
        self._numbers = count()
        self._wires: set[Wire] = set()
        self._changed = threading.Condition()
        self._failure: Exception | None = None

    @property
    def url(self) -> str:
        """The base URL, with `/v1`."""
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._wires)

    def __enter__(self) -> Self:
        listener = socket.create_server(("127.0.0.1", self._port), backlog=BACKLOG)
        self._port = listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, args=(listener,), name="faulty-server", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, _: object, error: BaseException | None, __: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if self._failure is not None and (error is None or isinstance(error, Exception)):
            raise self._failure

    def wait_for(self, condition: Callable[[], bool], seconds: float = 10.0) -> bool:
        """Wait until `condition` holds, looking at it whenever something happens; False if it does not in time.

        It blocks its thread: in async code, call it in another one where the client has something to do meanwhile.
        """
        with self._changed:
            return self._changed.wait_for(condition, seconds)

    def _run(self, listener: socket.socket) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve(listener))

    async def _serve(self, listener: socket.socket) -> None:
        # Connections that arrive before this runs wait in the backlog.
        server = await self._loop.create_server(
            lambda: Wire(self._opened, self._closed), sock=listener, backlog=BACKLOG
        )
        await self._stop.wait()
        server.close()
        while self._wires:
            for wire in tuple(self._wires):
                wire.stop()
            await asyncio.sleep(0)

    def _opened(self, wire: Wire) -> asyncio.Task[None]:
        self._wires.add(wire)
        self.accepted += 1
        self._notify()
        return self._loop.create_task(self._connection(wire))

    def _closed(self, wire: Wire) -> None:
        self._wires.discard(wire)
        self._notify()

    async def _connection(self, wire: Wire) -> None:
        with suppress(Hangup, asyncio.CancelledError):
            try:
                while wire.open:
                    await self._request(wire, await wire.receive())
            except Malformed as error:
                await wire.json({"error": error_body(str(error))}, 400)
            except Exception as error:
                if not isinstance(error, Hangup):
                    self._failure = self._failure or error
            finally:
                wire.close()

    async def _request(self, wire: Wire, request: Request) -> None:
        path = request.path.partition("?")[0]
        if (request.method, path) == ("POST", "/v1/chat/completions"):
            await self._exchange(wire, request)
        elif (request.method, path) == ("GET", "/v1/models"):
            model = {"id": "model", "object": "model", "created": 0, "owned_by": "contemplate"}
            await wire.json({"object": "list", "data": [model]})
        else:
            await wire.json({"error": error_body(f"there is no {request.method} {path}")}, 404)
        if request.headers.get("connection", "").lower() == "close":
            wire.close()

    async def _exchange(self, wire: Wire, request: Request) -> None:
        try:
            body = json.loads(request.body)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise Malformed("the body is no JSON object")
        exchange = Exchange(next(self._numbers), body, request.headers, time.monotonic())
        self.exchanges.append(exchange)
        self._notify()
        try:
            # The client may have gone together with its request.
            if wire.open:
                await self._reply(exchange).send(wire, exchange)
            if wire.open:
                exchange.answered = time.monotonic()
        finally:
            if exchange.answered is None:
                exchange.hung_up = wire.left
            self._notify()

    def _reply(self, exchange: Exchange) -> Reply:
        reply = self._script(exchange) if callable(self._script) else self._script
        return Answer(reply) if isinstance(reply, str) else reply

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()
