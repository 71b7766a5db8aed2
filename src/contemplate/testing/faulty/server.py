"""`FaultyServer`, which replies to each request as scripted."""

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

from .chat_answer import ChatAnswer
from .exchange import Exchange, Reply
from .http import Hangup, HttpConnection, Malformed, Request
from .replies import error_body

BACKLOG = 4096
PATHS = ("/v1/chat/completions", "/v1/responses")

Script = str | Reply | Callable[[Exchange], Reply | str]


class FaultyServer:
    """A chat completions server on a loopback port, in its own thread.

    Use it as a context manager: `with FaultyServer("The answer is 4.") as server: ... server.url ...`

    Args:
        script: a text or a reply for every request, or a function from a request to one. The function runs in the
            server's thread and must not block; replies may wait (`Hold`, `ChatAnswer.gates`). An exception closes the
            connection, and is raised again when the context ends.
        port: the port; 0 for a free one.

    Attributes:
        exchanges: every request so far, in order of arrival; may be cleared.
        accepted: the number of connections accepted so far.

    Raises:
        OSError: the port is taken.
    """

    def __init__(self, script: Script = "ok", *, port: int = 0) -> None:
        self.exchanges: list[Exchange] = []
        self.accepted = 0
        self._script = script
        self._port = port
        self._numbers = count()
        self._connections: set[HttpConnection] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._changed = threading.Condition()
        self._failure: Exception | None = None

    @property
    def url(self) -> str:
        """The base URL, with `/v1`."""
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return len(self._connections)

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

    def wait_for(self, condition: Callable[[], bool], seconds: float = 60.0) -> bool:
        """Wait until `condition` holds, for at most `seconds`, and return whether it does.

        The condition is checked whenever something happens. Blocks; in async code, call it in a worker thread if the
        client has to run meanwhile.
        """
        with self._changed:
            return self._changed.wait_for(condition, seconds)

    def _run(self, listener: socket.socket) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve(listener))

    async def _serve(self, listener: socket.socket) -> None:
        # Connections that arrive before this runs wait in the backlog.
        server = await self._loop.create_server(
            lambda: HttpConnection(self._begin, self._forget), sock=listener, backlog=BACKLOG
        )
        await self._stop.wait()
        server.close()
        # What was accepted in the last moment becomes a connection in tasks of asyncio's, and must be closed as well.
        accepting = asyncio.all_tasks() - self._serving - {asyncio.current_task()}
        if accepting:
            await asyncio.wait(accepting)
        while self._connections:
            for connection in tuple(self._connections):
                connection.stop()
            await asyncio.sleep(0)

    def _begin(self, connection: HttpConnection) -> asyncio.Task[None]:
        self._connections.add(connection)
        self.accepted += 1
        self._notify()
        task = self._loop.create_task(self._serve_connection(connection))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        return task

    def _forget(self, connection: HttpConnection) -> None:
        self._connections.discard(connection)
        self._notify()

    async def _serve_connection(self, connection: HttpConnection) -> None:
        with suppress(Hangup, asyncio.CancelledError):
            try:
                while connection.open:
                    await self._answer_request(connection, await connection.receive())
            except Malformed as error:
                await connection.json({"error": error_body(str(error))}, 400)
            except Exception as error:
                if not isinstance(error, Hangup):
                    self._failure = self._failure or error
            finally:
                connection.close()

    async def _answer_request(self, connection: HttpConnection, request: Request) -> None:
        path = request.path.partition("?")[0]
        if request.method == "POST" and path in PATHS:
            await self._answer(connection, request, path)
        elif (request.method, path) == ("GET", "/v1/models"):
            model = {"id": "model", "object": "model", "created": 0, "owned_by": "contemplate"}
            await connection.json({"object": "list", "data": [model]})
        else:
            await connection.json({"error": error_body(f"there is no {request.method} {path}")}, 404)
        if request.headers.get("connection", "").lower() == "close":
            connection.close()

    async def _answer(self, connection: HttpConnection, request: Request, path: str) -> None:
        try:
            body = json.loads(request.body)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise Malformed("the body is not a JSON object")
        exchange = Exchange(next(self._numbers), body, request.headers, time.monotonic(), path=path)
        self.exchanges.append(exchange)
        self._notify()
        try:
            # The client may have disconnected right after its request.
            if connection.open:
                await self._reply_to(exchange).send(connection, exchange)
            if connection.open:
                exchange.answered = time.monotonic()
        finally:
            if exchange.answered is None:
                exchange.hung_up = connection.left
            self._notify()

    def _reply_to(self, exchange: Exchange) -> Reply:
        reply = self._script(exchange) if callable(self._script) else self._script
        return ChatAnswer(reply) if isinstance(reply, str) else reply

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()
