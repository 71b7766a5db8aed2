"""Tools of MCP servers (Model Context Protocol, https://modelcontextprotocol.io). Needs the extra `mcp`."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio
from pydantic_core import from_json, to_json

from .errors import ConfigurationError, ContemplateError, MissingDependencyError, ToolError, ToolServerError
from .models import ToolSpec
from .prompts import render
from .toolsets import Toolset

if TYPE_CHECKING:
    from mcp import Client
    from mcp_types import CallToolResult, ContentBlock
    from mcp_types import Tool as ServerTool

LONGEST_NAME = 64
SHORTEST_SECRET = 4
LAST_WORDS = 400


def mcp_tools(
    server: str | Sequence[str],
    *,
    name: str | None = None,
    prefix: str = "",
    include: Collection[str] | None = None,
    exclude: Collection[str] = (),
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 60.0,
    start_timeout: float = 60.0,
) -> Toolset:
    """The tools of an MCP server: `Contemplator(tools=[mcp_tools("uvx mcp-server-time")])`.

    A run starts the server, or connects to it, before anything is asked of a model, and ends it when the run ends,
    however that is. One that does not end by itself is killed, with its children, after two seconds.

    Args:
        server: a command, as one line or as its words, that talks over standard input and output; or the URL of a
            server that talks streamable HTTP.
        name: what errors call it; if None, the beginning of the command, or the URL without its query.
        prefix: stands before each tool's name, so that two servers may have tools of one name.
        include: only these tools, by the server's names for them; all if None.
        exclude: not these.
        env: environment variables for the command. It gets these, and of the others only a few such as `PATH`.
        cwd: the directory in which the command is started.
        headers: sent with every request to the URL, such as `{"Authorization": "Bearer ..."}`.
        timeout: seconds for one use of a tool; then the model is told that there was no answer.
        start_timeout: seconds until the server must be ready.

    Raises:
        MissingDependencyError: the extra `mcp` is not installed.
        ConfigurationError: an option does not fit the kind of server, or the URL has a password in it.
    """
    if find_spec("mcp") is None:
        raise MissingDependencyError("mcp_tools", "mcp")
    is_url = isinstance(server, str) and urlsplit(server).scheme in ("http", "https")
    words = (str(server),) if is_url else tuple(shlex.split(server) if isinstance(server, str) else server)
    if not words:
        raise ConfigurationError("mcp_tools: the command is empty", hint="give a command, or a URL")
    if is_url and "@" in urlsplit(words[0]).netloc:
        raise ConfigurationError("mcp_tools: the URL has a user's name in it", hint="use headers= instead")
    if (is_url and (env or cwd)) or (headers and not is_url):
        raise ConfigurationError("mcp_tools: env and cwd are for commands, and headers for URLs")
    if timeout <= 0 or start_timeout <= 0:
        raise ConfigurationError(f"mcp_tools: timeout={timeout}, start_timeout={start_timeout}: above 0 are needed")
    return _Server(
        name=name or (_shown_url(words[0]) if is_url else _shown_command(words)),
        url=words[0] if is_url else None,
        command=words,
        env=dict(env or {}),
        cwd=cwd,
        headers=dict(headers or {}),
        choice=_Choice(prefix, include, exclude),
        timeout=timeout,
        start_timeout=start_timeout,
    )


def _shown_url(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def _shown_command(words: Sequence[str]) -> str:
    """The program and what it runs; the rest may hold secrets."""
    shown = [Path(words[0]).name]
    if words[1:2] == ("-m",):
        shown += words[1:3]
    elif words[1:] and words[1][0:1] != "-" and "=" not in words[1]:
        shown.append(words[1])
    return " ".join(shown)


@dataclass(frozen=True, slots=True)
class _Choice:
    """Which of a server's tools are taken, and under which names."""

    prefix: str
    include: Collection[str] | None
    exclude: Collection[str]

    def of(self, tools: Sequence[ServerTool], server: str) -> dict[str, ServerTool]:
        there = {tool.name for tool in tools}
        unknown = {*(self.include or ()), *self.exclude} - there
        if unknown:
            raise ConfigurationError(
                f"MCP server {server!r} has no tool {', '.join(map(repr, sorted(unknown)))}",
                hint=f"there are: {', '.join(sorted(there))}",
            )
        taken = [each for each in tools if self.include is None or each.name in self.include]
        taken = [each for each in taken if each.name not in self.exclude]
        chosen = {self._named(each.name): each for each in taken}
        if len(chosen) != len(taken):
            raise ConfigurationError(
                f"MCP server {server!r}: two tools get one name", hint="exclude one, or shorten prefix"
            )
        return chosen

    def _named(self, name: str) -> str:
        # Providers take fewer characters than servers may use, such as "." and "/".
        return re.sub(r"[^A-Za-z0-9_-]", "_", self.prefix + name)[:LONGEST_NAME]


