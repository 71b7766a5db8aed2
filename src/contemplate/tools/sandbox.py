"""Running a program that nobody has looked at: in Monty, an interpreter of a part of Python, in a process of its own.

The program sees no file, no network, no environment and nothing of this process but the functions that it is given.
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


class Function(Protocol):
    """What a program may call: takes what it was called with, and returns JSON data."""

    def __call__(self, *args: Any, **kwargs: Any) -> Awaitable[JsonValue]:
        """Whatever it raises is raised in the program."""
        ...


def require() -> None:
    """See that programs can be run at all.

    Raises:
        MissingDependencyError: the extra "code" is not installed.
    """
    if find_spec("pydantic_monty") is None:
        raise MissingDependencyError("a program that is run", "code")


def program_in(text: str) -> str | None:
    """The last block of Python that is fenced in `text`, else the last that does not say what it is; None if none."""
    blocks = [(found[1].casefold(), found[2]) for found in _FENCED.finditer(text)]
    python = [code for language, code in blocks if language.startswith("py")]
    found = python or [code for language, code in blocks if not language]
    return found[-1].strip() or None if found else None


async def run_program(code: str, program: Program, functions: Mapping[str, Function]) -> str:
    """What `code` prints; if it prints nothing, the number or text that its last line stands for.

    It runs in a worker thread and in a process of its own, which ends with it. If the caller is cancelled, that process
    goes on for its time at most. The time in which it waits for `functions` is not counted.

    Args:
        code: Python.
        program: the limits.
        functions: what it may call, by name, or import from a module `tools`; they run in the event loop.

    Raises:
        ProgramError: it could not be read, failed, printed nothing, or was over a limit; the message is for a model.
        MissingDependencyError: the extra "code" is not installed.
    """
    require()
    from pydantic_monty import MontyCrashedError, MontyError

    for name in _DEFINED.findall(code):
        # Small models make up a function that they are to call, and with it what it returns.
        if name in functions:
            raise ProgramError(f"the function {name} exists already: do not define it, import it from {TOOLS}")
    try:
        async with _Session(program) as session:
            printed = await session.run(code, functions)
    except MontyCrashedError:
        # On a busy machine its process is killed before it says so itself.
        raise ProgramError(f"its process was ended, at its time limit of {program.seconds:g} s or before") from None
    except MontyError as error:
        raise ProgramError(_told(error)) from None
    if not printed.strip():
        raise ProgramError("it printed nothing")
    return printed.strip()


class _Session:
    """One process with one program."""

    def __init__(self, program: Program) -> None:
        from pydantic_monty import Monty

        self._printed: list[str] = []
        self._room = program.output_kib * 1024
        self._lock = threading.Lock()
        self._busy = self._left = False
        self._pool: Monty = Monty(max_processes=1)
        self._limits = program
        self._session: MontySession | None = None

    async def __aenter__(self) -> _Session:
        return self

    async def __aexit__(self, *_: object) -> None:
        with self._lock:
            self._left = True
            if not self._busy:
                self._close()

    def _close(self) -> None:
        if self._session is not None:
            self._session.__exit__(None, None, None)
            self._pool.__exit__(None, None, None)

    async def run(self, code: str, functions: Mapping[str, Function]) -> str:
        from pydantic_monty import MontyComplete

        snapshot = await self._in_thread(partial(self._start, code, functions))
        while not isinstance(snapshot, MontyComplete):
            snapshot = await self._in_thread(await self._answered(snapshot, functions))
        printed = "".join(self._printed)
        if not printed.strip() and isinstance(snapshot.output, str | int | float):
            return str(snapshot.output)
        return printed

    def _start(self, code: str, functions: Mapping[str, Function]) -> SyncSnapshot:
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
        return session.feed_start(code, print_callback=self._hear)

    def _hear(self, _: Literal["stdout", "stderr"], text: str) -> None:
        self._room -= len(text.encode(errors="replace"))
        if self._room < 0:
            raise MemoryError(f"the program printed more than {self._limits.output_kib} KiB")
        self._printed.append(text)

    async def _answered(self, snapshot: SyncSnapshot, functions: Mapping[str, Function]) -> Callable[[], SyncSnapshot]:
        """How to go on from where the program wants something from outside."""
        from pydantic_monty import FunctionSnapshot, NameLookupSnapshot

        if isinstance(snapshot, NameLookupSnapshot):
            function = functions.get(snapshot.variable_name)
            return snapshot.resume if function is None else partial(snapshot.resume, value=function)
        if not isinstance(snapshot, FunctionSnapshot):
            raise ProgramError("it waits for something that never comes")
        name = str(snapshot.function_name).removeprefix(f"{TOOLS}.")
        if snapshot.is_os_function:
            return snapshot.resume_auto if name == "import" else snapshot.resume_not_handled
        if name not in functions:
            return partial(snapshot.resume, {"exception": NameError(f"name {name!r} is not defined")})
        try:
            returned = await functions[name](*snapshot.args, **snapshot.kwargs)
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            return partial(snapshot.resume, {"exc_type": "RuntimeError", "message": said})
        return partial(snapshot.resume, {"return_value": returned})

    async def _in_thread(self, step: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(self._closing, step, abandon_on_cancel=True, limiter=_limiter())

    def _closing(self, step: Callable[[], T]) -> T:
        """In the thread: `step`; and the end of it all, if whoever wanted it was cancelled and did not wait."""
        with self._lock:
            self._busy = True
        try:
            return step()
        finally:
            with self._lock:
                self._busy = False
                if self._left:
                    self._close()


def _limiter() -> anyio.CapacityLimiter:
    """As many programs run at once as there are processors: their time is counted while they wait for one."""
    try:
        return _threads.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(os.cpu_count() or 1)
        _threads.set(limiter)
        return limiter


def _told(error: Any) -> str:
    """The end of the traceback, which is where a model finds what to mend."""
    display = getattr(error, "display", None)
    said = str(error) if display is None else str(display("traceback"))
    return said.strip()[-MAX_ERROR_CHARACTERS:]
