"""A request with its outcome, and the protocol of a reply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from .http import HttpConnection


@dataclass(eq=False, slots=True)
class Exchange:
    """A request, and its outcome. Times are in seconds, on the clock of `time.monotonic`.

    Attributes:
        number: the number of the request at this server, from 0.
        body: the request's JSON.
        headers: with lower-case names.
        arrived: when the request had arrived.
        answered: when the last byte of the reply was sent; None if it was not, or the reply closed the connection.
        hung_up: when the client closed the connection before that; None if it did not.
        fault: the name of the fault, if a mixture chose one.
        path: the path of its URL.
    """

    number: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(repr=False)
    arrived: float
    answered: float | None = None
    hung_up: float | None = None
    fault: str | None = None
    path: str = "/v1/chat/completions"

    @property
    def model(self) -> str:
        """The requested model."""
        return str(self.body.get("model"))

    @property
    def messages(self) -> list[Mapping[str, Any]]:
        """The messages of the conversation."""
        return list(self.body.get("messages", ()))

    @property
    def streams(self) -> bool:
        """Whether the request asks for a stream."""
        return bool(self.body.get("stream"))

    @property
    def wants_usage(self) -> bool:
        """Whether to report the usage: in a stream, only if requested."""
        return not self.streams or bool((self.body.get("stream_options") or {}).get("include_usage"))

    @property
    def schema(self) -> str | None:
        """The name of the requested JSON schema; None if there is none."""
        response_format = self.body.get("response_format") or {}
        name = response_format.get("json_schema", {}).get("name")
        return None if name is None else str(name)

    @property
    def prompt(self) -> str:
        """The text of the last message."""
        content = self.messages[-1].get("content") if self.messages else ""
        if isinstance(content, list):
            return "".join(part.get("text", "") for part in content)
        return content or ""


class Reply(Protocol):
    """A reply to a request."""

    async def send(self, connection: HttpConnection, exchange: Exchange) -> None:
        """Send the reply. Cancelled when the client disconnects."""
