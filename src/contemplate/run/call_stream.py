"""A model call whose deltas are read while it runs."""

from __future__ import annotations

from ..models import Delta, ModelResponse
from .mailbox import Mailbox


class CallStream:
    """A call in progress: iterate over its deltas, then read `response`. The iteration raises what the call raised."""

    def __init__(self) -> None:
        self.deltas: Mailbox[Delta] = Mailbox()
        self.response: ModelResponse | None = None
        self.error: Exception | None = None

    @property
    def finished(self) -> ModelResponse:
        """The whole response.

        Raises:
            RuntimeError: the call is not over.
        """
        if self.response is None:
            raise RuntimeError("the call is not over: iterate over its deltas to the end first")
        return self.response

    def __aiter__(self) -> CallStream:
        return self

    async def __anext__(self) -> Delta:
        try:
            return await self.deltas.__anext__()
        except StopAsyncIteration:
            if self.error is not None:
                raise self.error from None
            raise
