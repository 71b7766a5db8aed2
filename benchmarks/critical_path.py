"""How near a run is to its latency floor: `python -m benchmarks.critical_path`.

Random graphs of tasks, whose plan is streamed, on a virtual clock: it stands still while Python computes, so that what
is seen is only who waits for whom. No run can be faster than its floor: the longest path through the graph, from the
moment at which its first task is planned, and the aggregation.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import anyio

from contemplate import Contemplator, Limits, ModelSettings, RunContext, Task, aggregators
from contemplate.models import Hedge, Limit, Model

from .virtual import SETTINGS, Timed, Turn, calls_for, decoding, first_token, quantile, run_virtually, taken

FEWEST_TASKS, MOST_TASKS, MOST_NEEDS = 4, 40, 3
SECONDS_TO_PLAN_ONE = 1.5
SLOTS = (1, 2, 4, 8)
LIMITED_SLOTS = 4
MOST_OVER_FLOOR = 1.02
ROUNDING = 1e-6

UNLIMITED = "contemplate"
HEDGED = "contemplate with Hedge"
LIMITED = f"contemplate, Limit(concurrency={LIMITED_SLOTS})"
BY_LEVEL = "plan, then gather each level"


@dataclass(frozen=True, slots=True)
class Graph:
    """A plan with its times. `second` is the time to a first token of a second call for a task, if one is made."""

    emitted: tuple[float, ...]
    needs: tuple[tuple[int, ...], ...]
    turns: tuple[Turn, ...]
    second: tuple[float, ...]
    aggregation: Turn

    @classmethod
    def drawn(cls, seed: str) -> Graph:
        """The random graph of a seed: from a chain to a wide fan, since how much is needed is random too."""
        rng = random.Random(seed)
        size, most = rng.randint(FEWEST_TASKS, MOST_TASKS), rng.randint(0, MOST_NEEDS)
        emitted = [0.0]
        for _ in range(size):
            emitted.append(emitted[-1] + rng.expovariate(1 / SECONDS_TO_PLAN_ONE))
        needs = (tuple(rng.sample(range(i), min(i, rng.randint(0, most)))) for i in range(size))
        turns = tuple(Turn(first_token(rng), decoding(rng), f"result {i}") for i in range(size))
        second = tuple(first_token(rng) for _ in range(size))
        return cls(tuple(emitted[1:]), tuple(needs), turns, second, Turn(first_token(rng), decoding(rng), "merged"))

    @property
    def work(self) -> float:
        """Seconds of all tasks together."""
        return sum(turn.seconds for turn in self.turns)

    @property
    def floor(self) -> float:
        """Seconds that no dispatch can do without, however many slots it has."""
        longest = [turn.seconds for turn in self.turns]
        for i in reversed(range(len(self.turns))):
            for need in self.needs[i]:
                longest[need] = max(longest[need], self.turns[need].seconds + longest[i])
        return max(map(sum, zip(self.emitted, longest, strict=True))) + self.aggregation.seconds

    def levels(self) -> list[list[int]]:
        """The tasks, by how many others have to come before them."""
        depth: list[int] = []
        for needs in self.needs:
            depth.append(1 + max((depth[need] for need in needs), default=-1))
        return [[i for i, level in enumerate(depth) if level == each] for each in range(max(depth) + 1)]

    def calls(self) -> Callable[[int | None], Turn]:
        """What each call does; one without a seed is the aggregator's."""
        of_tasks = calls_for(self.turns, self.second)
        return lambda seed: self.aggregation if seed is None else of_tasks(seed)

    async def plan(self, question: str, ctx: RunContext) -> AsyncIterator[Task]:
        """A planner that writes its plan as slowly as a model does."""
        for i, (emitted, needs) in enumerate(zip(self.emitted, self.needs, strict=True)):
            await anyio.sleep(emitted - (self.emitted[i - 1] if i else 0))
            yield Task(id=str(i), prompt=f"part {i}", needs=tuple(map(str, needs)), settings=ModelSettings(seed=i))


async def by_level(graph: Graph) -> None:
    """What one would write by hand: wait for the plan, gather a level, then the next one."""

    async def call(turn: Turn) -> None:
        await anyio.sleep(turn.seconds)

    await anyio.sleep(graph.emitted[-1])
    for level in graph.levels():
        async with anyio.create_task_group() as group:
            for i in level:
                group.start_soon(call, graph.turns[i])
    await call(graph.aggregation)


