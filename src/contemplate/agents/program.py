"""Answers computed by a program that the model writes, with bounded repair."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

from pydantic_core import to_json

from ..errors import OutputError, ProgramError, error_info, revived
from ..messages import Message
from ..models import ModelRequest, ModelResponse
from ..plan import Program
from ..prompts import Prompts, fence_mark, fenced
from ..run.output_type import OutputType
from ..run.tool_calls import ToolResult
from ..tools.sandbox import MODULES, program_in
from ..tools.tool import Tool
from .withheld_answers import check_given

Ask = Callable[[ModelRequest], Awaitable[ModelResponse]]
Run = Callable[[str], Awaitable[ToolResult]]

_FLOAT = re.compile(r"-?\d{1,15}\.\d+")
DECIMALS = 10


@dataclass(frozen=True, slots=True)
class ProgramAnswer:
    """The answer of a program.

    Attributes:
        text: the program, its output, and the answer on a line that votes can parse.
        output: the answer in the output type.
        messages: the whole conversation, including the programs' output.
        complete: whether the last reply was complete, not truncated.
    """

    text: str
    output: Any
    messages: tuple[Message, ...]
    complete: bool = True


def program_instructions(tools: Collection[Tool], output: OutputType[Any] | None, prompts: Prompts) -> str:
    """Return the instructions for writing a program."""
    parts = [prompts.render("strategy_code", modules=MODULES)]
    if tools:
        names = ", ".join(each.identifier for each in tools)
        signatures = "\n".join(f"- {each.signature}: {each.description}" for each in tools)
        parts.append(prompts.render("strategy_code_tools", names=names, tools=signatures))
    if output is not None:
        parts.append(prompts.render("strategy_code_output", schema=to_json(output.json_schema).decode()))
    return "\n\n".join(parts)


async def answer_with_program(
    request: ModelRequest, ask: Ask, run: Run, program: Program, output: OutputType[Any] | None, prompts: Prompts
) -> ProgramAnswer:
    """Ask the model for a program, run it, and return its answer.

    Args:
        request: the request for a program.
        ask: calls the model.
        run: runs a program; returns its output, or its error.
        program: the number of repairs.
        output: type of the JSON that the program prints; None for text, whose last line is the answer.
        prompts: how the model is told what became of its program.

    Raises:
        ModelError: a call failed.
        ProgramError: there was no answer, after all repairs.
        ContemplateError: programs cannot be run here.
        LimitExceeded: a limit does not allow another call.
    """
    messages = request.messages
    for _ in range(program.repairs + 1):
        response = await ask(replace(request, messages=messages))
        messages = (*messages, response.message)
        check_given(response)
        if response.finish == "length":
            return ProgramAnswer(response.message.text, None, messages, complete=False)
        code = program_in(response.message.text)
        if code is None:
            problem, complaint = "the reply contains no program", prompts.render("program_missing")
        else:
            made = await run(code)
            printed, error = made.text, made.error
            if error is None:
                try:
                    return _answer(code, printed, output, messages, prompts)
                except OutputError as raised:
                    error = error_info(raised)
            elif error.kind != "ProgramError":
                raise revived(error)
            problem = error.message
            complaint = _complaint(problem, prompts)
        messages = (*messages, Message.user(complaint))
    raise ProgramError(f"no program gave an answer, after {program.repairs} repairs; last problem: {problem}")


def _answer(
    code: str, printed: str, output: OutputType[Any] | None, messages: tuple[Message, ...], prompts: Prompts
) -> ProgramAnswer:
    messages = (*messages, Message.user(prompts.render("program_printed", printed=printed)))
    if output is not None:
        return ProgramAnswer(printed, output.parse(printed), messages)
    # `print(main())` prints None after the output of `main`.
    lines = [line for line in printed.splitlines() if line.strip() not in ("", "None")]
    if not lines:
        raise OutputError("the program printed None")
    answer = _clean_answer(lines[-1])
    return ProgramAnswer(prompts.render("program_answer", program=code, printed=printed, answer=answer), None, messages)


def _clean_answer(line: str) -> str:
    """Return the answer without "Answer:", with floats rounded, so that 0.30000000000000004 is 0.3."""
    line = line.strip().removeprefix("Answer:").strip()
    return str(round(float(line), DECIMALS)) if _FLOAT.fullmatch(line) else line


def _complaint(problem: str, prompts: Prompts) -> str:
    texts = [("error", problem)]
    mark = fence_mark(texts)
    return prompts.render("program_failed", mark=mark, problem=fenced(texts, mark))
