"""Shared prompt prefixes: one call goes first, and the others wait until the prefix is in the provider's cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2s
from math import inf
from weakref import WeakKeyDictionary

import anyio
from pydantic_core import to_json

from ...events import Queue
from ...messages import ImagePart
from ..base import ModelRequest
from ..per_loop import PerLoop
from ..tokens import BYTES_PER_TOKEN

MOST_REMEMBERED = 256


def beginning(request: ModelRequest, tokens: int) -> bytes | None:
    """Return a digest of roughly the first `tokens` of a prompt; None if it is shorter.

    The prompt is in the order that providers use: tools, the output schema, then the messages. Images have no length,
    but prompts with different images differ.
    """
    left = tokens * BYTES_PER_TOKEN
    digest = blake2s(digest_size=16)
    for piece in _pieces(request):
        data = piece.encode(errors="surrogatepass")
        digest.update(data[:left])
        left -= len(data)
        if left <= 0:
            return digest.digest()
    return None


def _pieces(request: ModelRequest) -> Iterator[str]:
    for tool in request.tools:
        yield f"{tool.name}\0{tool.description}\0{to_json(tool.parameters).decode()}\0"
    if request.output_schema is not None:
        yield to_json(request.output_schema.schema).decode()
    for message in request.messages:
        yield f"\0{message.role}\0"
        for part in message.parts:
            # Python caches the hash of bytes, so each image is read only once.
            yield f"\0{hash((part.url, part.data))}\0" if isinstance(part, ImagePart) else part.text


@dataclass(slots=True, eq=False)
class _Waiter:
    leads: bool = False
    over: anyio.Event = field(default_factory=anyio.Event)


class Beginnings:
    """The prompt prefixes that are cached (warm), and the calls that wait for one. For one event loop.

    Args:
        seconds: how long a prefix stays warm after its last use.
    """

    def __init__(self, seconds: float = inf) -> None:
        self._seconds = seconds
        self._warm: dict[bytes, float] = {}
        self._lines: dict[bytes, dict[_Waiter, None]] = {}

    async def leads(
        self, key: bytes, patience: float = inf, on_queue: Callable[[Queue | None], None] = lambda _: None
    ) -> bool:
        """Return whether the caller must warm `key`. False if it is warm, or after waiting `patience` seconds.

        A caller that leads must call `warmed` or `given_up` in any case. `on_queue` is told if it waits, and when not
        any more.
        """
        if self._is_warm(key):
            return False
        line = self._lines.get(key)
        if line is None:
            self._lines[key] = {}
            return True
        waiter = _Waiter()
        line[waiter] = None
        on_queue("prefix")
        try:
            with anyio.move_on_after(patience):
                await waiter.over.wait()
        except BaseException:
            if waiter.leads:
                self.given_up(key)
            raise
        finally:
            line.pop(waiter, None)
        on_queue(None)
        return waiter.leads

    def waiting(self, key: bytes) -> int:
        """Return how many calls wait for `key`."""
        return len(self._lines.get(key, ()))

    def warmed(self, key: bytes) -> None:
        """Note that `key` is warm, and release all calls that wait for it."""
        self._remember(key)
        for waiter in self._lines.pop(key, ()):
            waiter.over.set()

    def given_up(self, key: bytes) -> None:
        """Note that the leader failed or was cancelled; the next in line leads."""
        line = self._lines.get(key)
        if not line:
            self._lines.pop(key, None)
            return
        next_leader = next(iter(line))
        del line[next_leader]
        next_leader.leads = True
        next_leader.over.set()

    def forget(self) -> None:
        """Forget which prefixes are warm."""
        self._warm.clear()

    def _is_warm(self, key: bytes) -> bool:
        since = self._warm.get(key)
        if since is None or anyio.current_time() - since > self._seconds:
            return False
        self._remember(key)
        return True

    def _remember(self, key: bytes) -> None:
        self._warm.pop(key, None)
        self._warm[key] = anyio.current_time()
        if len(self._warm) > MOST_REMEMBERED:
            del self._warm[next(iter(self._warm))]


# Kept for each event loop, as events and clocks belong to one.
_all: PerLoop[WeakKeyDictionary[object, Beginnings]] = PerLoop("beginnings", WeakKeyDictionary)


def beginnings_of(owner: object, seconds: float = inf) -> Beginnings:
    """Return the prefixes of `owner` in this event loop, which stay warm for `seconds`."""
    known = _all.here()
    found = known.get(owner)
    if found is None:
        found = known[owner] = Beginnings(seconds)
    return found
