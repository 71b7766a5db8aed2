"""An MCP server: a command or a URL. Its errors name it, suggest a remedy, and contain no secrets."""

from __future__ import annotations

import math
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, Any

import anyio

from ...errors import ContemplateError, ToolServerError
from ...models.proxies import proxy_for
from ..tool import ApprovalRule
from .connection import McpConnection, ToolSelection, all_tools
from .listing import MendedListing

SHORTEST_SECRET = 4
LONGEST_REASON = 400
MOST_READ = 65_536

# The shell leads the server's process group, and ends it as a whole: when the server ends, so that its child processes
# end with it, and when this process ends, however that happens. The named pipe $1 shows that, as nobody else holds it
# open for writing.
WITH_ITS_CHILDREN = """\
exec 9<"$1"
trap '' TERM
(read -r _ <&9; rm -f "$1"; rmdir "${1%/*}"; kill -KILL 0) &
trap : TERM
exec 9<&-
shift
"$@"
kill -KILL 0
"""


@dataclass(frozen=True, slots=True, eq=False)
class Server:
    """A toolset from an MCP server, which runs as long as `open_tools`. See `mcp_tools`."""

    name: str
    url: str | None
    command: Sequence[str]
    env: Mapping[str, str]
    cwd: str | Path | None
    headers: Mapping[str, str]
    choice: ToolSelection
    timeout: float
    start_timeout: float
    approval: ApprovalRule = False

    def __repr__(self) -> str:
        return f"mcp_tools({self.name!r})"

    @asynccontextmanager
    async def open_tools(self) -> AsyncIterator[McpConnection]:
        """Start the server, or connect to it, until the context ends.

        Raises:
            ToolServerError: the server cannot be started or reached, or has ended.
            ConfigurationError: it does not have the selected tools.
        """
        from mcp import Client

        with TemporaryFile() as stderr:
            log = _StartLog(stderr)
            try:
                with anyio.move_on_after(self.start_timeout) as starting:
                    async with Client(self._transport(log)) as client:
                        tools = self.choice.of(await all_tools(client), self.name)
                        starting.deadline = math.inf
                        log.started = True
                        yield McpConnection(
                            self.name, client, tools, self.timeout, self.hidden, self.gone, lambda: log.ended
                        )
            except Exception as error:
                raise self._error_for(error, log) from None
        if starting.cancelled_caught:
            raise ToolServerError(
                f"MCP server {self.name!r} was not ready after {self.start_timeout:g} seconds",
                hint="raise start_timeout, or run it by itself: does it speak MCP?",
            )

    @asynccontextmanager
    async def _transport(self, log: _StartLog) -> AsyncIterator[Any]:
        if self.url is None:
            from mcp import StdioServerParameters
            from mcp.client.stdio import stdio_client

            with _ended_with_us(self.command) as (program, *words):
                start = StdioServerParameters(
                    command=program,
                    args=words,
                    env=dict(self.env),
                    cwd=self.cwd,
                    # One line that is not UTF-8 must not end the reading of all others.
                    encoding_error_handler="replace",
                )
                async with stdio_client(start, errlog=log.stderr) as (messages, sink):  # type: ignore[arg-type]
                    yield MendedListing(messages, self.name, log.end), sink
        else:
            import httpx2
            from mcp.client.streamable_http import streamable_http_client

            # `McpConnection.call` applies the timeout of tool calls.
            patience = httpx2.Timeout(self.start_timeout, read=None)
            hooks = {"response": [log.note]}
            # A proxy that it does not need, or that cannot be used, must not stop the client.
            http = httpx2.AsyncClient(
                headers=self.headers,
                timeout=patience,
                event_hooks=hooks,
                verify=httpx2.create_ssl_context(),
                trust_env=False,
                proxy=proxy_for(self.url),
            )
            async with (
                http,
                streamable_http_client(self.url, http_client=http) as (messages, sink),
            ):
                yield MendedListing(messages, self.name, log.end), sink

    def _error_for(self, error: Exception, log: _StartLog) -> ContemplateError:
        """Return the error for a server that cannot be started or reached, or that has ended."""
        cause: BaseException = error
        while isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        if isinstance(cause, ContemplateError):
            return cause
        if log.started:
            return self.gone()
        reason = self.hidden(log.last_line() or str(cause) or type(cause).__name__)[:LONGEST_REASON]
        hint = "is it running at that address?"
        if self.url is None:
            hint = "is it installed? Run the command by itself: does it speak MCP?"
        elif log.status >= 400:
            reason = f"HTTP status {log.status}"
            hint = "which headers= does it need?" if log.status in (401, 403) else "is that its MCP endpoint?"
        could_not = "started" if self.url is None else "reached"
        return ToolServerError(f"MCP server {self.name!r} cannot be {could_not}: {reason}", hint=hint)

    def gone(self) -> ToolServerError:
        """Return the error for a server that has ended."""
        hint = "it ended or disconnected during the run; continue without its tools"
        return ToolServerError(f"MCP server {self.name!r} is gone", hint=hint)

    def hidden(self, text: str) -> str:
        """Return `text` without the values of environment variables and headers, which a server may repeat."""
        values = [*self.env.values(), *self.headers.values()]
        # Also the last word alone, for "Bearer ...".
        for secret in sorted({word for value in values for word in (value, *value.split()[-1:])}, key=len)[::-1]:
            if len(secret) >= SHORTEST_SECRET:
                text = text.replace(secret, "[secret]")
        return text


@contextmanager
def _ended_with_us(command: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the command that runs `command`, and ends it with its children when this process ends."""
    if os.name != "posix":
        yield command
        return
    with TemporaryDirectory(prefix="contemplate-") as folder:
        pipe = os.path.join(folder, "alive")
        os.mkfifo(pipe, 0o600)
        # Read and write, as opening it for writing alone waits for a reader.
        held = os.open(pipe, os.O_RDWR)
        try:
            yield ("/bin/sh", "-c", WITH_ITS_CHILDREN, "sh", pipe, *command)
        finally:
            os.close(held)


class _StartLog:
    """What is known of a server that starts: its standard error, or its last HTTP status; later, whether it ended."""

    def __init__(self, stderr: IO[bytes]) -> None:
        self.stderr = stderr
        self.status = 0
        self.started = self.ended = False

    def end(self) -> None:
        self.ended = True

    async def note(self, response: Any) -> None:
        self.status = response.status_code

    def last_line(self) -> str:
        self.stderr.seek(max(0, self.stderr.seek(0, os.SEEK_END) - MOST_READ))
        return next(filter(None, map(str.strip, self.stderr.read().decode(errors="replace").splitlines()[::-1])), "")
