"""Attempts that build on earlier attempts: recursive self-aggregation, with self-refinement as a special case."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ..arguments import checked_arguments
from ..errors import ConfigurationError
from ..models import Model
from ..plan import Task
from ..run.answer_keys import Key
from ..run.context import RunContext
from ..run.protocols import Planner
from ..settings import ModelSettings
from .agreement import agreement
from .planner_size import Sized


@checked_arguments
def rounds(
    n: int = 4,
    k: int = 2,
    rounds: int = 3,
    *,
    instructions: str | None = None,
    settings: ModelSettings | None = None,
    seed: int | None = None,
    strong: str | Model | None = None,
    key: Key | None = None,
) -> Planner:
    """Plan a population of `n` attempts and replace it `rounds` - 1 times; the aggregator receives the last one.

    Each attempt sees `k` different attempts of the previous round, drawn at random, and is asked to improve on them. It
    starts as soon as those `k` are done, without waiting for the whole round. With n = k = 1 it is self-refinement:
    critique and rewrite.

    Recursive self-aggregation, Venkatraman et al. 2025, https://arxiv.org/abs/2509.26626; Self-Refine, Madaan et al.
    2023, https://arxiv.org/abs/2303.17651; with two models: Squeeze Evolve, Maheswaran et al. 2026,
    https://arxiv.org/abs/2604.07725, by the diversity of answers and not by log-probabilities.
    Costs n * rounds calls, of depth `rounds`; prompts grow by k answers.

    Args:
        n: number of attempts per round.
        k: number of previous attempts that each attempt sees.
        rounds: number of rounds, the first included.
        instructions: how to state the answer. If None: on a last line "Answer: ...", so that votes can parse it; empty
            if the run has an output type.
        settings: settings of every attempt. Without a temperature, the provider's default applies.
        seed: what the seeds of the attempts are derived from; that of `settings`, or of the contemplator, if None.
        strong: the model for the first round, and for attempts whose `k` earlier ones do not agree; all others are left
            to the run's model, a cheap one.
        key: canonical key of an answer, as for `aggregators.vote`, by which they agree.

    Raises:
        ConfigurationError: not 1 <= k <= n, or `rounds` is less than one.
    """
    if not 1 <= k <= n or rounds < 1:
        raise ConfigurationError(f"planners.rounds({n=}, {k=}, {rounds=}): 1 <= k <= n and rounds >= 1 must hold")

    given = None if settings is None else settings.seed

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        rng = ctx.random("rounds", (question,), seed, given)
        ending = instructions
        if ending is None and ctx.output is None:
            ending = ctx.prompts.render("answer_line")
        prompt = "rounds_revise" if k == 1 else "rounds_aggregate"
        improve = ctx.prompts.render(prompt)
        stronger = None if strong is None else ctx.use(strong)
        for number in range(rounds):
            for i in range(n):
                members = rng.sample(range(n), k) if number else []
                chosen = stronger
                if stronger is not None and members:
                    earlier = [await ctx.finished(_name(number - 1, member)) for member in members]
                    chosen = None if agreement(earlier, key, ctx) == 1 else stronger
                parts = (improve if number else None, ending)
                yield Task(
                    id=_name(number, i),
                    prompt=question,
                    needs=tuple(_name(number - 1, member) for member in members),
                    kind="candidate",
                    title=f"Round {number + 1}, attempt {i + 1}",
                    instructions="\n\n".join(filter(None, parts)) or None,
                    model=chosen,
                    settings=ModelSettings(seed=ctx.seed_of(number * n + i, seed, given)).over(settings),
                    held=number < rounds - 1,
                )

    return Sized(plan, calls=(0, 0), tasks=(n * rounds, n * rounds), models=(None, strong))


def _name(number: int, i: int) -> str:
    return f"round-{number + 1}-{i + 1}"
