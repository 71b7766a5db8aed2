"""Run an untrusted program in Monty, an interpreter for a subset of Python, in a separate process.

The program has no access to files, the network, the environment or this process, except for the given functions.
Monty is https://github.com/pydantic/monty, the extra "code".
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Mapping
from typing import Any, Protocol

from pydantic import JsonValue

from ..errors import ProgramError
from ..plan import Program
from .program_steps import ProgramEnd, ProgramWait, RunningProgram
from .program_steps import require as require

MODULES = "math, datetime, re, json, random, itertools, collections"

_FENCED = re.compile(r"^[ ]{0,3}```[ \t]*(\w*)[^\n]*\n(.*?)(?:^[ ]{0,3}```|\Z)", re.MULTILINE | re.DOTALL)


class ProgramFunction(Protocol):
    """A function that a program may call, which returns JSON data."""

    def __call__(self, *args: Any, **kwargs: Any) -> Awaitable[JsonValue]:
        """Call the function; its exceptions are raised in the program."""
        ...


def program_in(text: str) -> str | None:
    """Return the last fenced block of Python in `text`, else the last one without a language; None if there is none."""
    blocks = [(found[1].casefold(), found[2]) for found in _FENCED.finditer(text)]
    python = [code for language, code in blocks if language.startswith("py")]
    found = python or [code for language, code in blocks if not language]
    return found[-1].strip() or None if found else None


async def run_program(code: str, program: Program, functions: Mapping[str, ProgramFunction]) -> str:
    """Run `code`, and return what it prints; if it prints nothing, the number or text of its last expression.

    It runs in a worker thread and a separate process, which ends with it. If the caller is cancelled, the process may
    continue up to its time limit. The time in which it waits for `functions` is not counted.

    Args:
        code: the program, in Python.
        program: the limits.
        functions: what it may call by name, or import from the module `tools`; they run in the event loop.

    Raises:
        ProgramError: it could not be parsed, failed, printed nothing, or exceeded a limit; the message is for a model.
        MissingDependencyError: the extra "code" is not installed.
    """
    async with RunningProgram(code, program, functions) as running:
        step = await running.start()
        while not isinstance(step, ProgramEnd):
            if isinstance(step, ProgramWait):
                raise ProgramError("it waits for something that never happens")
            try:
                returned = await functions[step.name](*step.args, **step.kwargs)
            except Exception as error:
                step = await running.raise_in(error)
            else:
                step = await running.give(returned)
    printed = step.printed
    if not printed.strip() and isinstance(step.value, str | int | float):
        printed = str(step.value)
    if not printed.strip():
        raise ProgramError("it printed nothing")
    return printed.strip()
