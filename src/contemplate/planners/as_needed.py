"""Try; where that fails, try another way; where that fails too, take the question apart."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from ..agents.checks import Check, problem_with
from ..errors import ConfigurationError
from ..plan import Task
from ..prompts import fence_mark, fenced, render
from ..result import TaskResult
from ..run.context import RunContext
from ..run.protocols import Planner
from ..strategies import Strategy, Way, split, work_backwards
from .sized import parts_of

UNSOLVED = "UNSOLVED"
Wrong = Sequence[tuple[str, str]]


def as_needed(
    decompose: Planner,
    *,
    strategies: Sequence[Strategy] | None = None,
    check: Check | None = None,
    depth: int = 1,
) -> Planner:
    """One attempt; while attempts fail, another one with the next strategy; then `decompose`, and so for each part.

    An attempt fails if it is not answered, if it says that it is UNSOLVED, as it is asked to do rather than guess, or
    if it does not pass `check`. The next one is told what was wrong. The aggregator is given the attempt that succeeded
    or, after decomposing, those of the parts: `aggregators.synthesize` suits both, and makes no call for the first.
    Whatever can be attempted is attempted at the same time, and the next attempts wait for the slowest of these.

    ADaPT, Prasad et al. 2023, https://arxiv.org/abs/2311.05772. Costs one call where it suffices; at worst, with s
    strategies and p parts, (1 + s) * (1 + p) + 1 for depth 1, and p times that for each level more.

    Args:
        decompose: plans the parts, such as `planners.model()`; it must not wait for results.
        strategies: for the attempts after the first, in this order. If None: `strategies.work_backwards`.
        check: looks at an answered attempt at the whole question: True if it is good; False, or a text that says what
            is wrong with it, if not. May be async.
        depth: how often a part may be decomposed further; 0 never decomposes.

    Raises:
        ConfigurationError: `depth` is negative.
        MissingDependencyError: `strategies.code` is among the strategies, and its extra is not installed.
    """
    if depth < 0:
        raise ConfigurationError(f"planners.as_needed(depth={depth}): 0 or more is needed")
    ways = [split(each) for each in ((work_backwards,) if strategies is None else strategies)]
    return _AsNeeded(decompose, ways, check, depth)


@dataclass(slots=True, eq=False)
class _Goal:
    """The question, or a part of it."""

    task: Task
    level: int = 0
    needs: list[_Goal] = field(default_factory=list)
    parts: list[_Goal] = field(default_factory=list)
    attempts: int = 0
    wrong: Wrong = ()
    result: str | None = None

    @property
    def results(self) -> list[str]:
        """The ids of the results that stand for it."""
        return [self.result] if self.result else [each for part in self.parts for each in part.results]

    @property
    def done(self) -> bool:
        return self.result is not None or (bool(self.parts) and all(part.done for part in self.parts))

    @property
    def ready(self) -> bool:
        return self.result is None and not self.parts and all(need.done for need in self.needs)


class _AsNeeded:
    def __init__(self, decompose: Planner, strategies: Sequence[Way], check: Check | None, depth: int) -> None:
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
                wrong = await self._wrong(goal, await ctx.finished(task.id))
                if not wrong:
                    goal.result = task.id
                    ctx.release(task.id)
                    continue
                goal.wrong = wrong
                if goal.attempts > len(self._strategies):
                    goals += await self._taken_apart(goal, task, ctx)

    def _attempt(self, goal: _Goal, ctx: RunContext) -> Task:
        said, program = [goal.task.instructions], goal.task.program
        if goal.attempts:
            mark = fence_mark(ctx.run_id, goal.wrong)
            said.append(render("another_attempt", mark=mark, problem=fenced(goal.wrong, mark)))
            words, program = self._strategies[goal.attempts - 1]
            said.append(words)
        # Where a program is asked for, it is a failure that there is none: no word for it is needed.
        if program is None and (ctx.output is None or goal.task.kind == "part"):
            said.append(render("unsolved", word=UNSOLVED))
        goal.attempts += 1
        return goal.task.model_copy(
            update={
                "id": f"{goal.task.id}-{goal.attempts}",
                "needs": tuple(each for need in goal.needs for each in need.results),
                "instructions": "\n\n".join(filter(None, said)) or None,
                "program": program,
                "held": True,
            }
        )

    async def _wrong(self, goal: _Goal, result: TaskResult) -> Wrong:
        """What is wrong with an attempt, as texts with their labels; nothing if it is good."""
        if result.error is not None:
            return [("problem", result.error.message)]
        if not result.answered:
            return [("attempt", render("incomplete", text=result.text))]
        if result.text.lstrip(" *#\n").startswith(UNSOLVED):
            return [("problem", result.text)]
        if self._check is None or goal.level > 0:
            return ()
        problem = await problem_with(result, self._check)
        return () if problem is None else [("problem", problem), ("attempt", result.text)]

    async def _taken_apart(self, goal: _Goal, last: Task, ctx: RunContext) -> list[_Goal]:
        """The goal's parts. If there are none, it is given up, and its last attempt stands for it."""
        parts = await parts_of(self._decompose, goal.task.prompt, ctx) if goal.level < self._depth else []
        if len(parts) < 2:
            ctx.note(f"{goal.task.label!r} was given up after {goal.attempts} attempts")
            goal.result = last.id
            if goal.level > 0:
                # Whoever merges must know that it is missing, and why.
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
