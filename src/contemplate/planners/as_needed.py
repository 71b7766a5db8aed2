"""Attempt the question; on failure try other strategies, then decompose it (ADaPT)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from ..agents.checks import Check, problem_with
from ..arguments import checked_arguments
from ..errors import ConfigurationError
from ..plan import Task
from ..prompts import fence_mark, fenced
from ..result import TaskResult
from ..run.context import RunContext
from ..run.protocols import Planner, models_of
from ..strategies import Strategy, StrategyParts, strategy_parts, work_backwards
from .planner_size import Sized, most, most_repairs, parts_of

UNSOLVED = "UNSOLVED"
# Labels and texts that describe a failed attempt; empty if it is good.
Problems = Sequence[tuple[str, str]]


@checked_arguments
def as_needed(
    decompose: Planner,
    *,
    strategies: Sequence[Strategy] | None = None,
    check: Check | None = None,
    depth: int = 1,
) -> Planner:
    """Attempt the question; after each failure try the next strategy, then decompose and treat each part likewise.

    An attempt fails if it is not answered, if it replies UNSOLVED (as prompted to do instead of guessing), or if it
    does not pass `check`. The next attempt is told what was wrong. The aggregator receives the successful attempt or,
    after decomposition, those of the parts: `aggregators.synthesize` handles both, and makes no call for the first.
    All attempts that are ready run in parallel; the next ones wait for the slowest of them. If the question or a part
    of it is given up, the result is not `complete`.

    ADaPT, Prasad et al. 2023, https://arxiv.org/abs/2311.05772. Costs one call if that
    succeeds; at worst, with s strategies and p parts, (1 + s) * (1 + p) + 1 calls for depth 1, and p times that for
    each further level.

    Args:
        decompose: planner of the parts, such as `planners.model()`; it must not wait for results.
        strategies: used by the attempts after the first, in this order; `strategies.work_backwards` if None.
        check: judges an answered attempt at the whole question. Returns True if it is good; False, or a text that
            says what is wrong, if not. May be async.
        depth: maximum number of nested decompositions; 0 never decomposes.

    Raises:
        ConfigurationError: `depth` is negative.
        MissingDependencyError: `strategies.code` is among the strategies, and its extra is not installed.
    """
    if depth < 0:
        raise ConfigurationError(f"planners.as_needed({depth=}): depth must be at least 0")
    parts = [strategy_parts(each) for each in ((work_backwards,) if strategies is None else strategies)]
    calls, split, repairs = most(decompose)
    attempts = 1 + len(parts)
    # How many questions there may be on all levels, and how many of them may be decomposed.
    goals = None if split is None else sum(split**level for level in range(depth + 1))
    splits = None if split is None else sum(split**level for level in range(depth))
    return Sized(
        _AsNeeded(decompose, parts, check, depth),
        calls=(0, None if calls is None or splits is None else calls * splits),
        tasks=(1, None if goals is None else attempts * goals),
        repairs=max(repairs, most_repairs(program for _, program in parts)),
        likely=(1, attempts),
        models=(None, *models_of(decompose)),
    )


@dataclass(slots=True, eq=False)
class _Goal:
    """The question or a part of it, and the state of its attempts."""

    task: Task
    level: int = 0
    needs: list[_Goal] = field(default_factory=list)
    parts: list[_Goal] = field(default_factory=list)
    attempts: int = 0
    problems: Problems = ()
    result: str | None = None

    @property
    def results(self) -> list[str]:
        """The ids of the results that answer it: its own, or those of its parts."""
        return [self.result] if self.result else [each for part in self.parts for each in part.results]

    @property
    def done(self) -> bool:
        return self.result is not None or (bool(self.parts) and all(part.done for part in self.parts))

    @property
    def ready(self) -> bool:
        return self.result is None and not self.parts and all(need.done for need in self.needs)


class _AsNeeded:
    def __init__(
        self, decompose: Planner, strategies: Sequence[StrategyParts], check: Check | None, depth: int
    ) -> None:
        self._decompose = decompose
        self._strategies = strategies
        self._check = check
        self._depth = depth

    async def __call__(self, question: str, ctx: RunContext) -> AsyncIterator[Task]:
        goals = [_Goal(Task(id="try", prompt=question, kind="candidate", title="Answer"))]
        while ready := [goal for goal in goals if goal.ready]:
            attempts = [self._attempt(goal, ctx) for goal in ready]
            for task in attempts:
                yield task
            for goal, task in zip(ready, attempts, strict=True):
                problems = await self._problems(goal, await ctx.finished(task.id), ctx)
                if not problems:
                    goal.result = task.id
                    ctx.release(task.id)
                    continue
                goal.problems = problems
                if goal.attempts > len(self._strategies):
                    goals += await self._split(goal, task, ctx)

    def _attempt(self, goal: _Goal, ctx: RunContext) -> Task:
        instructions, program = [goal.task.instructions], goal.task.program
        if goal.attempts:
            mark = fence_mark(goal.problems)
            instructions.append(ctx.prompts.render("another_attempt", mark=mark, problem=fenced(goal.problems, mark)))
            strategy, program = self._strategies[goal.attempts - 1]
            instructions.append(strategy and ctx.prompts.instead_of(strategy))
        # An attempt that must write a program fails without one, so it does not need the word UNSOLVED.
        if program is None and (ctx.output is None or goal.task.kind == "part"):
            instructions.append(ctx.prompts.render("unsolved", word=UNSOLVED))
        goal.attempts += 1
        return goal.task.model_copy(
            update={
                "id": f"{goal.task.id}-{goal.attempts}",
                "needs": tuple(each for need in goal.needs for each in need.results),
                "instructions": "\n\n".join(filter(None, instructions)) or None,
                "program": program,
                "held": True,
            }
        )

    async def _problems(self, goal: _Goal, result: TaskResult, ctx: RunContext) -> Problems:
        """Return what is wrong with an attempt, as labelled texts; empty if it is good."""
        if result.error is not None:
            return [("problem", result.error.message)]
        if not result.answered:
            return [("attempt", ctx.prompts.render("incomplete", text=result.text))]
        if result.text.lstrip(" *#\n").startswith(UNSOLVED):
            return [("problem", result.text)]
        if self._check is None or goal.level > 0:
            return ()
        problem = await problem_with(result, self._check, ctx.prompts)
        return () if problem is None else [("problem", problem), ("attempt", result.text)]

    async def _split(self, goal: _Goal, last: Task, ctx: RunContext) -> list[_Goal]:
        """Decompose `goal` and return its parts. If there are none, give up and keep its last attempt as the result."""
        parts = await parts_of(self._decompose, goal.task.prompt, ctx) if goal.level < self._depth else []
        if len(parts) < 2:
            ctx.give_up(f"{goal.task.label!r} was given up after {goal.attempts} attempts")
            goal.result = last.id
            if goal.level > 0:
                # The aggregator must see that this part is missing, and why.
                ctx.release(last.id)
            return []
        known: dict[str, _Goal] = {}
        for task in parts:
            named = task.model_copy(update={"id": f"{goal.task.id}.{task.id}"})
            known[task.id] = _Goal(named, goal.level + 1, [known[need] for need in task.needs])
        if goal.needs:
            for part in known.values():
                part.needs += goal.needs
        goal.parts = list(known.values())
        return goal.parts
