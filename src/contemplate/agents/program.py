"""Answers that a program prints: ask for one, run it, and tell the model what went wrong, at most so many times."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

from pydantic import JsonValue
from pydantic_core import to_json

from ..errors import ModelResponseError, OutputError, ProgramError, error_info, revived
from ..messages import Message
from ..models import ModelRequest, ModelResponse
from ..plan import Program
from ..prompts import fence_mark, fenced, render
from ..run.calls import ToolResult
from ..run.output_type import OutputType
from ..tools.sandbox import MODULES, program_in
from ..tools.tool import Tool

Ask = Callable[[ModelRequest], Awaitable[ModelResponse]]
Run = Callable[[str], Awaitable[ToolResult]]

_FLOAT = re.compile(r"-?\d{1,15}\.\d+")
DECIMALS = 10


@dataclass(frozen=True, slots=True)
class Printed:
    """What came of it.

    Attributes:
        text: the program, what it printed, and the answer, on a line that votes can read.
        output: the answer in the output type, as JSON.
        messages: the whole conversation, what the programs printed included.
        complete: whether the last reply was.
    """

    text: str
    output: JsonValue
    messages: tuple[Message, ...]
    complete: bool = True


def how_to(tools: Collection[Tool], output: OutputType[Any] | None) -> str:
    """What a model is told that shall write a program."""
    said = [render("strategy_code", modules=MODULES)]
    if tools:
        names = ", ".join(each.identifier for each in tools)
        signatures = "\n".join(f"- {each.signature}: {each.description}" for each in tools)
        said.append(render("strategy_code_tools", names=names, tools=signatures))
    if output is not None:
        said.append(render("strategy_code_output", schema=to_json(output.json_schema).decode()))
    return "\n\n".join(said)


async def printed(
    request: ModelRequest, ask: Ask, run: Run, program: Program, output: OutputType[Any] | None, *, salt: str
) -> Printed:
    """Have a program written and run.

    Args:
        request: what the model is asked.
        ask: asks it.
        run: runs a program; what it printed, or what went wrong, and whether something did.
        program: how often the model is told.
        output: what the program has to print, as JSON; None for text, whose last line is the answer.
        salt: the run's id, for fences.

    Raises:
        ModelError: a call failed.
        ProgramError: there was no answer, after every repair.
        ContemplateError: programs cannot be run here.
        LimitExceeded: a limit leaves no room for another call.
    """
    messages = request.messages
    for _ in range(program.repairs + 1):
        response = await ask(replace(request, messages=messages))
        messages = (*messages, response.message)
        if response.finish == "content_filter":
            raise ModelResponseError("the provider's content filter stopped the answer", model=response.model)
        if response.finish == "length":
            return Printed(response.message.text, None, messages, complete=False)
        code = program_in(response.message.text)
        if code is None:
            problem, complaint = "it wrote none", render("program_missing")
        else:
            said, error, _ = await run(code)
            if error is None:
                try:
                    return _answer(code, said, output, messages)
                except OutputError as raised:
                    error = error_info(raised)
            elif error.kind != "ProgramError":
                raise revived(error.kind, error.message, error.hint)
            problem = error.message
            complaint = _complaint(problem, salt)
        messages = (*messages, Message.user(complaint))
    raise ProgramError(f"no program gave an answer, after {program.repairs} repairs; the last: {problem}")


def _answer(code: str, said: str, output: OutputType[Any] | None, messages: tuple[Message, ...]) -> Printed:
    heard = (*messages, Message.user(render("program_printed", printed=said)))
    if output is not None:
        return Printed(said, output.dump(output.parse(said)), heard)
    # `print(main())` prints a None after all that `main` has printed.
    lines = [line for line in said.splitlines() if line.strip() not in ("", "None")]
    if not lines:
        raise OutputError("the program printed None")
    answer = _tidied(lines[-1])
    return Printed(render("program_answer", program=code, printed=said, answer=answer), None, heard)


def _tidied(line: str) -> str:
    """The answer without its mark, and a float without the noise of its last digits: 0.30000000000000004 is 0.3."""
    line = line.strip().removeprefix("Answer:").strip()
    return str(round(float(line), DECIMALS)) if _FLOAT.fullmatch(line) else line


def _complaint(problem: str, salt: str) -> str:
    texts = [("error", problem)]
    mark = fence_mark(salt, texts)
    return render("program_failed", mark=mark, problem=fenced(texts, mark))
