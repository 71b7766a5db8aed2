"""Lines of solutions, each checked and mended until it is accepted or given up."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from ..agents.verdicts import Fault, Verdict
from ..models import Model
from ..plan import Program, Task
from ..result import TaskResult
from ..run.context import RunContext
from ..run.protocols import AgentFunction
from ..settings import ModelSettings

MOST_SHOWN = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class LineRules:
    """How solutions are made and checked; `planners.verified` says what each of these is."""

    agent: AgentFunction
    model: str | Model | None
    program: Program | None
    passes: int
    rejections: int
    lines: int
    instructions: str | None
    settings: ModelSettings | None
    verifier_settings: ModelSettings | None
    seed: int | None


@dataclass(slots=True, eq=False)
class _Solution:
    result: TaskResult
    passes: int = 0
    faults: list[Fault] = field(default_factory=list)

    @property
    def badness(self) -> tuple[int, int, int]:
        """The less, the better: critical faults, passes that it lacks, gaps. What nobody has checked has no faults."""
        critical = sum(each.critical for each in self.faults)
        return critical, -self.passes, len(self.faults) - critical


@dataclass(slots=True, eq=False)
class _Line:
    """One line: the solution it has come to, how many it has made and how often that was checked, and its rejections.

    `rejections` are those of solutions, and what was cut off: solutions, and checks of them. `faulty` are the tasks of
    the last solution that was rejected for its faults, and of the verdict on it.
    """

    number: int
    made: int = 0
    checks: int = 0
    rejections: int = 0
    solution: _Solution | None = None
    faulty: tuple[str, ...] = ()


class Lines:
    """The lines of one run.

    Args:
        rules: how they go.
        question: the question.
        ctx: the run.
        given: a solution that is there already, with which the first line begins; the others begin when it is rejected.
    """

    def __init__(self, rules: LineRules, question: str, ctx: RunContext, given: TaskResult | None = None) -> None:
        self._rules = rules
        self._given = given
        self._question = question
        self._ctx = ctx
        self._solutions: list[_Solution] = []
        self._accepted = 0
        self._ends: list[str] = []

    async def tasks(self) -> AsyncGenerator[Task]:
        """Yield the tasks of all lines; each line goes on as soon as its last task is done."""
        waiting: dict[str, _Line] = {}
        lines = [_Line(number) for number in range(1, self._rules.lines + 1)]
        later = lines[1:] if self._given is not None else []
        try:
            for line in lines[: len(lines) - len(later)]:
                task = self._solving(line) if self._given is None else self._going_on_from(self._given, line)
                waiting[task.id] = line
                yield task
            while waiting:
                result = await self._ctx.first_finished(waiting)
                line, before = waiting.pop(result.id), self._accepted
                next_task = self._after(result, line)
                if next_task is not None:
                    waiting[next_task.id] = line
                    yield next_task
                elif self._accepted > before:
                    # Who concludes from this one needs nothing more of the others.
                    await self._ctx.undecided()
                if later and line.rejections:
                    for line in later:
                        task = self._solving(line)
                        waiting[task.id] = line
                        yield task
                    later = []
        finally:
            # Also at the deadline, and where a limit leaves room for no further task.
            if not (self._accepted or self._ctx.suspended):
                self._pass_on_the_best()

    def _after(self, result: TaskResult, line: _Line) -> Task | None:
        """Return the task of `line` after the one with this result; None if it is at its end."""
        if result.task.kind == "candidate":
            if _cut_off(result):
                return self._again(line, cut_off=result)
            if not result.answered:
                self._end(line, f"its solution was not written: {_why(result)}")
                return None
            return self._going_on_from(result, line)
        solution, verdict = line.solution, result.output
        if solution is not None and _cut_off(result):
            goes_on = self._goes_on(line, ", the last as a check of it was cut off before its end")
            return self._checking(line, solution, self._ctx.prompts.render("verify_check_shorten")) if goes_on else None
        if solution is None or not result.answered or not isinstance(verdict, Verdict):
            self._end(line, f"its solution could not be checked: {_why(result)}")
            return None
        solution.faults += [each for each in verdict.faults if each not in solution.faults]
        if not verdict.critical:
            solution.passes += 1
            if solution.passes < self._rules.passes:
                return self._checking(line, solution)
            self._accept(solution)
            return None
        line.faulty = solution.result.id, result.id
        return self._again(line)

    def _going_on_from(self, result: TaskResult, line: _Line) -> Task:
        """Return the task that checks a solution which `line` has come to."""
        line.solution, line.checks, line.made = _Solution(result), 0, max(1, line.made)
        self._solutions.append(line.solution)
        return self._checking(line, line.solution)

    def _end(self, line: _Line, why: str) -> None:
        self._ends.append(f"line {line.number}: {why}")

    def _accept(self, solution: _Solution) -> None:
        self._accepted += 1
        if solution.faults:
            self._ctx.note(f"{solution.result.id!r} was accepted with gaps: {_shown(solution.faults)}")
        self._ctx.release(solution.result.id)

    def _pass_on_the_best(self) -> None:
        why = "; ".join(self._ends) or "no time or room was left"
        if not self._solutions:
            self._ctx.give_up(f"no solution was written to its end ({why})")
            return
        # Of equals the last one: it was made with what was found wrong with the others.
        best = min(reversed(self._solutions), key=lambda each: each.badness)
        found = f", with these faults: {_shown(best.faults)}" if best.faults else ", of which no fault is known"
        self._ctx.give_up(f"no solution was accepted ({why}); the best is given, {best.result.id!r}{found}")
        self._ctx.release(best.result.id)

    def _solving(self, line: _Line) -> Task:
        instructions = self._rules.instructions
        if instructions is None:
            instructions = self._ctx.prompts.render("verify_solve")
        line.made += 1
        return Task(
            id=f"solution-{line.number}-{line.made}",
            prompt=self._question,
            kind="candidate",
            title=f"Line {line.number}, solution {line.made}",
            instructions=instructions or None,
            settings=self._seeded(line, 0, self._rules.settings),
            held=True,
        )

    def _again(self, line: _Line, cut_off: TaskResult | None = None) -> Task | None:
        """Return the task that solves anew, told what is known of the last solutions; None if `line` is given up."""
        if not self._goes_on(line, "" if cut_off is None else ", the last as it was cut off before its end"):
            return None
        task = self._solving(line)
        mend = self._ctx.prompts.render("verify_mend") if line.faulty else None
        shorten = None if cut_off is None else self._ctx.prompts.render("verify_shorten")
        needs = line.faulty if cut_off is None else (*line.faulty, cut_off.id)
        instructions = "\n\n".join(filter(None, (mend, shorten, task.instructions)))
        return task.model_copy(update={"needs": needs, "instructions": instructions})

    def _goes_on(self, line: _Line, last: str) -> bool:
        """Count a rejection, and return whether `line` has tries left; if not, it ends, with what is to say of it."""
        line.rejections += 1
        if line.rejections < self._rules.rejections:
            return True
        self._end(line, f"given up after {line.rejections} rejections{last}")
        return False

    def _checking(self, line: _Line, solution: _Solution, instructions: str | None = None) -> Task:
        rules = self._rules
        line.checks += 1
        task = Task(
            id=f"check-{line.number}-{line.made}-{line.checks}",
            prompt=self._question if rules.program is None else self._ctx.prompts.render("verify_program"),
            needs=(solution.result.id,),
            title=f"Line {line.number}, solution {line.made}: check {line.checks}",
            instructions=instructions,
            model=None if rules.model is None else self._ctx.use(rules.model),
            settings=self._seeded(line, solution.passes + 1, rules.verifier_settings),
            program=rules.program,
            held=True,
        )
        self._ctx.assign(task.id, rules.agent)
        return task

    def _seeded(self, line: _Line, check: int, settings: ModelSettings | None) -> ModelSettings:
        rules = self._rules
        given = None if settings is None else settings.seed
        place = (line.number - 1) * rules.rejections + line.rejections
        number = place * (rules.passes + 1) + check
        return ModelSettings(seed=self._ctx.seed_of(number, rules.seed, given)).over(settings)


def _cut_off(result: TaskResult) -> bool:
    """Return whether a limit of the call's own cut it off: where one of the run did, it is the error of the task."""
    return result.outcome == "capped" and result.error is None


def _why(result: TaskResult) -> str:
    return f"it was {result.outcome}" if result.error is None else result.error.message


def _shown(faults: list[Fault]) -> str:
    text = "; ".join(each.what for each in faults)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."
