"""Tools of MCP servers (Model Context Protocol, https://modelcontextprotocol.io). Needs the extra `mcp`.

server        start a server or connect to it, and explain failures
connection    select and name its tools, call them, and convert their results
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from ...arguments import checked_arguments
from ...errors import ConfigurationError, MissingDependencyError
from ..tool import ApprovalRule
from ..toolset import Toolset
from .connection import ToolSelection
from .server import Server

__all__ = ["mcp_tools"]


@checked_arguments
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
    approval: ApprovalRule = False,
) -> Toolset:
    """Return the tools of an MCP server: `Contemplator(tools=[mcp_tools("uvx mcp-server-time")])`.

    A run starts the server, or connects to it, before the first model call, and stops it when the run ends in any way.
    A server that does not stop is killed, with its children, after two seconds.

    Args:
        server: a command, as one string or its words, that uses the stdio transport; or the URL of a server that uses
            streamable HTTP.
        name: its name in errors; if None, the start of the command, or the URL without its query.
        prefix: added to each tool's name, so that two servers may have tools with the same name.
        include: the tools to use, by the server's names; all if None.
        exclude: the tools to leave out.
        env: environment variables for the command, which inherits only a few others such as `PATH`.
        cwd: the directory in which the command is started.
        headers: sent with every request to the URL, such as `{"Authorization": "Bearer ..."}`.
        timeout: seconds for one tool call; then the model is told that there was no answer.
        start_timeout: seconds within which the server must be ready.
        approval: whether each call needs an approval, or a function of the tool's name and its arguments that says
            whether this one does: True, or a text that says why. It may be async; if it fails, the call needs one.

    Raises:
        MissingDependencyError: the extra `mcp` is not installed.
        ConfigurationError: an option does not fit the kind of server, the URL contains a password, or a header cannot
            be sent.
    """
    if find_spec("mcp") is None:
        raise MissingDependencyError("mcp_tools", "mcp")
    is_url = isinstance(server, str) and urlsplit(server).scheme in ("http", "https")
    words = (str(server),) if is_url else tuple(shlex.split(server) if isinstance(server, str) else server)
    if not words:
        raise ConfigurationError("mcp_tools: the command is empty", hint="give a command, or a URL")
    if is_url and "@" in urlsplit(words[0]).netloc:
        raise ConfigurationError("mcp_tools: the URL contains a user name", hint="use headers= instead")
    if (is_url and (env or cwd)) or (headers and not is_url):
        raise ConfigurationError("mcp_tools: env and cwd are for commands, and headers for URLs")
    for header, value in (headers or {}).items():
        if not (value.isascii() and value.isprintable()):
            raise ConfigurationError(
                f"mcp_tools: the header {header!r} contains a line break, or a character that is not ASCII",
                hint="was more than the key copied?",
            )
    if timeout <= 0 or start_timeout <= 0:
        raise ConfigurationError(f"mcp_tools: timeout={timeout}, start_timeout={start_timeout}: both must be above 0")
    return Server(
        name=name or (_url_without_secrets(words[0]) if is_url else _command_without_secrets(words)),
        url=words[0] if is_url else None,
        command=words,
        env=dict(env or {}),
        cwd=cwd,
        headers=dict(headers or {}),
        choice=ToolSelection(prefix, include, exclude),
        timeout=timeout,
        start_timeout=start_timeout,
        approval=approval,
    )


def _url_without_secrets(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def _command_without_secrets(words: Sequence[str]) -> str:
    """Return the program and its script or module; the other words may be secrets."""
    safe = [Path(words[0]).name]
    if words[1:2] == ("-m",):
        safe += words[1:3]
    elif words[1:] and words[1][0:1] != "-" and "=" not in words[1]:
        safe.append(words[1])
    return " ".join(safe)
