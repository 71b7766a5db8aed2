"""A real MCP server for tests, made with the official package: over stdio, or with "http" on a free loopback port."""

from __future__ import annotations

import os
import socket
import sys

import anyio
import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Image
from mcp_types import (
    AudioContent,
    CallToolResult,
    EmbeddedResource,
    ResourceLink,
    TextContent,
    TextResourceContents,
    ToolAnnotations,
)
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

server = MCPServer("test", log_level="ERROR")
PIXEL = b"\x89PNG\r\n\x1a\n" + bytes(8)


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


@server.tool(name="places.list")
def places() -> list[str]:
    """Name two places."""
    return ["Lyon", "Oslo"]


@server.tool()
def picture() -> list[str | Image]:
    """Show a picture."""
    return ["a pixel", Image(data=PIXEL, format="png")]


@server.tool()
def data() -> CallToolResult:
    """Data, and no text."""
    return CallToolResult(content=[], structured_content={"n": [1, 2]})


@server.tool()
def files() -> CallToolResult:
    """A note, a sound, and a link."""
    note = TextResourceContents(uri="file:///note", text="a note")
    sound = AudioContent(type="audio", data="AAAA", mime_type="audio/wav")
    page = ResourceLink(type="resource_link", name="page", uri="https://localhost/page")
    return CallToolResult(content=[EmbeddedResource(type="resource", resource=note), sound, page])


@server.tool()
def refuse() -> CallToolResult:
    """Fail, and repeat a secret."""
    said = f"no such row; key {os.environ.get('TEST_KEY')}"
    return CallToolResult(content=[TextContent(type="text", text=said)], is_error=True)


@server.tool()
async def hang() -> str:
    """Never answer."""
    await anyio.sleep_forever()
    return ""


def locked(app: ASGIApp) -> ASGIApp:
    """`app`, for those who know the key."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        key = os.environ.get("TEST_KEY", "").encode()
        if scope["type"] == "http" and key and dict(scope["headers"]).get(b"authorization") != b"Bearer " + key:
            await Response("wrong key", 401)(scope, receive, send)
        else:
            await app(scope, receive, send)

    return serve


def main() -> None:
    if "http" not in sys.argv:
        server.run()
    else:
        listening = socket.create_server(("127.0.0.1", 0))
        sys.stdout.write(f"{listening.getsockname()[1]}\n")
        sys.stdout.flush()
        config = uvicorn.Config(locked(server.streamable_http_app()), log_level="critical")
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
