"""Mend lists of tools that do not follow the protocol: one odd tool must not cost all the others of its server."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import anyio

if TYPE_CHECKING:
    from mcp.client._transport import ReadStream
    from mcp.shared.message import SessionMessage


class MendedListing:
    """A stream of a server's messages in which every list of tools can be read.

    Args:
        messages: the messages as they arrive.
        server: the server's name.
        ended: called when no more messages will arrive, as the server has ended.
    """

    def __init__(
        self, messages: ReadStream[SessionMessage | Exception], server: str, ended: Callable[[], None]
    ) -> None:
        self._messages = messages
        self._server = server
        self._ended = ended

    @property
    def last_context(self) -> Any:
        """The context in which the last message was sent, if the stream knows it."""
        return getattr(self._messages, "last_context", None)

    async def receive(self) -> SessionMessage | Exception:
        """Return the next message."""
        try:
            return self._mended(await self._messages.receive())
        except anyio.EndOfStream:
            self._ended()
            raise

    async def aclose(self) -> None:
        """Close the stream."""
        await self._messages.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return self._mended(await self._messages.__anext__())
        except StopAsyncIteration:
            self._ended()
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def _mended(self, message: SessionMessage | Exception) -> SessionMessage | Exception:
        result = None if isinstance(message, Exception) else getattr(message.message, "result", None)
        if isinstance(result, dict) and isinstance(result.get("tools"), list):
            result["tools"] = [tool for each in result["tools"] if (tool := self._tool(each)) is not None]
        return message

    def _tool(self, given: Any) -> dict[str, Any] | None:
        """Return what is used of a tool, in the form of the protocol; None if it has no name."""
        name = given.get("name") if isinstance(given, dict) else None
        if not isinstance(name, str) or not name:
            logging.getLogger("contemplate").warning("MCP server %r: a tool without a name is left out", self._server)
            return None
        words = {key: given[key] for key in ("title", "description") if isinstance(given.get(key), str)}
        schemas = {"inputSchema": {"type": "object", "properties": {}} | _object_schema(given.get("inputSchema"))}
        output = _object_schema(given.get("outputSchema"))
        return {"name": name, **words, **schemas, **({"outputSchema": output} if output else {})}


def _object_schema(given: Any) -> dict[str, Any]:
    """Return `given` if it is the schema of an object, as arguments and results are; else {}."""
    is_schema = isinstance(given, dict) and given and given.get("type", "object") == "object"
    return {**given, "type": "object"} if is_schema else {}
