"""An open connection to an MCP server: its tools as subagents see them, and their results as text and images."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
from pydantic_core import from_json, to_json

from ...errors import ConfigurationError, ToolError, ToolServerError
from ...images import image_from_url
from ...messages import ImagePart, Part, TextPart
from ...models import ToolSpec, prompts_here
from ..embedded_json import unwrapped

if TYPE_CHECKING:
    from mcp import Client
    from mcp_types import CallToolResult, ContentBlock, Tool

LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class ToolSelection:
    """The selection of a server's tools, and their names."""

    prefix: str
    include: Collection[str] | None
    exclude: Collection[str]

    def of(self, tools: Sequence[Tool], server: str) -> dict[str, Tool]:
        """Return the selected tools by their new names.

        Raises:
            ConfigurationError: a selected tool does not exist, or two tools would have the same name.
        """
        existing = {tool.name for tool in tools}
        unknown = {*(self.include or ()), *self.exclude} - existing
        if unknown:
            raise ConfigurationError(
                f"MCP server {server!r} has no tool {', '.join(map(repr, sorted(unknown)))}",
                hint=f"there are: {', '.join(sorted(existing))}",
            )
        selected = [each for each in tools if self.include is None or each.name in self.include]
        selected = [each for each in selected if each.name not in self.exclude]
        by_name = {self._model_name(each.name): each for each in selected}
        if len(by_name) != len(selected):
            raise ConfigurationError(
                f"MCP server {server!r}: two tools would have the same name", hint="exclude one, or shorten prefix"
            )
        return by_name

    def _model_name(self, name: str) -> str:
        # Servers may use characters that providers do not accept, such as "." and "/".
        return re.sub(r"[^A-Za-z0-9_-]", "_", self.prefix + name)[:LONGEST_NAME]


@dataclass(frozen=True, slots=True)
class McpConnection:
    """A connected server with its selected tools.

    Args:
        name: the server's name.
        client: the MCP client.
        tools: the selected tools, by their names for models.
        timeout: seconds for one tool call.
        hidden: removes secrets from a text.
        gone: makes the error for a server that has ended.
        ended: returns whether it is known that the server has ended.
    """

    name: str
    client: Client
    tools: Mapping[str, Tool]
    timeout: float
    hidden: Callable[[str], str]
    gone: Callable[[], ToolServerError]
    ended: Callable[[], bool] = lambda: False

    @property
    def alive(self) -> bool:
        """Whether nothing is known of an end of the server."""
        return not self.ended()

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """The tools as models see them, with the server's own schemas and descriptions."""
        return tuple(
            ToolSpec(name, each.description or each.title or "", each.input_schema) for name, each in self.tools.items()
        )

    async def call(self, name: str, arguments: str) -> str | tuple[Part, ...]:
        """Call the tool `name` with `arguments`, a JSON object.

        Raises:
            ToolError: it failed, or did not answer in time.
            ToolServerError: the server has ended.
        """
        if name not in self.tools:
            raise ToolError(f"MCP server {self.name!r} no longer has this tool")
        try:
            given = from_json(arguments or "{}")
        except ValueError as error:
            raise ToolError(f"wrong arguments for {name}: {error}") from None
        if not isinstance(given, dict):
            raise ToolError(f"wrong arguments for {name}: not a JSON object")
        schema = self.tools[name].input_schema
        given = unwrapped(given, schema, schema)
        with anyio.move_on_after(self.timeout):
            return await self._call_server(self.tools[name].name, given)
        raise ToolError(f"{name} did not answer within {self.timeout:g} seconds")

    async def _call_server(self, name: str, arguments: dict[str, Any]) -> str | tuple[Part, ...]:
        from mcp import MCPError
        from mcp_types import CONNECTION_CLOSED

        try:
            result = await self.client.call_tool(name, arguments)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            raise self.gone() from None
        except (MCPError, RuntimeError) as error:
            # A RuntimeError means that the result does not match the server's own schema.
            if isinstance(error, MCPError) and error.code == CONNECTION_CLOSED:
                raise self.gone() from None
            raise ToolError(self.hidden(str(error))) from None
        if result.is_error:
            content = _content(result)
            raise ToolError(self.hidden(content if isinstance(content, str) else "") or f"{name} failed")
        return _content(result)


async def all_tools(client: Client) -> list[Tool]:
    """Return all tools of a server, from all pages."""
    page = await client.list_tools()
    tools = list(page.tools)
    while page.next_cursor:
        page = await client.list_tools(cursor=page.next_cursor)
        tools += page.tools
    return tools


def _content(result: CallToolResult) -> str | tuple[Part, ...]:
    """Return the text of a result, with its images if there are any."""
    # Both forms have the same content; the structured one is for programs.
    if not result.content and result.structured_content is not None:
        return to_json(result.structured_content).decode()
    blocks = [_block(block) for block in result.content]
    text = "\n".join(each for each in blocks if isinstance(each, str))
    images = [each for each in blocks if isinstance(each, ImagePart)]
    return (TextPart(text=text), *images) if images else text


def _block(block: ContentBlock) -> str | ImagePart:
    if block.type == "text":
        return block.text
    if block.type == "resource_link":
        return f"{block.name}: {block.uri}"
    if block.type == "resource":
        text = getattr(block.resource, "text", None)
        if text is not None:
            return str(text)
        kind, data = block.resource.mime_type or "resource", getattr(block.resource, "blob", "")
    else:
        kind, data = block.mime_type, block.data
    with suppress(ValueError):
        return image_from_url(f"data:{kind};base64,{data}")
    return prompts_here().render("tool_left_out", kind=kind)
