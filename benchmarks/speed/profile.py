"""Where a run's time and memory go, room by room: `python -m benchmarks.speed.profile cpu`, or `memory`.

Fan-outs over HTTP to the benchmark's server, as `contemplate` does them in the benchmark, in the interpreter that this
is started with. `cpu` needs py-spy, and keeps what it saw as a flame graph for https://www.speedscope.app.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from .contenders import EVERYTHING, FEATURES, ROOT
from .peers import contemplated
from .reporting import put
from .rooms import Frame, Share, room_of, shares
from .running import server

FEW = 8
SHOWN_SHARE, SHOWN_BYTES, FUNCTIONS_SHOWN = 0.001, 32, 20
SAMPLES_PER_SECOND = 500


async def load(url: str, on: Sequence[str], n: int, seconds: float) -> int:
    """Fan out to n subagents again and again for so long; how often."""
    async with contemplated.opened(url, on) as (fan_out, _):
        until, done = monotonic() + seconds, 0
        while monotonic() < until:
            await fan_out(n)
            done += 1
    return done


async def held(server: str, on: Sequence[str], n: int) -> dict[str, tuple[float, float]]:
    """By room, bytes and blocks of memory per subagent, while n wait for the benchmark's server to answer."""
    # One more than ever ask: so they are held until no further one has come for a while.
    async with contemplated.opened(f"{server}/hold-{n + 1}/v1", on) as (fan_out, _):
        await fan_out(FEW)
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.take_snapshot()
        run = asyncio.ensure_future(fan_out(n))
        await asyncio.wait([run, asyncio.ensure_future(_holds(server, n))], return_when=asyncio.FIRST_COMPLETED)
        if run.done():
            raise RuntimeError("the answers were there before all had asked")
        gc.collect()
        grown = tracemalloc.take_snapshot().compare_to(before, "filename")
        tracemalloc.stop()
        run.cancel()
        with suppress(asyncio.CancelledError):
            await run
    rooms: dict[str, tuple[float, float]] = {}
    for each in grown:
        room = room_of(each.traceback[0].filename)
        size, blocks = rooms.get(room, (0.0, 0.0))
        rooms[room] = size + each.size_diff / n, blocks + each.count_diff / n
    return rooms


async def _holds(server: str, n: int) -> None:
    """Wait until the benchmark's server holds n answers."""
    address = urlsplit(server)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(b"GET /holds-%d/ HTTP/1.1\r\ncontent-length: 0\r\n\r\n" % n)
    await reader.readline()
    writer.close()
    await writer.wait_closed()


def spy() -> str | None:
    """Where py-spy is: beside the interpreter, or anywhere else."""
    return shutil.which("py-spy", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))))


def sampled(on: Sequence[str], n: int, seconds: float, out: Path) -> None:
    """Have py-spy watch a process that does `load`, and write what it saw to `out`.

    Raises:
        FileNotFoundError: py-spy is not installed.
        subprocess.CalledProcessError: it may not watch, or the process failed.
    """
    watcher = spy()
    if watcher is None:
        raise FileNotFoundError("py-spy is not there: pip install py-spy")
    with server() as url:
        record = [watcher, "record", "--rate", str(SAMPLES_PER_SECOND), "--format", "speedscope", "--full-filenames"]
        job = ["load", "--url", f"{url}/50/v1", "--n", str(n), "--seconds", str(seconds), "--on", *on]
        command = [*record, "--output", str(out), "--", sys.executable, "-m", "benchmarks.speed.profile", *job]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def stacks(profile: Mapping[str, Any]) -> Iterator[tuple[list[Frame], float]]:
    """The weighted stacks of the event loop in a file in the format of https://www.speedscope.app."""
    frames = [Frame(each["name"], each["file"]) for each in profile["shared"]["frames"]]
    for thread in profile["profiles"]:
        for sample, weight in zip(thread["samples"], thread["weights"], strict=True):
            stack = [frames[index] for index in sample]
            # Another thread that waits is not always known to be idle.
            if any(each.function.endswith("run_forever") for each in stack):
                yield stack, weight


def cpu_tables(profile: Mapping[str, Any]) -> str:
    """The rooms of a profile, and the functions that take most themselves, in markdown."""
    by_room = shares(stacks(profile), lambda frame: frame.room)
    by_function = shares(stacks(profile), str)[:FUNCTIONS_SHOWN]
    shown = [each for each in by_room if each.through >= SHOWN_SHARE]
    return f"{_cpu_table('room', shown)}\n\n{_cpu_table('function', by_function)}"


def _cpu_table(heading: str, rows: Sequence[Share]) -> str:
    lines = [f"| {heading} | itself, % | with what it called, % |", "|---|--:|--:|"]
    return "\n".join(
        [*lines, *(f"| {each.name} | {100 * each.itself:.1f} | {100 * each.through:.1f} |" for each in rows)]
    )


def memory_table(rooms: Mapping[str, tuple[float, float]]) -> str:
    """The rooms of `held`, in markdown."""
    lines = ["| room | bytes per subagent | blocks |", "|---|--:|--:|"]
    for room, (size, blocks) in sorted(rooms.items(), key=lambda item: -item[1][0]):
        if size >= SHOWN_BYTES:
            lines.append(f"| {room} | {size:,.0f} | {blocks:.1f} |")
    whole = [sum(each) for each in zip(*rooms.values(), strict=True)]
    return "\n".join([*lines, f"| all | {whole[0]:,.0f} | {whole[1]:.1f} |"])


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.profile", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    cpu = verbs.add_parser("cpu", help="shares of CPU time")
    cpu.add_argument("--out", type=Path, default=Path("profile.speedscope.json"), help="(default: %(default)s)")
    memory = verbs.add_parser("memory", help="bytes per subagent in flight")
    worker = verbs.add_parser("load", help="what `cpu` watches; for other profilers")
    worker.add_argument("--url", required=True, help="a model's server")
    for verb in (cpu, memory):
        verb.add_argument("--docs", type=Path, help="write the tables into this page, between its markers")
    for each, n in ((cpu, 256), (memory, 1000), (worker, 256)):
        each.add_argument("--n", type=int, default=n, help="subagents (default: %(default)s)")
        each.add_argument("--on", nargs="*", default=EVERYTHING, choices=sorted(known()), help="(default: %(default)s)")
        if each is not memory:
            each.add_argument("--seconds", type=float, default=10.0, help="(default: %(default)s)")
    options = parser.parse_args()
    match options.verb:
        case "cpu":
            sampled(options.on, options.n, options.seconds, options.out)
            show(cpu_tables(json.loads(options.out.read_text())), options.docs, options.verb)
        case "memory":
            with server() as url:
                rooms = asyncio.run(held(url, options.on, options.n))
            show(memory_table(rooms), options.docs, options.verb)
        case "load":
            done = asyncio.run(load(options.url, options.on, options.n, options.seconds))
            print(f"{done} fan-outs to {options.n} subagents")


def show(table: str, page: Path | None, mark: str) -> None:
    """Print `table`, or write it into `page`."""
    if page is None:
        print(table)
    else:
        put(table, page, mark)


def known() -> set[str]:
    """What can be switched on."""
    return {name for each in FEATURES for name in each.on}


if __name__ == "__main__":
    main()
