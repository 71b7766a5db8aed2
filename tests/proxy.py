"""A proxy of a server on this machine, and what a network does to it: nobody is let through, nothing is, or slowly."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Literal

Way = Literal["open", "refusing", "silent"]
READ = 1 << 16


class Proxy:
    """Passes on what comes to `port`, in a thread, until it is closed.

    Args:
        to: the port of the server.

    Attributes:
        port: its own.
    """

    def __init__(self, to: int) -> None:
        self._to = to
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._open = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._delay, self._at_once = 0.0, READ
        self.port = 0
        self._thread.start()
        self._do(self._become("open"))

    def open(self) -> None:
        """Let through whatever comes, and what has waited; at once."""
        self._delay, self._at_once = 0.0, READ
        self._do(self._become("open"))

    def refuse(self) -> None:
        """End all connections, and accept none."""
        self._do(self._become("refusing"))

    def hold(self) -> None:
        """Let nothing through, and end nothing: who connects has no answer."""
        self._do(self._become("silent"))

    def reset(self) -> None:
        """End all connections, as a network that has forgotten them."""
        self._do(self._end_all())

    def slow(self, delay: float, at_once: int) -> None:
        """Let each piece wait for `delay` seconds, of so many bytes at most."""
        self._delay, self._at_once = delay, at_once

    def close(self) -> None:
        """End it."""
        self.refuse()
        self._do(self._ended())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result()

    async def _become(self, way: Way) -> None:
        if way == "open":
            self._open.set()
        else:
            self._open.clear()
        if way == "refusing" and self._server is not None:
            self._server.close()
            self._server = None
            await self._end_all()
        elif way != "refusing" and self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _end_all(self) -> None:
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _ended(self) -> None:
        for pump in tuple(self._pumps):
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        both = [writer]
        try:
            await self._open.wait()
            there = await asyncio.open_connection("127.0.0.1", self._to)
            both.append(there[1])
            self._writers.add(there[1])
            pumps = [asyncio.create_task(self._pump(*pair)) for pair in ((reader, there[1]), (there[0], writer))]
            self._pumps.update(pumps)
            # Whichever end has gone, the other goes, too.
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
            self._pumps.difference_update(pumps)
        except OSError:
            pass
        finally:
            for each in both:
                self._writers.discard(each)
                each.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(self._at_once):
                await self._open.wait()
                if self._delay:
                    await asyncio.sleep(self._delay)
                writer.write(data)
                await writer.drain()
