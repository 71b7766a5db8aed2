"""An MCP server: a command that is started, or a URL. Its errors name it, say what to do, and tell no secrets."""

from __future__ import annotations

import math
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import anyio

from ...errors import ContemplateError, ToolServerError
from .connection import Choice, Connection, all_tools

SHORTEST_SECRET = 4
LONGEST_REASON = 400
MOST_READ = 65_536

# The shell leads the server's process group, and outlasts it: whatever the server's end, what it had started ends, too.
WITH_ITS_CHILDREN: tuple[str, ...] = (
    ("/bin/sh", "-c", 'trap : TERM; "$@"; kill -KILL 0', "sh") if os.name == "posix" else ()
)


@dataclass(frozen=True, slots=True, eq=False)
class Server:
    """Where tools come from: an MCP server, which lives as long as `open_tools`. See `mcp_tools`."""

    name: str
    url: str | None
    command: Sequence[str]
    env: Mapping[str, str]
    cwd: str | Path | None
    headers: Mapping[str, str]
    choice: Choice
    timeout: float
    start_timeout: float

    def __repr__(self) -> str:
        return f"mcp_tools({self.name!r})"

    @asynccontextmanager
    async def open_tools(self) -> AsyncIterator[Connection]:
        """Start the server, or connect to it; nothing of it is left after the context.

        Raises:
            ToolServerError: it cannot be started or reached, or it was lost.
            ConfigurationError: it has not the tools that were chosen.
        """
        from mcp import Client

        with TemporaryFile() as said:
            seen = _Seen(said)
            try:
                with anyio.move_on_after(self.start_timeout) as starting:
                    async with Client(self._transport(seen)) as client:
                        tools = self.choice.of(await all_tools(client), self.name)
                        starting.deadline = math.inf
                        seen.started = True
                        yield Connection(self.name, client, tools, self.timeout, self.hidden, self.gone)
            except Exception as error:
                raise self._explained(error, seen) from None
        if starting.cancelled_caught:
            raise ToolServerError(
                f"MCP server {self.name!r} was not ready after {self.start_timeout:g} seconds",
                hint="raise start_timeout, or try it by itself: does it speak MCP?",
            )

    @asynccontextmanager
    async def _transport(self, seen: _Seen) -> AsyncIterator[Any]:
        if self.url is None:
            from mcp import StdioServerParameters
            from mcp.client.stdio import stdio_client

            program, *words = *WITH_ITS_CHILDREN, *self.command
            start = StdioServerParameters(command=program, args=words, env=dict(self.env), cwd=self.cwd)
            async with stdio_client(start, errlog=seen.said) as streams:  # type: ignore[arg-type]
                yield streams
        else:
            import httpx2
            from mcp.client.streamable_http import streamable_http_client

            # A tool's own timeout is kept in `Connection.call`.
            patience = httpx2.Timeout(self.start_timeout, read=None)
            hooks = {"response": [seen.note]}
            async with (
                httpx2.AsyncClient(headers=self.headers, timeout=patience, event_hooks=hooks) as http,
                streamable_http_client(self.url, http_client=http) as streams,
            ):
                yield streams

    def _explained(self, error: Exception, seen: _Seen) -> ContemplateError:
        """What to tell the user of a server that cannot be started or reached, or that is gone."""
        cause: BaseException = error
        while isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        if isinstance(cause, ContemplateError):
            return cause
        if seen.started:
            return self.gone()
        why = self.hidden(seen.last_line() or str(cause) or type(cause).__name__)[:LONGEST_REASON]
        hint = "is it running, and at that address?"
        if self.url is None:
            hint = "is it installed? Try the command by itself: does it speak MCP?"
        elif seen.status >= 400:
            why = f"HTTP status {seen.status}"
            hint = "which headers= does it want?" if seen.status in (401, 403) else "is that its MCP endpoint?"
        could_not = "started" if self.url is None else "reached"
        return ToolServerError(f"MCP server {self.name!r} cannot be {could_not}: {why}", hint=hint)

    def gone(self) -> ToolServerError:
        """The error for a server that was there, and is no more."""
        hint = "it ended or hung up during the run; do without its tools"
        return ToolServerError(f"MCP server {self.name!r} is gone", hint=hint)

    def hidden(self, text: str) -> str:
        """`text` without the values of environment variables and headers, which a server may repeat."""
        values = [*self.env.values(), *self.headers.values()]
        # Of "Bearer ..." the last word alone, too.
        for secret in sorted({word for value in values for word in (value, *value.split()[-1:])}, key=len)[::-1]:
            if len(secret) >= SHORTEST_SECRET:
                text = text.replace(secret, "[secret]")
        return text


class _Seen:
    """What was seen of a server while it started: what it said on standard error, or its last HTTP status."""

    def __init__(self, said: IO[bytes]) -> None:
        self.said = said
        self.status = 0
        self.started = False

    async def note(self, response: Any) -> None:
        self.status = response.status_code

    def last_line(self) -> str:
        self.said.seek(max(0, self.said.seek(0, os.SEEK_END) - MOST_READ))
        return next(filter(None, map(str.strip, self.said.read().decode(errors="replace").splitlines()[::-1])), "")
