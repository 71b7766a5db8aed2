"""CPU of the server for each token of a scripted model that writes as fast as it is read, by commit.

    git worktree add OLD 5fdb58a
    python -m benchmarks.serving.tokens OLD/src src --out benchmarks/results/serving.json

They take turns; the best round of each is what it costs, as on a busy machine all others cost more.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from .results import keep

CLIENTS, ANSWERS, TOKENS = 8, 5, 500
CHUNK = 65536
_SERVER = Path(__file__).with_name("fastest.py")


async def read(address: str, answers: int) -> int:
    """Have each client read so many answers, and return how many events came.

    Raises:
        RuntimeError: an answer is not whole.
    """
    parts = urlsplit(address)
    body = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": "Say it."}]})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
    request = f"{head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()

    async def client() -> int:
        events = 0
        for _ in range(answers):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            writer.write(request)
            said = await reader.read(-1)
            writer.close()
            if b"[DONE]" not in said or said.count(b"word ") != TOKENS:
                raise RuntimeError(f"an answer is not whole: {said[-200:]!r}")
            events += said.count(b"data: {")
        return events

    return sum(await asyncio.gather(*(client() for _ in range(CLIENTS))))


def measured(source: Path) -> dict[str, float]:
    """Microseconds of CPU for each token, and events for each, of one server; its first answers do not count."""
    environ = {**os.environ, "PYTHONPATH": str(source.resolve())}
    said = [sys.executable, str(_SERVER), str(TOKENS)]
    with subprocess.Popen(said, stdout=subprocess.PIPE, text=True, env=environ) as server:
        assert server.stdout is not None
        try:
            address = f"http://127.0.0.1:{server.stdout.readline().strip()}"
            asyncio.run(read(address, 1))
            before = psutil.Process(server.pid).cpu_times()
            events = asyncio.run(read(address, ANSWERS))
            after = psutil.Process(server.pid).cpu_times()
        finally:
            server.kill()
    tokens = CLIENTS * ANSWERS * TOKENS
    cpu = after.user + after.system - before.user - before.system
    return {"cpu_us_per_token": round(cpu / tokens * 1e6, 1), "events_per_token": round(events / tokens, 3)}


def main() -> None:
    """Print the best round of each, and write all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("sources", type=Path, nargs="+", help="the folders that hold the package, of several commits")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, help="a JSON file, of whose results those of this are replaced")
    given = parser.parse_args()
    names = {source: _commit(source) for source in given.sources}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names.values()}
    for _ in range(given.rounds):
        for source, name in names.items():
            found[name].append(measured(source))
    for name, rounds in found.items():
        best = min(rounds, key=lambda each: each["cpu_us_per_token"])
        sys.stdout.write(f"{name}: {best['cpu_us_per_token']} us a token, {best['events_per_token']} events a token\n")
    if given.out:
        keep(given.out, "tokens", {"clients": CLIENTS, "tokens_per_answer": TOKENS, "rounds": found})


def _commit(source: Path) -> str:
    said = ["git", "-C", str(source), "rev-parse", "--short", "HEAD"]
    return subprocess.run(said, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
