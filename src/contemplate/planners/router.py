"""Routing by a few probe samples: if they agree, they are the answer; if not, they say which way to go on."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ..agents.verifiers import REPAIRS, Verifier, asks_a_model, verifying_agent
from ..arguments import checked_arguments
from ..errors import ConfigurationError
from ..plan import Program, Task
from ..run.answer_keys import Key
from ..run.context import RunContext
from ..run.protocols import Planner, models_of
from ..settings import ModelSettings
from ..tools.sandbox import require
from .planner_size import Sized, most
from .routed_tasks import Choose, RoutedTasks, RouteRules
from .routes import Situation
from .solution_lines import LineRules

# Of each line of solutions that are checked.
REJECTIONS = 3


@checked_arguments
def router(
    decompose: Planner,
    *,
    probe: int = 3,
    samples: int = 9,
    check: Verifier | None = None,
    program: Program | None = None,
    key: Key | None = None,
    choose: Choose = Situation.best_route,
    instructions: str | None = None,
    settings: ModelSettings | None = None,
    seed: int | None = None,
) -> Planner:
    """Draw `probe` samples, and go on in the way that suits them and the limits; the result's notes say why.

    The first sample is the plain call of `planners.direct()`. If all agree, it is the answer. If numbers differ that
    can be calculated, a program is asked for; other short answers are voted on with more samples; code is refined;
    prose is decomposed, if a plan finds parts, and refined if not. Where there is a `check`, one sample is drawn, and
    is the answer if it passes; if not, it is mended, and others are tried. Where a tool has side effects, nothing is
    sampled: a plan says whether there are parts. What the limits cannot pay gives way to what is cheaper, and in the
    end to the probe's own best answer; so does what comes to nothing.

    A decomposition that is a chain is not run, since multiple agents harm sequential work (Kim et al. 2025,
    https://arxiv.org/abs/2512.08296). Instead, as for "refine", one more call merges the probe's answers. The results
    are candidates, parts or one answer: `aggregators.by_kind` handles all three, and `aggregators.first()` suffices
    where there is a `check`.

    Costs `probe` calls of depth one if they agree; `samples` of depth two to vote, probe + 1 to refine or to calculate,
    and probe + 1 + parts to decompose. With a check that calls no model, 1 to `samples`, of depth one to three.

    Args:
        decompose: planner of the parts, such as `planners.model(min_tasks=1)`; it must not wait for results.
        probe: number of probe samples.
        samples: total number of samples of a vote, or of solutions that are checked.
        check: says what is wrong with an answer, as the verifier of `planners.verified`.
        program: limits of a program that calculates, such as `strategies.code`; none is asked for if None.
        key: canonical key of an answer, as for `aggregators.vote`.
        choose: returns the `planners.Route` for a `planners.Situation`, whose `best_route()` is the default.
        instructions: how to state the answer. If None, the first sample is told nothing, and the others to end with a
            line "Answer: ..."; nothing if the run has an output type.
        settings: settings of every sample.
        seed: what the seeds of the samples are derived from; that of `settings`, or of the contemplator, if None.

    Raises:
        ConfigurationError: not 2 <= probe <= samples, or `check` is a tool that wants more than a solution.
        MissingDependencyError: a program is asked for, and the extra "code" is not installed.
    """
    if not 2 <= probe <= samples:
        raise ConfigurationError(f"planners.router({probe=}, {samples=}): 2 <= probe <= samples must hold")
    if program is not None:
        require()
    lines = None if check is None else _lines(check, samples, settings, seed)
    check_calls = 0 if lines is None or not asks_a_model(check) else lines.passes
    rules = RouteRules(
        decompose, probe, samples, lines, check_calls, program, key, choose, instructions, settings, seed
    )

    def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        return RoutedTasks(rules, question, ctx).tasks()

    calls, parts, repairs = most(decompose)
    others = None if parts is None else max(samples + (program is not None), probe + max(1, parts))
    checked = 0 if lines is None else lines.lines * lines.rejections * (1 + lines.passes)
    likely = max(samples, probe + 1 + (parts or 0)) if lines is None else samples * (1 + check_calls)
    mended = 0 if program is None else program.repairs
    return Sized(
        plan,
        calls=(0, None if calls is None else calls + mended),
        tasks=(1, None if others is None else max(others, checked)),
        repairs=max(repairs, REPAIRS if check_calls else 0),
        likely=(probe if lines is None else 1 + check_calls, likely),
        models=(None, *models_of(decompose), *(() if lines is None else (lines.model,))),
    )


def _lines(check: Verifier, samples: int, settings: ModelSettings | None, seed: int | None) -> LineRules:
    return LineRules(
        agent=verifying_agent(check),
        model=None if isinstance(check, Program) or not asks_a_model(check) else check,
        program=check if isinstance(check, Program) else None,
        passes=2 if asks_a_model(check) else 1,
        rejections=REJECTIONS,
        lines=max(1, samples // REJECTIONS),
        instructions=None,
        settings=settings,
        verifier_settings=None,
        seed=seed,
    )
