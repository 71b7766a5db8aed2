"""What a result costs does not grow with how many there are: counted in lines that are run, not in seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import anyio
import pytest

import contemplate
from contemplate import Contemplator, aggregators, planners
from contemplate.models import Limit, ModelRequest
from contemplate.run.protocols import Aggregator
from contemplate.testing import ScriptedModel

FEW, MANY = 64, 256
MOST_GROWTH = 1.02

PACKAGE = str(Path(contemplate.__file__).parent)


class Steps:
    """How many lines of this library's code were run, one in a comprehension as often as that goes round."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, frame: FrameType, event: str, arg: object) -> Callable[..., Any] | None:
        if event == "call":
            if not frame.f_code.co_filename.startswith(PACKAGE):
                return None
        elif event == "line":
            self.count += 1
        return self


@contextmanager
def counted() -> Iterator[Steps]:
    """Count within this block."""
    before, steps = sys.gettrace(), Steps()
    sys.settrace(steps)
    try:
        yield steps
    finally:
        sys.settrace(before)


def different(request: ModelRequest) -> str:
    return f"Answer: {request.settings.seed or 0:09}"


def same(request: ModelRequest) -> str:
    return "Answer: 000000004"


@dataclass
class Way:
    """A kind of run with n results."""

    aggregator: Callable[[int], Aggregator]
    script: Callable[[ModelRequest], str] = same
    waves: int = 1
    concurrency: int | None = None

    def steps_of_a_result(self, n: int) -> float:
        model = ScriptedModel(self.script)
        mind = Contemplator(
            model if self.concurrency is None else Limit(model, concurrency=self.concurrency),
            planner=planners.sample(n, wave=n // self.waves),
            aggregator=self.aggregator(n),
            on_event=lambda event: None,
        )
        with counted() as steps:
            anyio.run(mind.run, "q")
        return steps.count / n


WAYS = {
    "exact stop": Way(lambda n: aggregators.vote(), different),
    "beta stop": Way(lambda n: aggregators.vote(stop="beta"), different),
    "stop with a certificate": Way(lambda n: aggregators.vote(stop="certificate"), different),
    "full vote in waves": Way(lambda n: aggregators.vote(stop=None), waves=2, concurrency=1),
    "quorum": Way(lambda n: aggregators.quorum(aggregators.vote(), enough=n)),
    "synthesis": Way(lambda n: aggregators.synthesize()),
    "synthesis, limited": Way(lambda n: aggregators.synthesize(), concurrency=8),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_result_costs_the_same_however_many_there_are(way: Way) -> None:
    few, many = way.steps_of_a_result(FEW), way.steps_of_a_result(MANY)
    assert few > 100
    assert many < few * MOST_GROWTH
