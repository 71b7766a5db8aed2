"""Attempts that build on earlier attempts: recursive self-aggregation, and self-refinement as its smallest case."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

from ..errors import ConfigurationError
from ..plan import Task
from ..prompts import render
from ..run.context import RunContext
from ..run.protocols import Planner
from ..settings import ModelSettings
from .sized import Sized


def rounds(
    n: int = 4,
    k: int = 2,
    rounds: int = 3,
    *,
    instructions: str | None = None,
    settings: ModelSettings | None = None,
    seed: int = 0,
) -> Planner:
    """A population of `n` attempts, replaced `rounds` - 1 times; the aggregator is given the last one.

    Each attempt of a round is shown `k` different ones of the round before, drawn at random, and asked for a better
    one of its own: "if none can be right, try another way". It starts as soon as those `k` are done, without waiting
    for their whole round. With n = k = 1 it is self-refinement: criticise and write anew.

    Recursive self-aggregation, Venkatraman et al. 2025, https://arxiv.org/abs/2509.26626; Self-Refine, Madaan et al.
    2023, https://arxiv.org/abs/2303.17651. Costs n * rounds calls, of depth `rounds`; prompts grow by k answers.

    Args:
        n: how many attempts a round has.
        k: how many of the round before each is shown.
        rounds: how many rounds there are, the first attempts included.
        instructions: how to state the answer. If None: on a last line "Answer: ...", so that votes can read it;
            nothing where the run has an output type.
        settings: of every attempt. If no temperature is given, the provider's default is left alone.
        seed: the first attempt's seed; the next ones count up.

    Raises:
        ConfigurationError: not 1 <= k <= n, or no round.
    """
    if not 1 <= k <= n or rounds < 1:
        raise ConfigurationError(f"planners.rounds: 1 <= k <= n and rounds >= 1 are needed, not {k=}, {n=}, {rounds=}")

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        drawn = random.Random(f"{ctx.run_id}/rounds")  # noqa: S311
        ending = instructions
        if ending is None and ctx.output is None:
            ending = render("answer_line")
        way = "rounds_revise" if k == 1 else "rounds_aggregate"
        improve = render(way)
        for number in range(rounds):
            for i in range(n):
                members = drawn.sample(range(n), k) if number else []
                said = (improve if number else None, ending)
                yield Task(
                    id=_name(number, i),
                    prompt=question,
                    needs=tuple(_name(number - 1, member) for member in members),
                    kind="candidate",
                    title=f"Round {number + 1}, attempt {i + 1}",
                    instructions="\n\n".join(filter(None, said)) or None,
                    settings=ModelSettings(seed=seed + number * n + i).over(settings),
                    held=number < rounds - 1,
                )

    return Sized(plan, calls=(0, 0), tasks=(n * rounds, n * rounds))


def _name(number: int, i: int) -> str:
    return f"round-{number + 1}-{i + 1}"
