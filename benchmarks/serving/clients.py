"""The clients, in a process of their own: those that read, those that never do, and those that leave."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

CHUNK = 65536


@dataclass
class Seen:
    """What the clients saw."""

    answers: int = 0
    tokens: int = 0
    left: int = 0
    unread: int = 0
    errors: int = 0
    mixed_up: int = 0


def _request(host: str, model: str, word: str) -> bytes:
    body = json.dumps({"model": model, "stream": True, "messages": [{"role": "user", "content": f"Say {word}"}]})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    return f"{head}Authorization: Bearer none\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


async def _ask(url: str, model: str, word: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(_request(parts.netloc, model, word))
    return reader, writer


async def _reads(url: str, model: str, until: float, number: int, tokens: int, seen: Seen) -> None:
    turn = 0
    while time.monotonic() < until:
        word = f"w{number}x{turn}"
        turn += 1
        reader, writer = await _ask(url, model, word)
        said = bytearray()
        try:
            while b"[DONE]" not in said[-64:] and (piece := await reader.read(CHUNK)):
                said += piece
        except OSError:
            pass
        finally:
            writer.close()
        events = [line[6:] for line in bytes(said).split(b"\n") if line.startswith(b"data: {")]
        choices = [choice for event in events for choice in json.loads(event).get("choices", ())]
        answer = "".join(each["delta"].get("content") or "" for each in choices)
        seen.answers += 1
        seen.tokens += answer.count(" ")
        whole = b"[DONE]" in said and answer.count(" ") == tokens
        seen.errors += not whole
        seen.mixed_up += whole and answer != f"{word} " * tokens


async def _leaves(url: str, model: str, until: float, number: int, seen: Seen) -> None:
    while time.monotonic() < until:
        reader, writer = await _ask(url, model, f"l{number}")
        await reader.read(CHUNK)
        await asyncio.sleep(random.random())
        writer.close()
        seen.left += 1


async def _never_reads(url: str, model: str, until: float, number: int, seen: Seen) -> None:
    import socket

    parts = urlsplit(url)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, (parts.hostname, parts.port))
        await loop.sock_sendall(sock, _request(parts.netloc, model, "u" * 2000))
        seen.unread += 1
        await asyncio.sleep(max(0.0, until - time.monotonic()))


async def main(url: str, model: str, seconds: float, tokens: int, reading: int, unread: int, leaving: int) -> Seen:
    """Let all clients ask for so many seconds, and return what they saw."""
    seen, until = Seen(), time.monotonic() + seconds
    async with asyncio.TaskGroup() as group:
        for number in range(reading):
            group.create_task(_reads(url, model, until, number, tokens, seen))
        for number in range(leaving):
            group.create_task(_leaves(url, model, until, number, seen))
        for number in range(unread):
            group.create_task(_never_reads(url, model, until, number, seen))
    return seen


if __name__ == "__main__":
    url, model = sys.argv[1:3]
    numbers = [int(each) for each in sys.argv[4:]]
    print(json.dumps(asdict(asyncio.run(main(url, model, float(sys.argv[3]), *numbers)))))
