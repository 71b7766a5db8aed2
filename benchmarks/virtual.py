"""Models that only take time, on a clock that jumps to whatever comes next: what the simulations share."""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import anyio
import trio
import trio.testing

from contemplate import Message, Usage
from contemplate.models import Delta, DeltaSink, ModelRequest, ModelResponse

FIRST_TOKEN_MEDIAN, FIRST_TOKEN_SIGMA = 0.8, 0.5
DECODE_MEDIAN, DECODE_SIGMA = 20.0, 0.55
STALLED_SHARE, SHORTEST_STALL, LONGEST_STALL = 0.02, 30.0, 120.0
TOKENS_PER_SECOND = 50.0

SETTINGS = {
    "first token, lognormal, s": (FIRST_TOKEN_MEDIAN, FIRST_TOKEN_SIGMA),
    "decoding, lognormal, s": (DECODE_MEDIAN, DECODE_SIGMA),
    "stalls before the first token: share, s": (STALLED_SHARE, SHORTEST_STALL, LONGEST_STALL),
    "tokens per second": TOKENS_PER_SECOND,
}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Turn:
    """One call: seconds to its first token, seconds from there to its end, and what it says."""

    first: float
    decode: float
    text: str

    @property
    def seconds(self) -> float:
        """How long the whole call takes."""
        return self.first + self.decode


def first_token(rng: random.Random) -> float:
    """Seconds to a first token: heavy-tailed, with a stall now and then."""
    if rng.random() < STALLED_SHARE:
        return rng.uniform(SHORTEST_STALL, LONGEST_STALL)
    return rng.lognormvariate(math.log(FIRST_TOKEN_MEDIAN), FIRST_TOKEN_SIGMA)


def decoding(rng: random.Random) -> float:
    """Seconds from a first token to the last."""
    return rng.lognormvariate(math.log(DECODE_MEDIAN), DECODE_SIGMA)


def calls_for(turns: Sequence[Turn], second: Sequence[float]) -> Callable[[int | None], Turn]:
    """The next call for a seed: its turn, and then, if one is made, a second that waits anew for its first token."""
    asked: set[int] = set()

    def next_call(seed: int | None) -> Turn:
        assert seed is not None
        turn = turns[seed]
        if seed in asked:
            turn = replace(turn, first=second[seed])
        asked.add(seed)
        return turn

    return next_call


class Timed:
    """A model whose calls take the time that `turn` says, which is given the request's seed.

    Attributes:
        turn: what happens in the next call for a seed; may be replaced between runs.
        calls: how many were made.
        tokens: how many were decoded, also in calls that were cancelled.
    """

    name = "timed"

    def __init__(self) -> None:
        self.turn: Callable[[int | None], Turn] = lambda _: Turn(0, 0, "nothing")
        self.calls = 0
        self.tokens = 0.0

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Wait, begin, wait, and answer."""
        turn = self.turn(request.settings.seed)
        self.calls += 1
        await anyio.sleep(turn.first)
        if on_delta is not None:
            on_delta(Delta(turn.text[:1]))
        began = anyio.current_time()
        try:
            await anyio.sleep(turn.decode)
        finally:
            self.tokens += TOKENS_PER_SECOND * (anyio.current_time() - began)
        if on_delta is not None:
            on_delta(Delta(turn.text[1:]))
        usage = Usage(calls=1, output_tokens=round(TOKENS_PER_SECOND * turn.decode))
        return ModelResponse(message=Message.assistant(turn.text), finish="stop", usage=usage, model=self.name)


def run_virtually(function: Callable[[], Awaitable[T]]) -> T:
    """Run `function` on a clock that stands still while anything is computed, and then jumps to what is due next."""
    return trio.run(function, clock=trio.testing.MockClock(autojump_threshold=0))


async def taken(function: Callable[[], Awaitable[T]]) -> tuple[float, T]:
    """How many virtual seconds `function` takes, and what it returns."""
    began = anyio.current_time()
    returned = await function()
    return anyio.current_time() - began, returned


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of `values` lie."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]
