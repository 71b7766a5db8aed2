"""Run an untrusted program in Monty, an interpreter for a subset of Python, in a separate process.

The program has no access to files, the network, the environment or this process, except for the given functions.
Monty is https://github.com/pydantic/monty, the extra "code".
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import anyio.to_thread
from anyio.lowlevel import RunVar
from pydantic import JsonValue

from ..errors import MissingDependencyError, ProgramError
from ..plan import Program

if TYPE_CHECKING:
    from pydantic_monty import Monty, MontySession, SyncSnapshot

T = TypeVar("T")

MODULES = "math, datetime, re, json, random, itertools, collections"
TOOLS = "tools"
MAX_DEPTH = 500
MAX_CALLS = 1000
MAX_ERROR_CHARACTERS = 1500

_FENCED = re.compile(r"^[ ]{0,3}```[ \t]*(\w*)[^\n]*\n(.*?)(?:^[ ]{0,3}```|\Z)", re.MULTILINE | re.DOTALL)
_DEFINED = re.compile(r"^\s*(?:async\s+)?def\s+(\w+)", re.MULTILINE)
_threads: RunVar[anyio.CapacityLimiter] = RunVar("contemplate.sandbox.threads")


class ProgramFunction(Protocol):
    """A function that a program may call, which returns JSON data."""

    def __call__(self, *args: Any, **kwargs: Any) -> Awaitable[JsonValue]:
        """Call the function; its exceptions are raised in the program."""
        ...


def require() -> None:
    """Check that programs can be run.

    Raises:
        MissingDependencyError: the extra "code" is not installed.
    """
    if find_spec("pydantic_monty") is None:
        raise MissingDependencyError("a program that is run", "code")


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
    require()
    from pydantic_monty import MontyCrashedError, MontyError

    for name in _DEFINED.findall(code):
        # Small models tend to redefine a function that they should call, and so invent its result.
        if name in functions:
            raise ProgramError(f"the function {name} exists already: do not define it, import it from {TOOLS}")
    try:
        async with _Session(program) as session:
            printed = await session.run(code, functions)
    except MontyCrashedError:
        # On a busy machine, the process is killed before it can report its time limit.
        raise ProgramError(f"its process was killed, at its time limit of {program.seconds:g} s or earlier") from None
    except MontyError as error:
        raise ProgramError(_traceback(error)) from None
    if not printed.strip():
        raise ProgramError("it printed nothing")
    return printed.strip()


class _Session:
    """A process that runs one program."""

    def __init__(self, program: Program) -> None:
        from pydantic_monty import Monty

        self._printed: list[str] = []
        self._output_left = program.output_kib * 1024
        self._lock = threading.Lock()
        self._busy = self._exited = False
        self._pool: Monty = Monty(max_processes=1)
        self._limits = program
        self._session: MontySession | None = None

    async def __aenter__(self) -> _Session:
        return self

    async def __aexit__(self, *_: object) -> None:
        with self._lock:
            self._exited = True
            if not self._busy:
                self._close()

    def _close(self) -> None:
        if self._session is not None:
            self._session.__exit__(None, None, None)
            self._pool.__exit__(None, None, None)

    async def run(self, code: str, functions: Mapping[str, ProgramFunction]) -> str:
        from pydantic_monty import MontyComplete

        snapshot = await self._in_thread(partial(self._start, code, functions))
        while not isinstance(snapshot, MontyComplete):
            snapshot = await self._in_thread(await self._resume_step(snapshot, functions))
        printed = "".join(self._printed)
        if not printed.strip() and isinstance(snapshot.output, str | int | float):
            return str(snapshot.output)
        return printed

    def _start(self, code: str, functions: Mapping[str, ProgramFunction]) -> SyncSnapshot:
        from pydantic_monty import ExternalModule

        self._pool.__enter__()
        self._session = session = self._pool.checkout(
            limits={
                "max_feed_duration_secs": self._limits.seconds,
                "max_memory": self._limits.memory_mib * 1024 * 1024,
                "max_recursion_depth": MAX_DEPTH,
                "max_suspensions": MAX_CALLS,
            },
            os_policy={"sleep": "zero"},
            external_modules={TOOLS: ExternalModule(dict(functions))},
        )
        session.__enter__()
        return session.feed_start(code, print_callback=self._on_print)

    def _on_print(self, _: Literal["stdout", "stderr"], text: str) -> None:
        self._output_left -= len(text.encode(errors="replace"))
        if self._output_left < 0:
            raise MemoryError(f"the program printed more than {self._limits.output_kib} KiB")
        self._printed.append(text)

    async def _resume_step(
        self, snapshot: SyncSnapshot, functions: Mapping[str, ProgramFunction]
    ) -> Callable[[], SyncSnapshot]:
        """Return how to resume the program, which waits for something from outside."""
        from pydantic_monty import FunctionSnapshot, NameLookupSnapshot

        if isinstance(snapshot, NameLookupSnapshot):
            function = functions.get(snapshot.variable_name)
            return snapshot.resume if function is None else partial(snapshot.resume, value=function)
        if not isinstance(snapshot, FunctionSnapshot):
            raise ProgramError("it waits for something that never happens")
        name = str(snapshot.function_name).removeprefix(f"{TOOLS}.")
        if snapshot.is_os_function:
            return snapshot.resume_auto if name == "import" else snapshot.resume_not_handled
        if name not in functions:
            return partial(snapshot.resume, {"exception": NameError(f"name {name!r} is not defined")})
        try:
            returned = await functions[name](*snapshot.args, **snapshot.kwargs)
        except Exception as error:
            message = f"{type(error).__name__}: {error}"
            return partial(snapshot.resume, {"exc_type": "RuntimeError", "message": message})
        return partial(snapshot.resume, {"return_value": returned})

    async def _in_thread(self, step: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(self._run_step, step, abandon_on_cancel=True, limiter=_limiter())

    def _run_step(self, step: Callable[[], T]) -> T:
        """Run `step` in the thread; afterwards close the session if the caller was cancelled in the meantime."""
        with self._lock:
            self._busy = True
        try:
            return step()
        finally:
            with self._lock:
                self._busy = False
                if self._exited:
                    self._close()


def _limiter() -> anyio.CapacityLimiter:
    """Return a limiter for one program per processor: waiting for a processor would count towards a time limit."""
    try:
        return _threads.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(os.cpu_count() or 1)
        _threads.set(limiter)
        return limiter


def _traceback(error: Any) -> str:
    """Return the end of the traceback, which is what a model needs for a fix."""
    display = getattr(error, "display", None)
    text = str(error) if display is None else str(display("traceback"))
    return text.strip()[-MAX_ERROR_CHARACTERS:]
