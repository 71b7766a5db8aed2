"""One contender, in its own environment: `python -m benchmarks.speed.worker MODULE URL DISTRIBUTION ON...`.

Says its version first. Then it does each job that comes in as a line of JSON, and says what that took.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from importlib import import_module
from importlib.metadata import version
from time import perf_counter, process_time

from .peers import Ways


async def do(ways: Ways, way: str, n: int, at_once: int) -> int:
    """Run `at_once` fan-outs over n subagents, or read n streams; how many pieces were seen."""
    fan_out, stream = ways
    if way == "stream":
        assert stream is not None
        return await stream(n)
    await asyncio.gather(*(fan_out(n) for _ in range(at_once)))
    return 0


async def measured(ways: Ways, *, way: str, n: int, at_once: int, warm: int) -> dict[str, float]:
    """Seconds of wall time and of CPU (user and system, all threads), and KiB of memory before and at most."""
    if warm:
        await ways[0](warm)
    base = _resident()
    wall, cpu = perf_counter(), process_time()
    pieces = await do(ways, way, n, at_once)
    wall, cpu = perf_counter() - wall, process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"wall": wall, "cpu": cpu, "base_kib": base, "peak_kib": peak, "pieces": pieces}


def _resident() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024


async def main() -> None:
    """Do the jobs."""
    module, url, distribution, *on = sys.argv[1:]
    peer = import_module(f"benchmarks.speed.peers.{module}")
    # Whatever a framework prints is not for the runner.
    out, sys.stdout = sys.stdout, sys.stderr
    async with peer.opened(url, on) if module == "contemplated" else peer.opened(url) as ways:
        print(json.dumps({"version": version(distribution)}), file=out, flush=True)
        # Nothing else goes on between two jobs, so it is no harm that this blocks.
        while line := sys.stdin.readline():
            print(json.dumps(await measured(ways, **json.loads(line))), file=out, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
