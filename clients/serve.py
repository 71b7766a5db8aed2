"""The server under test, in a process of its own: what happens is written to a file, a JSON object a line."""

from __future__ import annotations

import argparse
import json
import socket
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contemplate.server import ClientKey, ServerSettings, create_app

from .minds import minds
from .server_process import KEY


class Told:
    """An application whose requests are told."""

    def __init__(self, app: ASGIApp, log: Path) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and tell of each request and its status."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = bytearray()

        async def reading() -> Message:
            message = await receive()
            body.extend(message.get("body", b""))
            return message

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                tell(
                    self._log,
                    {
                        "request": f"{scope['method']} {scope['path']}",
                        "status": message["status"],
                        "body": body.decode(errors="replace"),
                    },
                )
            if message["type"] == "http.response.body":
                tell(self._log, {"sent": message.get("body", b"").decode(errors="replace")})
            await send(message)

        await self._app(scope, reading, telling)


def tell(log: Path, what: dict[str, Any]) -> None:
    """Add a line."""
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(what) + "\n")


def main() -> None:
    """Serve until it is told to end."""
    parser = argparse.ArgumentParser(prog="python -m clients.serve", description="A server with scripted models.")
    parser.add_argument("log", type=Path, help="the file that is told what happens")
    log = parser.parse_args().log
    settings = ServerSettings(keys=(ClientKey("suite", KEY),))
    app = create_app(minds(lambda what: tell(log, what)), settings)
    config = uvicorn.Config(Told(app, log), log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        tell(log, {"url": f"http://127.0.0.1:{listener.getsockname()[1]}"})
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
