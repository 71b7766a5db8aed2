"""500 streams at once for a minute, 50 that never read and 50 that leave: `python -m benchmarks.serving`.

CPU is that of the server's process, user and system; a token is an event of the stream.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from .results import keep


def measured(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what clients and server told of one run."""
    said = [sys.executable, "-m", "benchmarks.serving.scripted", str(arguments.tokens), str(arguments.pause)]
    with subprocess.Popen(said, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = next(word for word in server.stdout.readline().split() if word.startswith("http")).removesuffix("/v1")
        try:
            return _watched(psutil.Process(server.pid), url, arguments)
        finally:
            server.terminate()


def _watched(server: psutil.Process, url: str, arguments: argparse.Namespace) -> dict[str, Any]:
    crowd = [str(each) for each in (arguments.tokens, arguments.clients, arguments.unread, arguments.leaving)]
    asked = [sys.executable, "-m", "benchmarks.serving.clients", url, arguments.model, str(arguments.seconds), *crowd]
    before, began = server.cpu_times(), time.monotonic()
    memory: list[int] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(1.0):
            memory.append(server.memory_info().rss >> 20)

    watching = threading.Thread(target=watch)
    watching.start()
    seen: dict[str, Any] = json.loads(subprocess.run(asked, stdout=subprocess.PIPE, text=True, check=True).stdout)
    done.set()
    watching.join()
    after, seconds = server.cpu_times(), time.monotonic() - began
    cpu = after.user + after.system - before.user - before.system
    half = max(1, len(memory) // 2)
    return seen | {
        "seconds": round(seconds, 1),
        "cpu_us_per_token": round(cpu / max(1, seen["tokens"]) * 1e6, 1),
        "cpu_ms_per_answer": round(cpu / max(1, seen["answers"]) * 1e3, 2),
        "cores": round(cpu / seconds, 2),
        "peak_mib_first_half": max(memory[:half], default=0),
        "peak_mib_second_half": max(memory[half:], default=0),
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--unread", type=int, default=50)
    parser.add_argument("--leaving", type=int, default=50)
    parser.add_argument("--tokens", type=int, default=200, help="of each answer")
    parser.add_argument("--pause", type=float, default=0.05, help="seconds between a model's tokens")
    parser.add_argument("--model", default="m")
    parser.add_argument("--out", type=Path, help="a JSON file, of whose results those of this are replaced")
    given = parser.parse_args()
    found = measured(given)
    print(json.dumps(found, indent=1))
    if given.out:
        crowd = {"clients": given.clients, "never_read": given.unread, "leave": given.leaving}
        keep(given.out, "crowd", crowd | found)


if __name__ == "__main__":
    main()
