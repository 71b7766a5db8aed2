"""What a reply is to say, kept while the client is slow to read, and joined to fewer pieces."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager

import anyio

from ..errors import sole
from .deltas import ReplyDelta

# Pieces that may wait before they are joined: each takes more memory than what it says.
PIECES = 64
# Characters that may wait while a piece is being said. Whoever is so far behind does not read.
MOST_CHARACTERS = 256 * 1024
# Between two pieces of a stream, in seconds: what is written meanwhile is one piece. It is less than anybody sees, and
# longer where there are many streams, for each of them: so all of them make no more than some thousand pieces a second.
SHORTEST_PAUSE, PAUSE_EACH, LONGEST_PAUSE = 0.005, 0.0002, 0.1


class Unread(Exception):
    """Raised when a client does not read."""


class Outbox:
    """The pieces that wait to be said. Its methods but `deliver` and `watch` never wait, and raise nothing.

    Args:
        say: says one.
        streams: returns how many streams there are.
    """

    def __init__(self, say: Callable[[ReplyDelta], Awaitable[None]], streams: Callable[[], int]) -> None:
        self._say = say
        self._streams = streams
        self._waiting: list[ReplyDelta] = []
        self._characters = 0
        self._open = False
        self._wake = anyio.Event()
        self._closed = anyio.Event()
        self._broken = anyio.Event()
        self._error: Exception | None = None
        self._since: float | None = None
        self._last = -math.inf

    def put(self, delta: ReplyDelta) -> None:
        """Add a piece; if too much waits while another is not read, the reply breaks off."""
        self._waiting.append(delta)
        self._characters += len(delta.content) + len(delta.reasoning)
        if len(self._waiting) >= PIECES:
            self._waiting = list(joined(self._waiting))
        if self._since is not None and self._characters > MOST_CHARACTERS:
            self.fail(Unread())
        self._wake.set()

    def open(self) -> None:
        """Begin to say what waits; before this nothing is said, so that what fails at once can be told as an error."""
        if not self._open:
            self._open = True
            self._wake.set()

    def discard(self) -> None:
        """Say nothing of what waits, if nothing was said yet."""
        if not self._open:
            self._waiting.clear()

    def fail(self, error: Exception) -> None:
        """Break the reply off."""
        self._error = self._error or error
        self._broken.set()

    def close(self) -> None:
        """Say that no more will come."""
        self._open = True
        self._closed.set()
        self._wake.set()

    async def deliver(self) -> None:
        """Say everything, until it is closed and empty."""
        while self._waiting or not self._closed.is_set():
            if not (self._waiting and self._open):
                self._wake = anyio.Event()
                await self._wake.wait()
                continue
            due = self._last + min(LONGEST_PAUSE, max(SHORTEST_PAUSE, PAUSE_EACH * self._streams()))
            if anyio.current_time() < due:
                with anyio.move_on_at(due):
                    await self._closed.wait()
            waiting, self._waiting, self._characters = self._waiting, [], 0
            for delta in joined(waiting):
                self._last = self._since = anyio.current_time()
                await self._say(delta)
            self._since = None

    async def watch(self, seconds: float) -> None:
        """Wait until the reply breaks off.

        Raises:
            Unread: something was not read for so long, or too much waits.
            Exception: what it failed with.
        """
        while self._error is None:
            wait = seconds if self._since is None else self._since + seconds - anyio.current_time()
            with anyio.move_on_after(wait):
                await self._broken.wait()
            if self._since is not None and anyio.current_time() >= self._since + seconds:
                self.fail(Unread())
        raise self._error


@asynccontextmanager
async def delivering(
    say: Callable[[ReplyDelta], Awaitable[None]], unread_seconds: float, streams: Callable[[], int]
) -> AsyncIterator[Outbox]:
    """Say what is put into the outbox, beside the block, once it is open; and all of it when the block ends.

    If the block ends by an error before the outbox was opened, nothing is said.

    Raises:
        Unread: something was not read for `unread_seconds`, or too much waits.
    """
    box = Outbox(say, streams)
    failed: Exception | None = None
    try:
        async with anyio.create_task_group() as watching:
            watching.start_soon(box.watch, unread_seconds)
            async with anyio.create_task_group() as saying:
                saying.start_soon(box.deliver)
                try:
                    yield box
                except Exception as error:
                    failed = error
                    box.discard()
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
        if last and not _goes_on(last[-1], delta):
            yield _as_one(last)
            last = []
        # Contents do not precede the reasoning that they are joined to.
        last.append(delta)
    if last:
        yield _as_one(last)


def _goes_on(last: ReplyDelta, delta: ReplyDelta) -> bool:
    """Return whether a piece can be said with the one before it."""
    if delta.restart or delta.turn or delta.event is not None or last.event is not None:
        return False
    return not (delta.reasoning and last.content)


def _as_one(deltas: list[ReplyDelta]) -> ReplyDelta:
    if len(deltas) == 1:
        return deltas[0]
    reasoning, content = "".join(each.reasoning for each in deltas), "".join(each.content for each in deltas)
    return ReplyDelta(reasoning, content, deltas[0].restart, deltas[0].turn)
