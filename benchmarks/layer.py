"""What planner, engine, agent and aggregator cost a call of an instant model: `python -m benchmarks.layer`.

The fan-out of `benchmarks.speed` without its network: one plan call, n subagents, one aggregation.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection
from statistics import median
from time import process_time

import anyio
import anyio.lowlevel

from benchmarks.speed.peers.contemplated import LIMITS, planned, traced
from contemplate import Contemplator, Message, Usage, aggregators
from contemplate.models import DeltaSink, ModelRequest, ModelResponse

WAYS: dict[str, Collection[str]] = {
    "nothing on": (),
    "events and limits on": ("events", "limits"),
    "traces on": ("traces",),
}


class _AtOnce:
    """A model that has its answer ready."""

    name = "at once"

    def __init__(self) -> None:
        usage = Usage(calls=1, input_tokens=40, output_tokens=40, cost_usd=None)
        message = Message.assistant("It is so. " * 10)
        self._said = ModelResponse(message=message, finish="stop", usage=usage, model=self.name)

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        await anyio.lowlevel.checkpoint()
        return self._said


async def measured(n: int, rounds: int) -> dict[str, float]:
    """CPU in microseconds a call, the median of the rounds, in which the ways take turns."""
    minds = {
        way: Contemplator(
            _AtOnce(),
            planner=planned,
            aggregator=aggregators.synthesize(),
            limits=LIMITS if "limits" in on else None,
            on_event=traced() if "traces" in on else (lambda event: None) if "events" in on else None,
            stream=False,
        )
        for way, on in WAYS.items()
    }
    taken: dict[str, list[float]] = {way: [] for way in minds}
    for turn in range(rounds + 1):
        for way, mind in minds.items():
            began = process_time()
            await mind.run(f"What is it? {n}")
            if turn:
                taken[way].append((process_time() - began) / (n + 2) * 1e6)
    return {way: median(each) for way, each in taken.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--n", type=int, nargs="+", default=[64, 256], help="subagents")
    parser.add_argument("--rounds", type=int, default=25)
    given = parser.parse_args()
    print("| CPU per call, us | " + " | ".join(WAYS) + " |\n|---" + "|--:" * len(WAYS) + "|")
    for n in given.n:
        print(
            f"| N = {n} | " + " | ".join(f"{each:.0f}" for each in anyio.run(measured, n, given.rounds).values()) + " |"
        )


if __name__ == "__main__":
    main()
