"""Verifiers: whoever lists the faults of a solution, be it a model, a program that one writes, a function or a tool.

A verifier is an agent whose task needs one other, the solution. It sees that and the question, and nothing else: not
who solved it, nor how often.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field
from pydantic_core import to_json
from typing_extensions import TypeIs

from ..answers.markers import marked_answer
from ..errors import ConfigurationError, revived
from ..messages import ToolCall
from ..models import Model
from ..plan import Program, Task
from ..prompts import fence_mark, fenced
from ..prompts.results import result_text
from ..result import TaskResult
from ..run.output_type import OutputType
from ..run.protocols import AgentFunction, Answer
from ..run.task_context import TaskContext
from ..settings import ModelSettings
from ..tools.sandbox import require, run_program
from ..tools.tool import Tool
from ..tools.tool_context import ToolContext
from ..tools.user_code import call_function
from .agent import Agent
from .tool_use import ToolOutput, run_tool_call
from .verdicts import Fault, Found, Verdict, program_verdict, tool_verdict, verdict_of, written_program_verdict


@dataclass(frozen=True, slots=True)
class CheckingProgram:
    """A program that verifies, in the sandbox: its variables `question` and `solution` are there when it begins.

    The last line that it prints is CORRECT if nothing is wrong; else each line is a fault.

    Args:
        source: the program, in Python.
        limits: those of the sandbox.
    """

    source: str
    limits: Program = field(default_factory=Program)


VerifierFunction = Callable[[TaskResult], Found | Awaitable[Found]]
Verifier = str | Model | Program | CheckingProgram | Tool | VerifierFunction

# Small models may find no end of them where a grammar lets them go on.
MOST_STEPS = 24
# Of a model's verdict that does not fit its form.
REPAIRS = 2


def asks_a_model(verifier: Verifier | None) -> TypeIs[str | Model | Program | None]:
    """Return whether a verdict costs a model call: that of a model, or of a program that one writes."""
    return verifier is None or isinstance(verifier, str | Program) or hasattr(verifier, "request")


def verifying_agent(verifier: Verifier | None) -> AgentFunction:
    """Return the agent that lists the faults of the solution which its task needs: a `Verdict` is its `output`.

    Raises:
        ConfigurationError: a tool wants more than a `question` and a `solution`.
        MissingDependencyError: it is a program, and the extra "code" is not installed.
    """
    if isinstance(verifier, Program):
        require()
        return _by_written_program
    if isinstance(verifier, CheckingProgram):
        require()
        return _ProgramVerifier(verifier)
    if asks_a_model(verifier):
        return _by_model
    return _ToolVerifier(verifier) if isinstance(verifier, Tool) else _FunctionVerifier(verifier)


def _lower(value: Any) -> Any:
    return value.strip().casefold() if isinstance(value, str) else value


class CheckedStep(BaseModel):
    """A step of a solution, as a model checked it; the reason comes first, so that the verdict can follow from it."""

    step: str
    why: str
    fault: Annotated[Literal["none", "gap", "critical"], BeforeValidator(_lower)]


class CheckedSteps(BaseModel):
    """The steps of a solution, as a model checked them."""

    steps: Annotated[list[CheckedStep], Field(min_length=1, max_length=MOST_STEPS)]


CHECKED_STEPS = OutputType(CheckedSteps)


async def _by_model(task: Task, ctx: TaskContext) -> Answer:
    """Ask a model, which goes through the solution step by step."""
    prompts = ctx.run.prompts
    texts = [("solution", _solution_text(ctx))]
    mark = fence_mark(texts)
    asked = prompts.render(
        "verify_question",
        question=ctx.run.question,
        most=str(MOST_STEPS),
        mark=mark,
        solution=fenced(texts, mark),
    )
    asked = "\n\n".join(filter(None, (asked, task.instructions)))
    messages = ctx.run.opening("subagent", prompts.render("verify"), asked)
    settings = task.settings or ModelSettings()
    answer = await Agent(max_repairs=REPAIRS).converse(messages, ctx, settings=settings, output=CHECKED_STEPS)
    if not isinstance(answer.output, CheckedSteps):
        # It was cut off.
        return answer
    faults = (
        Fault(what=f"{each.step}: {each.why}", critical=each.fault == "critical")
        for each in answer.output.steps
        if each.fault != "none"
    )
    return _answer(Verdict(faults=tuple(faults)), ctx)


async def _by_written_program(task: Task, ctx: TaskContext) -> Answer:
    """Ask a model for a program that checks the solution, whose last line says whether it is good."""
    answer = await Agent()(task, ctx)
    if answer.outcome != "answered":
        return answer
    printed = marked_answer(answer.text) or ""
    return _answer(written_program_verdict(printed, ctx.inputs[0].text, ctx.run.prompts), ctx)


class _ProgramVerifier:
    def __init__(self, program: CheckingProgram) -> None:
        self._program = program

    async def __call__(self, task: Task, ctx: TaskContext) -> Answer:
        values = {"question": ctx.run.question, "solution": _solution_text(ctx)}
        given = "\n".join(f"{name} = {text!r}" for name, text in values.items())
        code = f"{given}\n{self._program.source}"

        async def use(context: ToolContext[Any]) -> ToolOutput:
            return await run_program(code, self._program.limits, {})

        made = await run_tool_call(ToolCall(id=f"verify-{task.id}", name="program", arguments=code), ctx.run, task, use)
        if made.error is not None:
            raise revived(made.error)
        return _answer(program_verdict(made.text, ctx.run.prompts), ctx)


class _FunctionVerifier:
    def __init__(self, function: VerifierFunction) -> None:
        self._function = function

    async def __call__(self, task: Task, ctx: TaskContext) -> Answer:
        solution = ctx.inputs[0]
        try:
            found = await call_function(self._function, solution)
        except Exception as error:
            raise ConfigurationError(
                f"the verifier raised {type(error).__name__} on the answer of task {solution.id!r}: {error}",
                hint="return False, or what is wrong, for an answer that cannot be checked",
            ) from error
        return _answer(verdict_of(found, ctx.run.prompts), ctx)


class _ToolVerifier:
    def __init__(self, tool: Tool) -> None:
        properties, required = tool.parameters.get("properties"), tool.parameters.get("required")
        self._wanted = list(properties) if isinstance(properties, dict) else []
        others = set(required if isinstance(required, list) else ()) - {"question", "solution"}
        if others or "solution" not in self._wanted:
            raise ConfigurationError(
                f"verifier={tool!r} has the parameters {', '.join(self._wanted) or '(none)'}",
                hint="a tool that verifies takes a `solution`, and may take the `question`: both are texts",
            )
        self._tool = tool

    async def __call__(self, task: Task, ctx: TaskContext) -> Answer:
        known = {"question": ctx.run.question, "solution": _solution_text(ctx)}
        given = {name: text for name, text in known.items() if name in self._wanted}
        call = ToolCall(id=f"verify-{task.id}", name=self._tool.name, arguments=to_json(given).decode())

        async def use(context: ToolContext[Any]) -> ToolOutput:
            return await self._tool.within(context).call(call.arguments)

        made = await run_tool_call(call, ctx.run, task, use, self._tool)
        if made.error is not None:
            raise revived(made.error)
        return _answer(tool_verdict(made.text, ctx.run.prompts), ctx)


def _solution_text(ctx: TaskContext) -> str:
    return result_text(ctx.inputs[0], ctx.run.prompts)


def _answer(verdict: Verdict, ctx: TaskContext) -> Answer:
    return Answer(verdict.text(ctx.run.prompts), output=verdict)
