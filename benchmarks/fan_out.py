"""What an orchestrator adds to the models' time: `python -m benchmarks.fan_out`.

One plan call, N subagents, one aggregation, at 50 ms a call (so 150 ms at best), against a cheap server in a process of
its own. Everything is on in contemplate: a listener on the events, limits on tokens, calls and concurrency. The rows
of a table were measured in turn, in one process and one run; only their ratios mean anything.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from time import perf_counter, process_time

import openai
from openai.types.chat import ChatCompletionMessageParam

from contemplate import Contemplator, Limits, RunContext, Task, aggregators
from contemplate.messages import Message
from contemplate.models import ModelRequest, OpenAIModel
from contemplate.models.openai import pool

SERVER = """
import sys
from contemplate.testing import FaultyServer
from contemplate.testing.faulty import Answer

with FaultyServer(Answer("It is so. " * 10, delay=float(sys.argv[1]))) as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""
CALL_SECONDS = 0.05
PROMPT = "What is to be done?"

Way = Callable[[], Awaitable[None]]


@contextmanager
def server() -> Iterator[str]:
    """The URL of a server in a process of its own."""
    command = [sys.executable, "-c", SERVER, str(CALL_SECONDS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()


def by_hand(client: openai.AsyncOpenAI, n: int) -> Way:
    """What one would write with the `openai` package and a gather."""

    async def ask(prompt: str) -> str:
        messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": prompt}]
        completion = await client.chat.completions.create(model="m", messages=messages)
        return completion.choices[0].message.content or ""

    async def run() -> None:
        await ask(PROMPT)
        parts = await asyncio.gather(*(ask(f"{PROMPT} {i}") for i in range(n)))
        await ask("\n".join(parts))

    return run


def contemplated(url: str, n: int) -> tuple[Contemplator[str], Way]:
    """The same with contemplate."""

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        await ctx.call("planner", ModelRequest((Message.user(question),)))
        for i in range(n):
            yield Task(id=str(i), prompt=f"{question} {i}", kind="candidate")

    mind = Contemplator(
        OpenAIModel("m", base_url=url, api_key="unused-key"),
        planner=plan,
        aggregator=aggregators.synthesize(),
        limits=Limits(total_tokens=10**9, calls=10**6, concurrency=10**5),
        stream=False,
        on_event=lambda event: None,
    )

    async def run() -> None:
        result = await mind.run(PROMPT)
        assert result.complete

    return mind, run


async def measure(url: str, n: int, rounds: int) -> dict[str, tuple[float, float]]:
    """CPU in microseconds for each call, and wall in milliseconds, of each way; medians of `rounds`."""
    has_aiohttp = pool._has_aiohttp
    async with AsyncExitStack() as stack:
        plain = await stack.enter_async_context(
            openai.AsyncOpenAI(base_url=url, api_key="unused", max_retries=0, timeout=60)
        )
        quick = await stack.enter_async_context(
            openai.AsyncOpenAI(
                base_url=url, api_key="unused", max_retries=0, timeout=60, http_client=openai.DefaultAioHttpClient()
            )
        )
        fast, fast_run = contemplated(url, n)
        await stack.enter_async_context(fast)
        pool._has_aiohttp = lambda: False
        slow, slow_run = contemplated(url.replace("127.0.0.1", "localhost"), n)
        await stack.enter_async_context(slow)
        pool._has_aiohttp = has_aiohttp
        ways: dict[str, Way] = {
            "openai + gather": by_hand(plain, n),
            "openai with aiohttp + gather": by_hand(quick, n),
            "contemplate": slow_run,
            "contemplate[fast]": fast_run,
        }
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for turn in range(rounds + 1):
            for name, way in ways.items():
                wall, cpu = perf_counter(), process_time()
                await way()
                if turn:
                    taken[name].append(((process_time() - cpu) / (n + 2) * 1e6, (perf_counter() - wall) * 1e3))
    return {
        name: (statistics.median(cpu for cpu, _ in each), statistics.median(wall for _, wall in each))
        for name, each in taken.items()
    }


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[8, 64, 256, 1024])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    figures: dict[str, dict[str, tuple[float, float]]] = {}
    print(f"Python {platform.python_version()}, openai {version('openai')}, aiohttp {version('aiohttp')}\n")
    print("| N | way | CPU per call, us | ratio | wall, ms | ratio to 150 ms |\n|---|---|---|---|---|---|")
    with server() as url:
        for n in options.sizes:
            rows = asyncio.run(measure(url, n, options.rounds))
            figures[str(n)] = rows
            base = rows["openai + gather"][0]
            for name, (cpu, wall) in rows.items():
                print(f"| {n} | {name} | {cpu:.0f} | {cpu / base:.2f} | {wall:.0f} | {wall / 150:.2f} |", flush=True)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