@dataclass(frozen=True, slots=True, eq=False)
class _Server:
    name: str
    url: str | None
    command: Sequence[str]
    env: Mapping[str, str]
    cwd: str | Path | None
    headers: Mapping[str, str]
    choice: _Choice
    timeout: float
    start_timeout: float

    def __repr__(self) -> str:
        return f"mcp_tools({self.name!r})"

    @asynccontextmanager
    async def open_tools(self) -> AsyncIterator[_Connection]:
        from mcp import Client

        with TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
            seen = _Seen(said)
            try:
                with anyio.move_on_after(self.start_timeout) as starting:
                    async with Client(self._transport(seen)) as client:
                        tools = self.choice.of(await _all_tools(client), self.name)
                        starting.deadline = math.inf
                        seen.started = True
                        yield _Connection(self, client, tools)
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

            program, *words = self.command
            start = StdioServerParameters(command=program, args=words, env=dict(self.env), cwd=self.cwd)
            async with stdio_client(start, errlog=seen.said) as streams:  # type: ignore[arg-type]
                yield streams
        else:
            import httpx2
            from mcp.client.streamable_http import streamable_http_client

            # A tool's own timeout is kept in `_Connection.call`.
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
        what = f"MCP server {self.name!r} cannot be " + ("started" if self.url is None else "reached")
        if isinstance(cause, OSError) and self.url is None:
            hint = "is it installed, and on the PATH? Does the directory exist?"
            return ToolServerError(f"{what}: {self.hidden(cause.strerror or str(cause))}", hint=hint)
        told = self.hidden(seen.last_words() or str(cause) or type(cause).__name__)
        if seen.status in (401, 403):
            return ToolServerError(f"{what}: HTTP status {seen.status}", hint="which headers= does it want?")
        if seen.status >= 400:
            return ToolServerError(f"{what}: HTTP status {seen.status}", hint="is that the server's MCP endpoint?")
        if self.url is not None:
            return ToolServerError(f"{what}: {told}", hint="is it running at that address?")
        return ToolServerError(f"{what}: {told}", hint="try the command by itself; does it speak MCP?")

    def gone(self) -> ToolServerError:
        """The error for a server that was there, and is no more."""
        hint = "it ended or hung up during the run; do without its tools"
        return ToolServerError(f"MCP server {self.name!r} is gone", hint=hint)

    def hidden(self, text: str) -> str:
        """`text` without the values of environment variables and headers, which a server may repeat."""
        values = [*self.env.values(), *self.headers.values()]
        for secret in sorted({*values, *(value.split()[-1] for value in values if value.split())}, key=len)[::-1]:
            if len(secret) >= SHORTEST_SECRET:
                text = text.replace(secret, "[secret]")
        return text


class _Seen:
    """What was seen of a server while it started: what it said on standard error, or its last HTTP status."""

    def __init__(self, said: IO[str]) -> None:
        self.said = said
        self.status = 0
        self.started = False

    async def note(self, response: Any) -> None:
        self.status = response.status_code

    def last_words(self) -> str:
        self.said.seek(0)
        return self.said.read()[-LAST_WORDS:].strip()


class _Connection:
    def __init__(self, server: _Server, client: Client, tools: Mapping[str, ServerTool]) -> None:
        self._server = server
        self._client = client
        self._tools = tools

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        return tuple(
            ToolSpec(name, tool.description or tool.title or "", tool.input_schema)
            for name, tool in self._tools.items()
        )

    async def call(self, name: str, arguments: str) -> str:
        if name not in self._tools:
            raise ToolError(f"MCP server {self._server.name!r} no longer has this tool")
        try:
            given = from_json(arguments or "{}")
        except ValueError as error:
            raise ToolError(f"wrong arguments for {name}: no JSON: {error}") from None
        if not isinstance(given, dict):
            raise ToolError(f"wrong arguments for {name}: not a JSON object")
        with anyio.move_on_after(self._server.timeout):
            return await self._called(self._tools[name].name, given)
        raise ToolError(f"{name} did not answer within {self._server.timeout:g} seconds")

    async def _called(self, name: str, arguments: dict[str, Any]) -> str:
        from mcp import MCPError
        from mcp_types import CONNECTION_CLOSED

        try:
            result = await self._client.call_tool(name, arguments)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            raise self._server.gone() from None
        except MCPError as error:
            if error.code == CONNECTION_CLOSED:
                raise self._server.gone() from None
            raise ToolError(self._server.hidden(error.message)) from None
        except RuntimeError as error:
            # What it returned does not fit the schema that it had given itself.
            raise ToolError(self._server.hidden(str(error))) from None
        if result.is_error:
            raise ToolError(self._server.hidden(_text(result)) or f"{name} failed")
        return _text(result)


async def _all_tools(client: Client) -> list[ServerTool]:
    page = await client.list_tools()
    tools = list(page.tools)
    while page.next_cursor:
        page = await client.list_tools(cursor=page.next_cursor)
        tools += page.tools
    return tools


def _text(result: CallToolResult) -> str:
    # A server says the same in both; the structured form is for programs.
    if not result.content and result.structured_content is not None:
        return to_json(result.structured_content).decode()
    return "\n".join(map(_block, result.content))


def _block(block: ContentBlock) -> str:
    if block.type == "text":
        return block.text
    if block.type == "resource_link":
        return f"{block.name}: {block.uri}"
    if block.type == "resource":
        return getattr(block.resource, "text", None) or _left_out(block.resource.mime_type or "resource")
    return _left_out(block.mime_type)


def _left_out(kind: str) -> str:
    return render("tool_left_out", kind=kind)
