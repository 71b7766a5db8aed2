"""A program that organises the run: a model writes it, or a user, and subagents answer its calls."""

from __future__ import annotations

import ast
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from ..arguments import checked_arguments
from ..errors import ConfigurationError, OutputError, ProgramError, ToolError
from ..messages import Message
from ..models import Model, ModelRequest
from ..plan import PROGRAM_TASK, Program, Task, TaskKind
from ..prompts import fence_mark, fenced
from ..run.context import RunContext
from ..run.protocols import Answer, Planner
from ..run.task_context import TaskContext
from ..settings import ModelSettings
from ..tools.program_steps import ProgramCall, ProgramEnd, ProgramStep, ProgramWait, RunningProgram, require
from ..tools.sandbox import MODULES, program_in
from .planner_size import Sized
from .program_functions import PendingValue, ProgramFunctions, text_of

# Of the sandbox: looking up a name, a call, and waiting for it, for each subagent; notes and counts besides.
CALLS_PER_TASK = 8
CALLS_BESIDES = 1000
# A program holds many texts, and works on them for a moment only.
LIMITS: Final = Program(seconds=20.0, memory_mib=256, output_kib=256)


@checked_arguments
def program(
    source: str | Path | None = None,
    *,
    max_tasks: int = 100,
    limits: Program = LIMITS,
    model: str | Model | None = None,
    settings: ModelSettings | None = None,
) -> Planner:
    """Let a program organise the run: its loops, branches and stages call subagents.

    In it, `ask`, `parallel`, `vote`, `check` and `judge` ask subagents, `note` tells how it goes, and `answer` gives
    the final answer; `question` is the question. What it prints, or else its last expression, is what the aggregator
    concludes from. It runs in the sandbox of the extra "code". The program stands in the result (`RunResult.program`),
    and can be given again as `source`. Equal calls are asked once, also when it is mended, or when the run is resumed.

    Costs one call to write the program, one more for each time it is mended, and those of the subagents; the depth is
    that of the program.

    CodeAct, Wang et al. 2024, https://arxiv.org/abs/2402.01030, applied to subagents.

    Args:
        source: the program, or the path of its file; the model writes one if None.
        max_tasks: maximum number of subagents, samples included.
        limits: of the program itself: its own seconds, without waiting for subagents; memory; what it may print; and
            how many times the model may mend it.
        model: who writes the program; the run's model if None.
        settings: settings of the calls that write it.

    Raises:
        ConfigurationError: `max_tasks` is less than one, or the file cannot be read.
        MissingDependencyError: the extra "code" is not installed.
    """
    if max_tasks < 1:
        raise ConfigurationError(f"planners.program({max_tasks=}): it must be at least 1")
    require()
    given = _read(source) if isinstance(source, Path) else source

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        writer = _Writer(question, ctx, max_tasks, model, settings or ModelSettings())
        code, problem, printed = given, "", ""
        for _ in range(1 if given is not None else limits.repairs + 1):
            code = await writer.write() if given is None else given
            if code is None:
                problem = "there is no program in the reply"
                continue
            work = _Work(code, ProgramFunctions(ctx, max_tasks), ctx)
            async with aclosing(work.tasks(question, limits, max_tasks)) as tasks:
                async for task in tasks:
                    yield task
            if work.result is not None:
                yield work.result
                return
            problem, printed = work.problem, work.printed
            if work.is_refused:
                break
            writer.tell(problem)
        for task in await _ended_early(question, problem, code, printed, ctx, own=given is not None):
            yield task

    calls = (0, 0) if given is not None else (1, limits.repairs + 1)
    return Sized(plan, calls=calls, tasks=(1, max_tasks + 1), models=(None, model))


class _Writer:
    """The conversation with the model that writes the program."""

    def __init__(
        self, question: str, ctx: RunContext, max_tasks: int, model: str | Model | None, settings: ModelSettings
    ) -> None:
        prompts = ctx.prompts
        names = ", ".join(each.name for each in ctx.tools)
        tools = prompts.render("program_tools", names=names) if names else ""
        system = prompts.render("program_plan", max_tasks=str(max_tasks), modules=MODULES, tools=tools)
        self._request = ModelRequest(
            ctx.opening("planner", system, prompts.render("plan_question", question=question)), settings
        )
        self._ctx = ctx
        self._model = model

    async def write(self) -> str | None:
        """Return the program that the model writes; None, after it was told so, if its reply contains none.

        Raises:
            ModelError: the call failed.
            LimitExceeded: a limit does not allow the call.
        """
        response = await self._ctx.call("planner", self._request, model=self._model)
        self._go_on(response.message)
        code = program_in(response.message.text)
        if code is None:
            self._go_on(Message.user(self._ctx.prompts.render("program_missing")))
        return code

    def tell(self, problem: str) -> None:
        """Tell what went wrong with the program."""
        texts = [("error", problem)]
        mark = fence_mark(texts)
        told = self._ctx.prompts.render("program_mend", mark=mark, problem=fenced(texts, mark))
        self._go_on(Message.user(told))

    def _go_on(self, message: Message) -> None:
        self._request = replace(self._request, messages=(*self._request.messages, message))


