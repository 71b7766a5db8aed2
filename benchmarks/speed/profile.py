"""Where a call's CPU goes: `py-spy record -r 400 -f raw -o calls.txt -- python -m benchmarks.speed.profile busy`.

Then `python -m benchmarks.speed.profile read calls.txt` says how much of it each room took, by the innermost frame of
each sample that belongs to one. With `-f speedscope` py-spy draws a flame graph instead, for https://speedscope.app.
"""

from __future__ import annotations

import argparse
import asyncio
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from time import monotonic

from .peers.contemplated import opened
from .running import server

# py-spy shortens paths to those of the packages: "_Run._answer (contemplate/engine.py:259)".
_FILE = re.compile(r" \((?P<path>[^()]*?)(\.py)?(:\d+)?\)$")
_LOOP, _WAIT = "_run_once (asyncio/base_events", "select (selectors"


async def busy(url: str, n: int, seconds: float) -> None:
    """Fan out to `n` subagents, again and again, for so long."""
    async with opened(url) as (fan_out, _):
        end = monotonic() + seconds
        while monotonic() < end:
            await fan_out(n)


def rooms(lines: Iterable[str]) -> Counter[str]:
    """How many samples of the event loop's work each room had, of py-spy's raw stacks."""
    found: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rstrip().rpartition(" ")
        inner = _FILE.search(stack)
        if inner is not None and _LOOP in stack and _WAIT not in stack:
            found[_room(inner["path"])] += int(count)
    return found


def _room(path: str) -> str:
    package, *rest = path.split("/")
    if package != "contemplate":
        return package
    return ".".join((package, *rest[: 2 if rest[0] == "models" else 1]))


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.profile", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("busy", help="make calls, for a profiler to watch")
    run.add_argument("--n", type=int, default=256, help="subagents of each run")
    run.add_argument("--seconds", type=float, default=15.0)
    read = verbs.add_parser("read", help="what py-spy saw, by room")
    read.add_argument("file", type=Path, help="of `--format raw`")
    given = parser.parse_args()
    if given.verb == "busy":
        with server() as url:
            asyncio.run(busy(f"{url}/0/v1", given.n, given.seconds))
        return
    found = rooms(given.file.read_text().splitlines())
    print("| room | share |\n|---|--:|")
    for room, count in found.most_common(16):
        print(f"| {room} | {100 * count / found.total():.1f} % |")


if __name__ == "__main__":
    main()
