"""Modes: predefined pairs of a planner and an aggregator."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Final, Literal, NamedTuple, get_args

from . import aggregators, answers, planners, strategies
from .agents.verifiers import Verifier
from .arguments import checked_arguments
from .errors import ConfigurationError, MissingDependencyError
from .models import Brevity, Model, brevity_of
from .plan import Program, Task
from .planners.model import MAX_CALLS
from .planners.planner_size import Sized
from .planners.routed_tasks import Choose
from .planners.routes import Situation
from .prompts import DEFAULTS, Prompts
from .run.answer_keys import Key
from .run.context import RunContext
from .run.protocols import Aggregator, Planner, models_of
from .settings import ModelSettings
from .tools.sandbox import require

Mode = Literal["instant", "thinking", "contemplating", "auto", "vote", "refine", "council", "verify", "program"]

_STRATEGIES = (strategies.step_by_step, strategies.work_backwards, strategies.critique_and_revise, strategies.analogy)


class Preset(NamedTuple):
    """A planner, the aggregator that goes with it, and what is to hold for the subagents.

    Args:
        planner: yields the tasks.
        aggregator: concludes from the results.
        settings: settings of the subagents' calls; a contemplator's own `settings` come before them.
        refine: how many times each subagent revises its answer (`refined`).
        brief: returns the preset that takes its place for a model with a `brevity`, as local ones have, with prompts.
    """

    planner: Planner
    aggregator: Aggregator
    settings: ModelSettings | None = None
    refine: int = 0
    brief: Callable[[Brevity, Prompts], Preset] | None = None


@checked_arguments
def contemplating(*, refine: int = 0, ask_again: int = 0) -> Preset:
    """Return the mode "contemplating" in which agents plan, answer, revise, and merge, and the merge may ask again.

    Each subagent revises its answer up to `refine` times before it counts (`refined`), and the merging model may name
    up to `ask_again` points that the results leave open or in conflict, which become tasks
    (`aggregators.synthesize(ask_again=)`). Costs up to `refine` calls more for each task, of the same depth more; and,
    where it asks, a call for each point and one more to conclude, of depth two.

    Example:
        Contemplator("openai:gpt-5", mode=modes.contemplating(refine=1, ask_again=2))

    Raises:
        ConfigurationError: one of the numbers is negative.
    """
    if refine < 0 or ask_again < 0:
        raise ConfigurationError(f"modes.contemplating({refine=}, {ask_again=}): both must be at least 0")
    return Preset(
        planners.model(),
        aggregators.synthesize(ask_again=ask_again),
        refine=refine,
        brief=lambda brevity, prompts: _brief(brevity, prompts, refine, ask_again),
    )


@checked_arguments
def auto(
    *,
    check: Verifier | None = None,
    samples: int = 9,
    key: Key | None = None,
    choose: Choose = Situation.best_route,
) -> Preset:
    """Return the mode "auto", which looks at a few answers, and goes on only as far as they, and the limits, need it.

    Three samples that agree are the answer, and the first of them is what "instant" would say. If they differ,
    `planners.router` chooses a vote, a program, parts, or one more call; with a `check`, one sample that passes is the
    answer, and is mended if not. The result's notes say which way was taken, and why.

    Costs 3 calls where answers agree, or 1 where the first passes the check; up to `samples` where they are short; and
    a plan, its tasks and one more where they are long.

    Example:
        Contemplator("openai:gpt-5", mode=modes.auto(check=compiles), tools=[search])

    Args:
        check: what says what is wrong with an answer: a function of its `TaskResult` that returns True, False, or what
            is wrong, or another verifier of `planners.verified`.
        samples: the most samples of a vote, or solutions that are checked.
        key: canonical key of an answer, as for `aggregators.vote`.
        choose: returns the `planners.Route` for a `planners.Situation`, whose `best_route()` is the default.

    Raises:
        ConfigurationError: `samples` is less than three, or the check is a tool that wants more than a solution.
        MissingDependencyError: the check is a program, and the extra "code" is not installed.
    """
    planner = planners.router(
        planners.model(min_tasks=1), samples=samples, check=check, program=_calculating(), key=key, choose=choose
    )
    if choose is not Situation.best_route or check is None:
        votes = aggregators.vote(key=_counting(key))
        preset = Preset(planner, aggregators.by_kind(candidates=votes, others=aggregators.synthesize()))
    else:
        preset = Preset(planner, aggregators.first())
    if check is None and choose is Situation.best_route:
        return preset._replace(brief=_brief)
    return preset._replace(
        brief=lambda brevity, _: preset._replace(settings=ModelSettings(max_tokens=brevity.max_tokens))
    )


def _calculating() -> Program | None:
    """Return the limits of a program that calculates; None where none can be run."""
    try:
        require()
    except MissingDependencyError:
        return None
    return strategies.code


def _counting(key: Key | None) -> Key | None:
    """Return `key` for a vote in which no text abstains: the only answer may be one that was not to be counted."""
    if key is None:
        return None

    def counted(value: object) -> object:
        found = key(value)
        return answers.text(value) if found is None and isinstance(value, str) else found

    return counted


@checked_arguments
def council(*members: str | Model) -> Preset:
    """Return a preset in which several models answer independently and the contemplator's own model merges the answers.

    The merging model sees them anonymised and shuffled. Costs one call per member and one more, of depth two. Without
    members, the contemplator's model answers four times, each time with another strategy.

    Mixture-of-Agents with one layer, Wang et al. 2024, https://arxiv.org/abs/2406.04692.

    Example:
        Contemplator("openai:gpt-5", mode=modes.council("openai:gpt-5-mini", "ollama:llama3.2"))
    """
    chosen = () if members else _STRATEGIES
    # No required answer format, since the answers are merged and not counted.
    planner = planners.sample(len(members or chosen), models=members, strategies=chosen, instructions="")
    return Preset(planner, aggregators.synthesize())


@checked_arguments
def program(source: str | Path | None = None, *, max_tasks: int = 100) -> Preset:
    """Return the mode "program" in which a program organises the subagents: the model writes it, or it is `source`.

    What it prints is made into one answer, unless the program gives the answer itself (`planners.program`). Costs a
    call to write the program, those of the subagents, and one to conclude.

    Example:
        Contemplator("openai:gpt-5", mode=modes.program(Path("fact_check.py")))

    Raises:
        ConfigurationError: `max_tasks` is less than one, or the file cannot be read.
        MissingDependencyError: the extra "code" is not installed.
    """
    return Preset(
        planners.program(source, max_tasks=max_tasks),
        aggregators.synthesize(),
        brief=lambda brevity, prompts: _brief_program(brevity, source, max_tasks),
    )


def preset(mode: Mode | Preset, model: Model | None = None, prompts: Prompts = DEFAULTS) -> Preset:
    """Return the preset named `mode` for `model`, or `mode` itself if it is a preset.

    What it tells models comes from `prompts`. A model with a `brevity`, as local ones have, contemplates in fewer and
    shorter parts, or answers directly.

    Raises:
        ConfigurationError: `mode` is not a known mode.
    """
    if isinstance(mode, Preset):
        found = mode
    elif mode in _READY:
        found = _READY[mode](prompts)
    else:
        raise ConfigurationError(f"there is no mode {mode!r}", hint=f"modes: {', '.join(get_args(Mode))}")
    brevity = None if model is None else brevity_of(model)
    return found if brevity is None or found.brief is None else found.brief(brevity, prompts)


def _brief_program(brevity: Brevity, source: str | Path | None = None, max_tasks: int = 100) -> Preset:
    """Return the preset for short answers to the calls of a program."""
    return Preset(
        planners.program(source, max_tasks=max_tasks),
        aggregators.synthesize(settings=ModelSettings(max_tokens=brevity.answer_tokens)),
        settings=ModelSettings(max_tokens=brevity.max_tokens),
    )


def _brief(brevity: Brevity, prompts: Prompts, refine: int = 0, ask_again: int = 0) -> Preset:
    """Return the preset for a plan of few and short parts, and a short answer."""
    return Preset(
        _briefly(planners.model(brevity.tasks, min_tasks=1), brevity.tasks),
        aggregators.synthesize(
            settings=ModelSettings(max_tokens=brevity.answer_tokens),
            instructions=prompts.render("brief_answer"),
            ask_again=ask_again,
            ask_instructions=prompts.render("brief_part") if ask_again else None,
        ),
        settings=ModelSettings(max_tokens=brevity.max_tokens),
        refine=refine,
    )


def _briefly(planner: Planner, tasks: int) -> Planner:
    """Return a planner whose tasks are to be answered in a few sentences, and do not wait for each other.

    Small models let most parts need others that they do not need, and one after the other takes twice the time.
    """

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        async for task in planner(question, ctx):
            brief = ctx.prompts.render("brief_part" if task.kind == "part" else "brief_answer")
            yield task.model_copy(update={"needs": (), "instructions": brief})

    return Sized(plan, calls=(1, MAX_CALLS), tasks=(1, tasks), models=models_of(planner))


_READY: Final[Mapping[str, Callable[[Prompts], Preset]]] = {
    "instant": lambda _: Preset(planners.direct(), aggregators.first()),
    "thinking": lambda prompts: Preset(planners.direct(instructions=prompts.render("thinking")), aggregators.first()),
    "contemplating": lambda _: contemplating(),
    "auto": lambda _: auto(),
    "vote": lambda _: Preset(planners.sample(5, wave=3), aggregators.vote()),
    "refine": lambda _: Preset(planners.rounds(n=1, k=1, rounds=2), aggregators.first()),
    "council": lambda _: council(),
    "verify": lambda _: Preset(planners.verified(), aggregators.first()),
    "program": lambda _: program(),
}

__all__ = ["Mode", "Preset", "auto", "contemplating", "council", "preset", "program"]