class Ways:
    """Each way to run a graph. A wrapper lives as long as a user's process: a hedge has to learn what is late."""

    def __init__(self) -> None:
        self._model = Timed()
        self._hedge = Hedge(self._model)
        self._limit = Limit(self._model, concurrency=LIMITED_SLOTS)

    async def times(self, graph: Graph) -> dict[str, float]:
        """How many seconds each way takes for `graph`."""
        ways: dict[str, Callable[[], Awaitable[Any]]] = {
            BY_LEVEL: lambda: by_level(graph),
            UNLIMITED: lambda: self._contemplated(graph, self._model),
            HEDGED: lambda: self._contemplated(graph, self._hedge),
            LIMITED: lambda: self._contemplated(graph, self._limit),
        }
        times = {name: (await taken(way))[0] for name, way in ways.items()}
        for slots in SLOTS:
            times[limited(slots)], _ = await taken(lambda: self._contemplated(graph, self._model, slots))  # noqa: B023
        return times

    async def _contemplated(self, graph: Graph, model: Model, slots: int | None = None) -> None:
        self._model.turn = graph.calls()
        mind = Contemplator(
            model, planner=graph.plan, aggregator=aggregators.synthesize(), limits=Limits(concurrency=slots)
        )
        result = await mind.run("What is to be done?")
        assert result.complete
        assert len(result.tasks) == len(graph.turns)
        assert result.text == graph.aggregation.text


def limited(slots: int) -> str:
    """What the way with so many slots is called."""
    return f"contemplate, Limits(concurrency={slots})"


@dataclass(frozen=True, slots=True)
class Row:
    """A graph and how long each way took, in seconds. `outside` is what no slot can work in: planning, aggregation."""

    seed: str
    tasks: int
    floor: float
    work: float
    outside: float
    seconds: dict[str, float]

    def bound(self, slots: int) -> float:
        """What a greedy dispatch with so many slots cannot exceed.

        R. L. Graham, "Bounds for certain multiprocessing anomalies", 1966: whenever a slot is idle, the last path is
        being worked on, or not planned yet.
        """
        return self.work / slots + self.floor

    def least(self, slots: int) -> float:
        """What no dispatch with so many slots can do without."""
        return max(self.floor, self.work / slots + self.outside)


def measured(graphs: int, seed: int) -> list[Row]:
    """Run so many random graphs in every way."""

    async def all_of_them() -> list[Row]:
        ways, rows = Ways(), []
        for number in range(graphs):
            name = f"{seed}/{number}"
            graph = Graph.drawn(name)
            outside = graph.emitted[0] + graph.aggregation.seconds
            rows.append(Row(name, len(graph.turns), graph.floor, graph.work, outside, await ways.times(graph)))
        return rows

    return run_virtually(all_of_them)


def show(rows: list[Row]) -> list[str]:
    """Print the tables, as markdown, and return what is not as it is required to be."""
    failures = []
    print("| Way | over the floor: median | 95 % | most | seconds: median | 95 % |\n|---|--:|--:|--:|--:|--:|")
    for way in (UNLIMITED, BY_LEVEL, HEDGED):
        seconds = [row.seconds[way] for row in rows]
        over = [row.seconds[way] / row.floor for row in rows]
        print(
            f"| {way} | {quantile(over, 0.5):.3f} | {quantile(over, 0.95):.3f} | {max(over):.3f} "
            f"| {quantile(seconds, 0.5):.0f} | {quantile(seconds, 0.95):.0f} |"
        )
        if way == UNLIMITED and quantile(over, 0.5) > MOST_OVER_FLOOR:
            failures.append(f"{way}: {quantile(over, 0.5):.3f} times the floor, required are {MOST_OVER_FLOOR}")
    saved = [row.seconds[BY_LEVEL] / row.seconds[UNLIMITED] for row in rows]
    print(f"\n{BY_LEVEL}, over {UNLIMITED}: median {quantile(saved, 0.5):.2f}, 95 % {quantile(saved, 0.95):.2f}\n")
    print("| Slots | over the least possible: median | 95 % | of the greedy bound: median | most |")
    print("|---|--:|--:|--:|--:|")
    for way, slots in {**{limited(each): each for each in SLOTS}, LIMITED: LIMITED_SLOTS}.items():
        over = [row.seconds[way] / row.least(slots) for row in rows]
        of_bound = [row.seconds[way] / row.bound(slots) for row in rows]
        print(
            f"| {way} | {quantile(over, 0.5):.3f} | {quantile(over, 0.95):.3f} "
            f"| {quantile(of_bound, 0.5):.3f} | {max(of_bound):.3f} |"
        )
        if max(of_bound) > 1 + ROUNDING:
            failures.append(f"{way}: {max(of_bound):.3f} of the greedy bound")
    return failures


def main() -> int:
    """Print what was measured; 1 if something is not as it is required to be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--graphs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the raw figures to this file, as JSON")
    given = parser.parse_args()
    rows = measured(given.graphs, given.seed)
    failures = show(rows)
    if given.out:
        raw = {"settings": SETTINGS, "graphs": [asdict(row) for row in rows]}
        given.out.write_text(json.dumps(raw, indent=1) + "\n")
    for failure in failures:
        print(f"MISSED: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
