"""What a reply is to say, kept while the client is slow to read, and joined to fewer pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager

import anyio

from ..errors import sole
from .deltas import ReplyDelta

# Pieces that may wait before they are joined: each takes more memory than what it says.
PIECES = 64
# Characters that may wait. Whoever is so far behind does not read.
MOST_CHARACTERS = 256 * 1024


class Unread(Exception):
    """Raised when a client does not read."""


class Outbox:
    """The pieces that wait to be said."""

    def __init__(self, say: Callable[[ReplyDelta], Awaitable[None]]) -> None:
        self._say = say
        self._waiting: list[ReplyDelta] = []
        self._characters = 0
        self._wake = anyio.Event()
        self._closed = False
        self._since: float | None = None

    def put(self, delta: ReplyDelta) -> None:
        """Add a piece.

        Raises:
            Unread: too much waits already.
        """
        self._waiting.append(delta)
        self._characters += len(delta.content) + len(delta.reasoning)
        if len(self._waiting) >= PIECES:
            self._waiting = list(joined(self._waiting))
        if self._characters > MOST_CHARACTERS:
            raise Unread
        self._wake.set()

    def close(self) -> None:
        """Say that no more will come."""
        self._closed = True
        self._wake.set()

    async def deliver(self) -> None:
        """Say everything, until it is closed and empty."""
        while self._waiting or not self._closed:
            if not self._waiting:
                self._wake = anyio.Event()
                await self._wake.wait()
                continue
            waiting, self._waiting, self._characters = self._waiting, [], 0
            for delta in joined(waiting):
                self._since = anyio.current_time()
                await self._say(delta)
            self._since = None

    async def watch(self, seconds: float) -> None:
        """Wait until something was not read for so long.

        Raises:
            Unread: that has happened.
        """
        while True:
            await anyio.sleep(seconds if self._since is None else self._since + seconds - anyio.current_time())
            if self._since is not None and anyio.current_time() >= self._since + seconds:
                raise Unread


@asynccontextmanager
async def delivering(say: Callable[[ReplyDelta], Awaitable[None]], unread_seconds: float) -> AsyncIterator[Outbox]:
    """Say what is put into the outbox, beside the block; all of it is said when the block ends, also by an error.

    Raises:
        Unread: something was not read for `unread_seconds`, or too much waits.
    """
    box = Outbox(say)
    try:
        async with anyio.create_task_group() as watching:
            watching.start_soon(box.watch, unread_seconds)
            async with anyio.create_task_group() as saying:
                saying.start_soon(box.deliver)
                try:
                    yield box
                except Unread:
                    raise
                except Exception as error:
                    failed: Exception | None = error
                else:
                    failed = None
                box.close()
            if failed is not None:
                raise failed
            watching.cancel_scope.cancel()
    except ExceptionGroup as errors:
        raise sole(errors) from None


def joined(deltas: Iterable[ReplyDelta]) -> Iterator[ReplyDelta]:
    """Join what can be said at once: a reply says its reasoning before its contents, and begins anew with a piece."""
    last: list[ReplyDelta] = []
    for delta in deltas:
        if last and (delta.restart or (delta.reasoning and last[-1].content)):
            yield _as_one(last)
            last = []
        # Contents do not precede the reasoning that they are joined to.
        last.append(delta)
    if last:
        yield _as_one(last)


def _as_one(deltas: list[ReplyDelta]) -> ReplyDelta:
    if len(deltas) == 1:
        return deltas[0]
    reasoning, content = "".join(each.reasoning for each in deltas), "".join(each.content for each in deltas)
    return ReplyDelta(reasoning, content, deltas[0].restart)
