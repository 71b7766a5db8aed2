"""Solutions that are checked step by step, and mended until they pass: verify and refine."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ..agents.verifiers import REPAIRS, Verifier, asks_a_model, verifying_agent
from ..arguments import checked_arguments
from ..errors import ConfigurationError
from ..plan import Program, Task
from ..run.context import RunContext
from ..run.protocols import Planner
from ..settings import ModelSettings
from .planner_size import Sized
from .solution_lines import LineRules, Lines


@checked_arguments
def verified(
    verifier: Verifier | None = None,
    *,
    passes: int | None = None,
    rejections: int = 3,
    lines: int = 2,
    instructions: str | None = None,
    settings: ModelSettings | None = None,
    verifier_settings: ModelSettings | None = None,
    seed: int | None = None,
) -> Planner:
    """Solve the question, have the solution checked step by step, and mend it until it passes.

    A verifier sees the question and a solution, and nothing else. It lists faults, each critical or a gap. A solution
    is accepted after `passes` verdicts in a row without a critical fault; else it is written anew with the list, and
    its line is given up after `rejections` verdicts with one. Several `lines` do so in parallel: the aggregator
    receives each accepted solution, so that `aggregators.first()` takes the first of them and cancels the others. If no
    line comes to one, it receives the solution with the fewest faults, and the result is not `complete`. A solution
    that is cut off by its own limit is rejected, and written anew, more briefly; a verdict that is cut off is none, and
    is asked for again. A line whose call fails ends there; the others go on.

    Huang and Yang 2025, https://arxiv.org/abs/2507.15855, where five passes and ten rejections are usual. Costs
    1 + `passes` calls for each line that is accepted at once, in sequence; at most `rejections` times as many.

    Args:
        verifier: who lists the faults: a model or its name, the run's model if None; a `strategies.Program`, with which
            the run's model writes a program that checks; a `planners.CheckingProgram` of your own; a function of the
            solution's `TaskResult`, which may be async and returns True, False, what is wrong, or a list of texts and
            `planners.Fault`; or a tool with a parameter `solution`, and perhaps `question`, that returns the same.
        passes: verdicts that a solution must pass; if None two, and one where no model is asked.
        rejections: verdicts with a critical fault, and solutions and verdicts that were cut off, after which a line is
            given up.
        lines: how many solutions are worked on at the same time.
        instructions: how to state the solution; that every step is to have its reason if None.
        settings: settings of the calls that solve and mend.
        verifier_settings: settings of the calls that verify.
        seed: what the seeds of these calls are derived from; that of their settings, or of the contemplator, if None.

    Raises:
        ConfigurationError: a number is less than one, or a tool wants more than a question and a solution.
        MissingDependencyError: the verifier is a program, and the extra "code" is not installed.
    """
    if passes is None:
        passes = 2 if asks_a_model(verifier) else 1
    if passes < 1 or rejections < 1 or lines < 1:
        raise ConfigurationError(f"planners.verified({passes=}, {rejections=}, {lines=}): all must be at least 1")
    rules = LineRules(
        agent=verifying_agent(verifier),
        model=None if isinstance(verifier, Program) or not asks_a_model(verifier) else verifier,
        program=verifier if isinstance(verifier, Program) else None,
        passes=passes,
        rejections=rejections,
        lines=lines,
        instructions=instructions,
        settings=settings,
        verifier_settings=verifier_settings,
        seed=seed,
    )

    def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        return Lines(rules, question, ctx).tasks()

    calls = passes if asks_a_model(verifier) else 0
    repairs = verifier.repairs if isinstance(verifier, Program) else REPAIRS if calls else 0
    return Sized(
        plan,
        calls=(0, 0),
        tasks=(1 + passes, lines * rejections * (1 + passes)),
        repairs=repairs,
        likely=(1 + calls, lines * min(2, rejections) * (1 + calls)),
        models=(None, rules.model),
    )
