"""A cheap server with just enough of OpenAI's protocol: `python -m benchmarks.speed.server`, which prints its URL.

It answers every question with the same words, streamed or not, after as long as the path says: under `/50/v1` after
50 ms. Under `/stream-200/v1` it answers at once, and streams 200 chunks, one every 5 ms. Under `/hold-1000/v1` answers
wait until 1,000 requests do, or no further request has come for a while; `/holds-1000/` itself is answered when so many
wait.
"""

from __future__ import annotations

import asyncio
import json
import sys

CHUNK_SECONDS = 0.005
# A client that has begun a wave may well pause in it: to open connections, or to collect garbage.
QUIET_SECONDS, PAUSE_SECONDS = 0.8, 8.0
# dspy asks for its own marks around an answer, and would ask again if there were none.
START, STOP = "[[ ## answer ## ]]\n", "\n\n[[ ## completed ## ]]"
TEXT = START + "It is so. " * 10 + STOP
USAGE = {"prompt_tokens": 40, "completion_tokens": 40, "total_tokens": 80}
COMMON = {"id": "chatcmpl-1", "created": 1, "model": "m"}


def _whole() -> bytes:
    message = {"role": "assistant", "content": TEXT}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    body = json.dumps({**COMMON, "object": "chat.completion", "choices": [choice], "usage": USAGE}).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body


def _event(data: str) -> bytes:
    line = f"data: {data}\n\n".encode()
    return b"%x\r\n%s\r\n" % (len(line), line)


def _chunk(text: str | None = None, finish: str | None = None, *, usage: bool = False) -> bytes:
    delta = {} if text is None else {"role": "assistant", "content": text}
    choices = [] if usage else [{"index": 0, "delta": delta, "finish_reason": finish}]
    counted = USAGE if usage else None
    return _event(json.dumps({**COMMON, "object": "chat.completion.chunk", "choices": choices, "usage": counted}))


WHOLE = _whole()
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
FIRST, NEXT, LAST = _chunk(START), _chunk("It is so. "), _chunk(STOP)
END = LAST + _chunk(finish="stop") + _chunk(usage=True) + _event("[DONE]") + b"0\r\n\r\n"


class _Held:
    """Answers that wait for each other."""

    def __init__(self) -> None:
        self._waiting: list[tuple[_Connection, bool]] = []
        self._watchers: list[tuple[_Connection, int]] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, connection: _Connection, until: int, streamed: bool) -> None:
        self._waiting.append((connection, streamed))
        if self._timer is not None:
            self._timer.cancel()
        if len(self._waiting) >= until:
            self._release()
        else:
            quiet = QUIET_SECONDS if len(self._waiting) <= 8 else PAUSE_SECONDS
            self._timer = asyncio.get_running_loop().call_later(quiet, self._release)
            self._tell()

    def watch(self, connection: _Connection, until: int) -> None:
        self._watchers.append((connection, until))
        self._tell()

    def _tell(self) -> None:
        told = [each for each in self._watchers if len(self._waiting) >= each[1]]
        self._watchers = [each for each in self._watchers if each not in told]
        for connection, _ in told:
            connection.answer(streamed=False)

    def _release(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each, streamed in waiting:
            each.answer(streamed)


HELD = _Held()


class _Connection(asyncio.Protocol):
    """One connection, with one request at a time."""

    transport: asyncio.Transport
    read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.read += data
        head, found, body = self.read.partition(b"\r\n\r\n")
        if not found:
            return
        _, known, length = head.lower().partition(b"content-length: ")
        if (len(body) < int(length.partition(b"\r\n")[0])) if known else not body.endswith(b"0\r\n\r\n"):
            return
        self.read = b""
        self._asked(head.split(b"/", 2)[1].decode(), b'"stream":true' in body.replace(b" ", b""))

    def _asked(self, pace: str, streamed: bool) -> None:
        loop = asyncio.get_running_loop()
        name, _, number = pace.rpartition("-")
        if name == "hold":
            HELD.add(self, int(number), streamed)
        elif name == "holds":
            HELD.watch(self, int(number))
        elif name == "stream" and streamed:
            self.transport.write(HEAD + FIRST)
            loop.call_later(CHUNK_SECONDS, self._piece, int(number) - 2, loop.time() + CHUNK_SECONDS)
        else:
            loop.call_later(0 if name else int(number) / 1000, self.answer, streamed)

    def answer(self, streamed: bool) -> None:
        self.transport.write(HEAD + FIRST + 10 * NEXT + END if streamed else WHOLE)

    def _piece(self, left: int, at: float) -> None:
        if self.transport.is_closing():
            return
        if left == 0:
            self.transport.write(END)
            return
        self.transport.write(NEXT)
        at += CHUNK_SECONDS
        asyncio.get_running_loop().call_at(at, self._piece, left - 1, at)


async def main() -> None:
    """Serve until the standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0, backlog=16384)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
