"""What a request and a streamed token cost, here and in LiteLLM's proxy: `python -m benchmarks.serving.proxies --help`.

Both stand before the same cheap model (`benchmarks.speed.server`), and take turns. CPU is that of the proxy's
processes, user and system. A token is one that the model wrote; one event may hold several.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import psutil

from benchmarks.litellm_proxy import KEY, litellm_proxy
from benchmarks.speed import running

from .fronting import PATHS, TOKENS
from .results import keep

CLIENTS = 8
REQUESTS: Mapping[str, int] = {"whole": 200, "streamed": 40}
CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Proxy:
    """One that is measured."""

    address: str
    pid: int

    def cpu(self) -> float:
        """Seconds of CPU so far."""
        process = psutil.Process(self.pid)
        times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
        return sum((each.user + each.system for each in times), 0.0)


@contextmanager
def contemplating(upstream: str) -> Iterator[Proxy]:
    """Our server in front of a model."""
    said = [sys.executable, "-m", "benchmarks.serving.fronting", upstream]
    with subprocess.Popen(said, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = next(word for word in server.stdout.readline().split() if word.startswith("http"))
        try:
            yield Proxy(url.removesuffix("/v1"), server.pid)
        finally:
            server.terminate()


@contextmanager
def litellm(command: Path, upstream: str) -> Iterator[Proxy]:
    """LiteLLM's proxy in front of the same."""
    models = {name: {"model": "openai/m", "api_base": upstream + path, "api_key": "k"} for name, path in PATHS.items()}
    with litellm_proxy(command, models) as (address, pid):
        yield Proxy(address, pid)


async def ask(address: str, kind: str, requests: int) -> int:
    """Ask so often, with several clients at once, and return how many events came.

    Raises:
        RuntimeError: an answer is not whole.
    """
    parts, left, events = urlsplit(address), iter(range(requests)), 0
    asked = {"model": kind, "stream": kind == "streamed", "messages": [{"role": "user", "content": "Is it so?"}]}
    body = json.dumps(asked)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
    request = f"{head}Authorization: Bearer {KEY}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}"

    async def client() -> None:
        nonlocal events
        for _ in left:
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            writer.write(request.encode())
            said = bytearray()
            while piece := await reader.read(CHUNK):
                said += piece
            writer.close()
            if b" 200 " not in said[:16] or (kind == "streamed") is not (b"[DONE]" in said) or b"It is so." not in said:
                raise RuntimeError(f"no whole answer of {address}: {said[:200]!r}...{said[-200:]!r}")
            events += said.count(b"data: {")

    async with asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(client())
    return events


def measured(proxy: Proxy, kind: str) -> dict[str, float]:
    """Milliseconds of CPU for each request of one round, and for a stream microseconds for each of its tokens."""
    requests, before = REQUESTS[kind], proxy.cpu()
    events = asyncio.run(ask(proxy.address, kind, requests))
    spent = (proxy.cpu() - before) / requests
    found = {"cpu_ms_per_request": round(spent * 1e3, 3)}
    if kind == "streamed":
        found |= {"cpu_us_per_token": round(spent / TOKENS * 1e6, 1), "events_per_token": events / requests / TOKENS}
    return found


def rounds_of(proxies: Mapping[str, Proxy], rounds: int, rng: random.Random) -> dict[str, dict[str, Any]]:
    """All rounds of each, after one that does not count."""
    cells = [(name, kind) for name in proxies for kind in REQUESTS]
    found: dict[str, dict[str, Any]] = {name: {kind: [] for kind in REQUESTS} for name in proxies}
    for number in range(rounds + 1):
        for name, kind in rng.sample(cells, len(cells)):
            cell = measured(proxies[name], kind)
            if number:
                found[name][kind].append(cell)
    return found


def table(found: Mapping[str, Mapping[str, list[dict[str, float]]]]) -> str:
    """In markdown: medians."""
    lines = ["| proxy | ms a whole answer | ms a stream | us a token | events a token |", "|---|--:|--:|--:|--:|"]
    for name, kinds in found.items():
        mid: Callable[[str, str], float] = lambda kind, what, kinds=kinds: median(each[what] for each in kinds[kind])  # type: ignore[misc]  # noqa: E731
        whole, streamed = mid("whole", "cpu_ms_per_request"), mid("streamed", "cpu_ms_per_request")
        token, events = mid("streamed", "cpu_us_per_token"), mid("streamed", "events_per_token")
        lines.append(f"| {name} | {whole:.2f} | {streamed:.1f} | {token:.0f} | {events:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure both in turn; print a table, and write every round."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--litellm", type=Path, required=True, help="its command, in an environment of its own")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, help="a JSON file, of whose results those of this are replaced")
    given = parser.parse_args()
    theirs = subprocess.run(
        [given.litellm.parent / "python", "-c", _VERSION], stdout=subprocess.PIPE, check=True, text=True
    )
    with ExitStack() as stack:
        upstream = stack.enter_context(running.server())
        proxies = {
            f"contemplate {version('contemplate-ai')}": stack.enter_context(contemplating(upstream)),
            f"LiteLLM {theirs.stdout.strip()}": stack.enter_context(litellm(given.litellm, upstream)),
        }
        found = rounds_of(proxies, given.rounds, random.Random(0))
    sys.stdout.write(table(found))
    if given.out:
        keep(given.out, "proxies", {"clients": CLIENTS, "tokens_per_answer": TOKENS, "rounds": found})


_VERSION = "from importlib.metadata import version; print(version('litellm'))"


if __name__ == "__main__":
    main()
