"""The same question several times: self-consistency, ensembles, best of n."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from ..context import RunContext
from ..errors import ConfigurationError
from ..models import Model
from ..plan import Task
from ..prompts import render
from ..settings import ModelSettings
from .base import Planner


def sample(
    n: int,
    *,
    personas: Sequence[str] = (),
    strategies: Sequence[str] = (),
    models: Sequence[str | Model] = (),
    instructions: str | None = None,
    settings: ModelSettings | None = None,
    seed: int = 0,
) -> Planner:
    """Ask the whole question `n` times at once, each time with another seed. Costs n calls, of depth one.

    Self-consistency, Wang et al. 2022, https://arxiv.org/abs/2203.11171.

    Args:
        n: how often.
        personas: who the subagent is; sample i gets number i modulo their number. So too:
        strategies: how it goes about the question;
        models: which model answers it.
        instructions: how to state the answer. If None: on a last line "Answer: ...", so that votes can read it;
            nothing where the run has an output type.
        settings: of every sample. If no temperature is given, the provider's default is left alone.
        seed: the first sample's seed; the next ones count up.

    Raises:
        ConfigurationError: `n` is less than one.
    """
    if n < 1:
        raise ConfigurationError(f"planners.sample(n={n}): at least one sample is needed")

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        names = [ctx.use(each) for each in models]
        ending = instructions
        if ending is None and ctx.output is None:
            ending = render("answer_line")
        for i in range(n):
            said = (_nth(personas, i), _nth(strategies, i), ending)
            yield Task(
                id=f"sample-{i + 1}",
                prompt=question,
                kind="candidate",
                title=f"Sample {i + 1}",
                instructions="\n\n".join(filter(None, said)) or None,
                model=_nth(names, i),
                settings=ModelSettings(seed=seed + i).over(settings),
            )

    return plan


def _nth(choices: Sequence[str], i: int) -> str | None:
    return choices[i % len(choices)] if choices else None