class _Work:
    """A program at work.

    Args:
        code: the program.
        functions: what it may call.
        ctx: the run.

    Attributes:
        result: what it has found, as a task that is answered; None if it ended early.
        problem: why it ended early.
        printed: what it has printed.
    """

    def __init__(self, code: str, functions: ProgramFunctions, ctx: RunContext) -> None:
        self.result: Task | None = None
        self.problem = self.printed = ""
        self._code = code
        self._functions = functions
        self._ctx = ctx
        self._promises = _awaits(code)
        # What it has asked for, and has not got yet.
        self._asked: dict[int, PendingValue | ToolError] = {}

    @property
    def is_refused(self) -> bool:
        """Whether it asked for more than a limit leaves room for."""
        return self._functions.refused is not None

    async def tasks(self, question: str, limits: Program, max_tasks: int) -> AsyncGenerator[Task]:
        """Run the program, and yield the tasks that it asks for."""
        most = CALLS_PER_TASK * max_tasks + CALLS_BESIDES
        given: dict[str, JsonValue] = {"question": question}
        try:
            async with RunningProgram(
                self._code,
                limits,
                ProgramFunctions.NAMES,
                given=given,
                seed=self._ctx.random("program").getrandbits(64),
                max_calls=most,
            ) as running:
                try:
                    step = await running.start()
                    while not isinstance(step, ProgramEnd):
                        for task in self._ask(step):
                            yield task
                        step = await self._go_on(running, step)
                finally:
                    self.printed = running.printed
            self.result = self._found(step)
            self._interrupt_the_rest()
        except ProgramError as error:
            self.problem = self._functions.refused or error.message

    def _interrupt_the_rest(self) -> None:
        """Interrupt subagents whose answers the program did not wait for: nobody will read them."""
        for each in self._asked.values():
            for task in each.tasks if isinstance(each, PendingValue) else ():
                self._ctx.interrupt(task.id)

    def _ask(self, step: ProgramStep) -> tuple[Task, ...]:
        """Return the tasks that the program asks for, without those that it has asked for before."""
        if not isinstance(step, ProgramCall):
            return ()
        try:
            asked = self._functions.called(step)
        except ToolError as error:
            self._asked[step.id] = error
            return ()
        self._asked[step.id] = asked
        new = {task.id: task for task in asked.tasks if not self._ctx.is_planned(task.id)}
        return tuple(new.values())

    async def _go_on(self, running: RunningProgram, step: ProgramCall | ProgramWait) -> ProgramStep:
        if isinstance(step, ProgramWait):
            return await running.settle(await self._first_of(step.calls))
        if self._promises and step.name not in ("note", "answer"):
            return await running.promise()
        outcome = (await self._first_of((step.id,)))[step.id]
        return await (running.raise_in(outcome) if isinstance(outcome, Exception) else running.give(outcome))

    async def _first_of(self, calls: tuple[int, ...]) -> Mapping[int, JsonValue | Exception]:
        """Return the outcomes of those of `calls` that are there; wait until there is one."""
        while True:
            ready = {call: self._outcome(self._asked.pop(call)) for call in calls if self._is_ready(call)}
            if ready:
                return ready
            pending = [self._asked[call] for call in calls]
            tasks = [task.id for each in pending if isinstance(each, PendingValue) for task in each.tasks]
            await self._ctx.first_finished([each for each in tasks if each not in self._ctx.results])

    def _is_ready(self, call: int) -> bool:
        asked = self._asked[call]
        return isinstance(asked, ToolError) or all(task.id in self._ctx.results for task in asked.tasks)

    def _outcome(self, asked: PendingValue | ToolError) -> JsonValue | Exception:
        if isinstance(asked, ToolError):
            return asked
        try:
            return asked.value([self._ctx.results[task.id] for task in asked.tasks])
        except ToolError as error:
            return error

    def _found(self, end: ProgramEnd) -> Task:
        """Return what the program has found.

        Raises:
            ProgramError: nothing, or its answer does not have the type that the run's answers have.
        """
        answer = self._functions.answer
        if answer is not None and self._ctx.output is not None:
            try:
                self._ctx.output.parse(answer)
            except OutputError as error:
                raise ProgramError(f"answer(...): {error.message}") from None
        found = answer or end.printed.strip() or ("" if end.value is None else text_of(end.value))
        if not found:
            raise ProgramError("it printed nothing, and gave no answer")
        if self._functions.refused is not None:
            self._ctx.give_up(f"the program asked for more than it got: {self._functions.refused}")
        return _program_task(self._code, found, "part" if answer is None else "answer", self._ctx)


def _awaits(code: str) -> bool:
    """Return whether a program awaits what it calls."""
    try:
        return any(isinstance(node, ast.Await) for node in ast.walk(ast.parse(code)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        # The sandbox says what is wrong with it.
        return False


def _program_task(code: str, found: str, kind: TaskKind, ctx: RunContext) -> Task:
    """Return the task that stands for the program; what it has found is its answer, for which nobody is asked."""

    async def given(task: Task, context: TaskContext) -> Answer:
        return Answer(found)

    ctx.assign(PROGRAM_TASK, given)
    return Task(id=PROGRAM_TASK, prompt=code, kind=kind, title="What the program found")


async def _ended_early(
    question: str, problem: str, code: str | None, printed: str, ctx: RunContext, *, own: bool
) -> list[Task]:
    """Return the tasks that are left when no program ran to its end; what its subagents find is passed on.

    Raises:
        ProgramError: it was the user's `own`, and its subagents found nothing.
    """
    started = [each.id for each in ctx.planned]
    found = [each.id for each in [await ctx.finished(task) for task in started] if each.answered]
    if not found and own:
        raise ProgramError(f"the program ended early: {problem}")
    if not found:
        ctx.give_up(f"no program organised the work, and the question is answered directly: {problem}")
        return [Task(id="answer", prompt=question, kind="answer", title="Answer")]
    ctx.give_up(f"the program ended early: {problem}")
    ctx.release(*found)
    told = ctx.prompts.render("program_ended", problem=problem, printed=printed).strip()
    return [_program_task(code or "", told, "part", ctx)]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"planners.program({str(path)!r}): it cannot be read: {error}") from None
