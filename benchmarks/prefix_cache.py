"""What subagents on a local model read of a context that they share: `python -m benchmarks.prefix_cache`.

In each round, eight subagents are asked about a context that no slot has seen, once in each way: where each slot reads
for itself, as llama.cpp does it, and where it is read once, as `LocalModel` does it.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import Request, urlopen

import anyio
import anyio.to_thread

from contemplate import Contemplator, ModelSettings, RunContext, Task, TaskResult
from contemplate.events import Event, ModelCalled
from contemplate.messages import Message
from contemplate.models import LocalModel, Model, ModelRequest, ModelResponse, OpenAIModel, Retry
from contemplate.models.base import DeltaSink
from contemplate.models.local import find
from contemplate.models.local.server import LocalServer, local_server
from contemplate.run.protocols import Planner
from contemplate.usage import FREE

from .speed.running import machine

BY_ITSELF = "each slot reads for itself"
ONCE = "it is read once"
WAYS = (BY_ITSELF, ONCE)
REQUIRED = 0.9
TOKENS_OF_A_LINE = 16


@dataclass(frozen=True)
class Run:
    """One run: how long it took, and of each subagent how many tokens its prompt has, and how many were cached.

    Attributes:
        way: one of `WAYS`.
        number: of its round.
        shared: how many tokens all prompts begin with.
        seconds: wall-clock time of the whole run.
        prompts: each subagent's tokens of input.
        cached: how many of them were not read again.
        written: tokens of output, of all together.
    """

    way: str
    number: int
    shared: int
    seconds: float
    prompts: tuple[int, ...]
    cached: tuple[int, ...]
    written: int

    @property
    def read(self) -> int:
        """How many tokens were read in all."""
        return sum(self.prompts) - sum(self.cached)

    @property
    def shares(self) -> list[float]:
        """How much of the shared part each subagent found in the cache, the one that found most first."""
        return sorted((min(each, self.shared) / self.shared for each in self.cached), reverse=True)


class _Overheard:
    """A model that remembers what its subagents were asked."""

    def __init__(self, inner: Model) -> None:
        self.name = inner.name
        self.price = FREE
        self.asked: list[tuple[Message, ...]] = []
        self._inner = inner

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        self.asked.append(request.messages)
        return await self._inner.request(request, on_delta)


async def run(model: Model, server: LocalServer, way: str, number: int, subagents: int, tokens: int, write: int) -> Run:
    """Ask `subagents` about a context of `tokens`, each for `write` tokens."""
    overheard = _Overheard(model)
    called: list[ModelCalled] = []

    def on_event(event: Event) -> None:
        if isinstance(event, ModelCalled):
            called.append(event)

    mind = Contemplator(
        overheard,
        planner=_planner(subagents),
        aggregator=_all_of_them,
        settings=ModelSettings(temperature=0, max_tokens=write),
        on_event=on_event,
        stream=False,
    )
    began = time.perf_counter()
    await mind.run(context(f"{way}/{number}", tokens))
    seconds = time.perf_counter() - began
    return Run(
        way=way,
        number=number,
        shared=await anyio.to_thread.run_sync(shared_tokens, overheard.asked, server),
        seconds=seconds,
        prompts=tuple(each.usage.input_tokens for each in called),
        cached=tuple(each.usage.cached_input_tokens for each in called),
        written=sum(each.usage.output_tokens for each in called),
    )


def context(name: str, tokens: int) -> str:
    """A question with a context of about so many tokens, which begins otherwise for each `name`."""
    drawn = random.Random(name)
    lines = [
        f"- Lot {drawn.randrange(10**4)}: {drawn.randrange(10**3)} crates, {drawn.choice(['oak', 'tin', 'wool'])}."
        for _ in range(tokens // TOKENS_OF_A_LINE)
    ]
    return f"What does ledger {drawn.randrange(10**9)} tell about the trade of its port?\n\n" + "\n".join(lines)


def _planner(subagents: int) -> Planner:
    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        for number in range(subagents):
            yield Task(id=str(number), prompt=f"Say what lots {number * 7} to {number * 7 + 6} of the list hold.")

    return plan


async def _all_of_them(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
    seen = [result async for result in results]
    return f"{len(seen)} answers"


def shared_tokens(asked: Sequence[tuple[Message, ...]], server: LocalServer) -> int:
    """How many tokens all prompts begin with, as the server makes them of the messages."""
    prompts = [
        _posted(server, "/apply-template", {"messages": [{"role": m.role, "content": m.text} for m in messages]})
        for messages in asked
    ]
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*(each["prompt"] for each in prompts), strict=False))
    common = "".join(letters[0] for letters in alike)
    return len(_posted(server, "/tokenize", {"content": common, "parse_special": True})["tokens"])


def _posted(server: LocalServer, path: str, body: dict[str, object]) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {server.api_key}", "Content-Type": "application/json"}
    request = Request(server.base_url.removesuffix("/v1") + path, json.dumps(body).encode(), headers)
    with urlopen(request) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


async def measured(name: str, rounds: int, subagents: int, tokens: int, write: int) -> list[Run]:
    """All rounds; the ways take turns, in each round in another order."""
    local = LocalModel(name)
    runs: list[Run] = []
    async with local.connect():
        known = find(name)
        file = known if isinstance(known, Path) else known.path
        server = await anyio.to_thread.run_sync(local_server, file)
        plain = Retry(OpenAIModel(file.stem, base_url=server.base_url, api_key=server.api_key, price=FREE))
        async with plain.connect():
            models: dict[str, Model] = {BY_ITSELF: plain, ONCE: local}
            for number in range(rounds):
                for way in WAYS if number % 2 else WAYS[::-1]:
                    runs.append(await run(models[way], server, way, number, subagents, tokens, write))
                    print(f"round {number + 1}, {way}: {runs[-1].seconds:.0f} s", file=sys.stderr)
    return runs


def show(runs: Sequence[Run]) -> list[str]:
    """Print the table, as markdown, and return what is not as it is required to be."""
    failures = []
    print("| Way | seconds: median | of the first: median of the rounds | tokens read | of the shared part, cached |")
    print("|---|--:|--:|--:|---|")
    first = {each.number: each.seconds for each in runs if each.way == BY_ITSELF}
    for way in dict.fromkeys(each.way for each in runs):
        mine = [each for each in runs if each.way == way]
        seconds = median(each.seconds for each in mine)
        ratio = median(each.seconds / first[each.number] for each in mine)
        read = median(each.read for each in mine)
        worst = [min(shares) for shares in zip(*(each.shares for each in mine), strict=True)]
        cached = " ".join(f"{100 * share:.0f}" for share in worst)
        print(f"| {way} | {seconds:.0f} | {ratio:.2f} | {read:.0f} | {cached} % |")
        if way == ONCE and any(share < REQUIRED for share in worst[:-1]):
            failures.append(f"{way}: {cached} % of the shared part, and {REQUIRED:.0%} are required of all but one")
    return failures


def main() -> int:
    """Print what was measured; 1 if something is not as it is required to be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="qwen2.5-coder-1.5b", help="a known local model, or the path of a GGUF file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--subagents", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=3000, help="of the context, roughly")
    parser.add_argument("--write", type=int, default=32, help="tokens of each answer")
    parser.add_argument("--out", type=Path, help="write the raw figures to this file, as JSON")
    given = parser.parse_args()
    runs = anyio.run(measured, given.model, given.rounds, given.subagents, given.tokens, given.write)
    failures = show(runs)
    if given.out:
        raw = {"machine": machine(), "model": given.model, "runs": [asdict(each) for each in runs]}
        given.out.write_text(json.dumps(raw, indent=1) + "\n")
    for failure in failures:
        print(f"MISSED: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
