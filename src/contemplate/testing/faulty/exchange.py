"""A request and what became of it, and the protocol of a reply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from .http import HttpConnection


@dataclass(eq=False, slots=True)
class Exchange:
    """A request, and what became of it. Times are in seconds, on `time.monotonic`'s clock.

    Attributes:
        number: which request of the server's it is, from 0.
        body: the request's JSON.
        headers: with lower-case names.
        arrived: when the request was there.
        answered: when the last byte of the reply was sent; None if it never was, or if the reply broke it off.
        hung_up: when the client closed the connection before that; None if it did not.
        fault: which fault of a mixture it met.
    """

    number: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(repr=False)
    arrived: float
    answered: float | None = None
    hung_up: float | None = None
    fault: str | None = None

    @property
    def model(self) -> str:
        """Return the model that was asked for."""
        return str(self.body.get("model"))

    @property
    def messages(self) -> list[Mapping[str, Any]]:
        """Return the conversation."""
        return list(self.body.get("messages", ()))

    @property
    def streams(self) -> bool:
        """Return whether a stream was asked for."""
        return bool(self.body.get("stream"))

    @property
    def wants_usage(self) -> bool:
        """Return whether the usage is to be reported: in a stream, only if it was asked for."""
        return not self.streams or bool((self.body.get("stream_options") or {}).get("include_usage"))

    @property
    def schema(self) -> str | None:
        """Return the name of the JSON schema that was asked for; None if none was."""
        response_format = self.body.get("response_format") or {}
        name = response_format.get("json_schema", {}).get("name")
        return None if name is None else str(name)

    @property
    def prompt(self) -> str:
        """Return the text of the last message."""
        content = self.messages[-1].get("content") if self.messages else ""
        if isinstance(content, list):
            return "".join(part.get("text", "") for part in content)
        return content or ""


class Reply(Protocol):
    """Something that is sent for a request."""

    async def send(self, connection: HttpConnection, exchange: Exchange) -> None:
        """Send the reply. Cancelled when the client hangs up."""
