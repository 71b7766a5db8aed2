"""Tools of MCP servers (Model Context Protocol, https://modelcontextprotocol.io). Needs the extra `mcp`.

server        a server that is started, or connected to, and what to say where that fails
connection    which of its tools are taken, what they are called, and what they return
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from ...errors import ConfigurationError, MissingDependencyError
from ..toolset import Toolset
from .connection import Choice
from .server import Server

__all__ = ["mcp_tools"]


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
    return Server(
        name=name or (_shown_url(words[0]) if is_url else _shown_command(words)),
        url=words[0] if is_url else None,
        command=words,
        env=dict(env or {}),
        cwd=cwd,
        headers=dict(headers or {}),
        choice=Choice(prefix, include, exclude),
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
