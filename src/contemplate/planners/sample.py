"""Repeated sampling of one question: self-consistency, ensembles, best of n."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from ..arguments import checked_arguments
from ..errors import ConfigurationError
from ..models import Model
from ..plan import Task
from ..run.context import RunContext
from ..run.protocols import Planner
from ..settings import ModelSettings
from ..strategies import Strategy, strategy_parts
from .planner_size import Sized, most_repairs


@checked_arguments
def sample(
    n: int,
    *,
    wave: int | None = None,
    personas: Sequence[str] = (),
    strategies: Sequence[Strategy] = (),
    models: Sequence[str | Model] = (),
    instructions: str | None = None,
    settings: ModelSettings | None = None,
    seed: int | None = None,
) -> Planner:
    """Ask the whole question `n` times in parallel, with different seeds. Costs n calls, of depth one.

    With `wave`, at most that many run at once, and the next wave starts only if the aggregator still needs more: fewer
    calls if answers agree, n / wave times the depth if they do not. `vote` can then be decided before all samples are
    drawn; its exact stop needs at least half of them, so `wave=(n + 1) // 2` is a good choice.

    Self-consistency, Wang et al. 2022, https://arxiv.org/abs/2203.11171; waves are after ESC, Li et al. 2024,
    https://arxiv.org/abs/2401.10480.

    Args:
        n: maximum number of samples.
        wave: number of samples per wave; all if None.
        personas: roles of the subagent; sample i gets number i modulo their count, as for the next two.
        strategies: how to approach the question.
        models: models that answer it.
        instructions: how to state the answer. If None: on a last line "Answer: ...", so that votes can parse it; empty
            if the run has an output type.
        settings: settings of every sample. Without a temperature, the provider's default applies.
        seed: what the seeds of the samples are derived from; that of `settings`, or of the contemplator, if None.

    Raises:
        ConfigurationError: `n` or `wave` is less than one.
        MissingDependencyError: `strategies.code` is among the strategies, and its extra is not installed.
    """
    if n < 1 or (wave is not None and wave < 1):
        raise ConfigurationError(f"planners.sample({n=}, {wave=}): n and wave must be at least 1")
    given = None if settings is None else settings.seed
    approaches = [strategy_parts(each) for each in strategies] or [(None, None)]

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        names = [ctx.use(each) for each in models]
        ending = instructions
        if ending is None and ctx.output is None:
            ending = ctx.prompts.render("answer_line")
        if wave is not None:
            ctx.expect(n)
        for i in range(n):
            if wave is not None and i and i % wave == 0:
                for earlier in range(i - wave, i):
                    await ctx.finished(_name(earlier))
                await ctx.undecided()
            strategy, program = approaches[i % len(approaches)]
            own = None if strategy is None else ctx.prompts.instead_of(strategy)
            parts = (_nth(personas, i), own, instructions if program else ending)
            yield Task(
                id=_name(i),
                prompt=question,
                kind="candidate",
                title=f"Sample {i + 1}",
                instructions="\n\n".join(filter(None, parts)) or None,
                model=_nth(names, i),
                program=program,
                settings=ModelSettings(seed=ctx.seed_of(i, seed, given)).over(settings),
            )

    return Sized(
        plan,
        calls=(0, 0),
        tasks=(wave or n, n),
        repairs=most_repairs(program for _, program in approaches),
        models=tuple(models) or (None,),
    )


def _name(i: int) -> str:
    return f"sample-{i + 1}"


def _nth(choices: Sequence[str], i: int) -> str | None:
    return choices[i % len(choices)] if choices else None
