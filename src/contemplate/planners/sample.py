"""The same question several times: self-consistency, ensembles, best of n."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from ..errors import ConfigurationError
from ..models import Model
from ..plan import Task
from ..prompts import render
from ..run.context import RunContext
from ..run.protocols import Planner
from ..settings import ModelSettings
from ..strategies import Strategy, split
from .sized import Sized


def sample(
    n: int,
    *,
    wave: int | None = None,
    personas: Sequence[str] = (),
    strategies: Sequence[Strategy] = (),
    models: Sequence[str | Model] = (),
    instructions: str | None = None,
    settings: ModelSettings | None = None,
    seed: int = 0,
) -> Planner:
    """Ask the whole question `n` times at once, each time with another seed. Costs n calls, of depth one.

    With `wave`, only so many at once, and the next ones when these are done and the aggregator still wants more: fewer
    calls where answers agree, n / wave times the depth where they do not. `vote` then sees that it is decided although
    the rest was never asked; with its exact stop, it can be after half of them, `wave=(n + 1) // 2`.

    Self-consistency, Wang et al. 2022, https://arxiv.org/abs/2203.11171; waves are after ESC, Li et al. 2024,
    https://arxiv.org/abs/2401.10480.

    Args:
        n: how often, at most.
        wave: how many at once; all if None.
        personas: who the subagent is; sample i gets number i modulo their number. So too:
        strategies: how it goes about the question;
        models: which model answers it.
        instructions: how to state the answer. If None: on a last line "Answer: ...", so that votes can read it;
            nothing where the run has an output type.
        settings: of every sample. If no temperature is given, the provider's default is left alone.
        seed: the first sample's seed; the next ones count up.

    Raises:
        ConfigurationError: `n` or `wave` is less than one.
        MissingDependencyError: `strategies.code` is among the strategies, and its extra is not installed.
    """
    if n < 1 or (wave is not None and wave < 1):
        raise ConfigurationError(f"planners.sample({n=}, {wave=}): at least one sample is needed")
    ways = [split(each) for each in strategies] or [(None, None)]

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        names = [ctx.use(each) for each in models]
        ending = instructions
        if ending is None and ctx.output is None:
            ending = render("answer_line")
        if wave is not None:
            ctx.expect(n)
        for i in range(n):
            if wave is not None and i and i % wave == 0:
                for earlier in range(i - wave, i):
                    await ctx.finished(_name(earlier))
                await ctx.undecided()
            words, program = ways[i % len(ways)]
            said = (_nth(personas, i), words, instructions if program else ending)
            yield Task(
                id=_name(i),
                prompt=question,
                kind="candidate",
                title=f"Sample {i + 1}",
                instructions="\n\n".join(filter(None, said)) or None,
                model=_nth(names, i),
                program=program,
                settings=ModelSettings(seed=seed + i).over(settings),
            )

    return Sized(plan, calls=(0, 0), tasks=(wave or n, n))


def _name(i: int) -> str:
    return f"sample-{i + 1}"


def _nth(choices: Sequence[str], i: int) -> str | None:
    return choices[i % len(choices)] if choices else None
