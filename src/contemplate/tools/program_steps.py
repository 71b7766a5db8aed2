"""A program in Monty that is run step by step: from one call of a function, or one wait, to the next."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import anyio.to_thread
from anyio.lowlevel import RunVar
from pydantic import JsonValue

from ..errors import MissingDependencyError, ProgramError
from ..plan import Program

if TYPE_CHECKING:
    from pydantic_monty import (
        ExternalExceptionData,
        ExternalSettledResult,
        FunctionSnapshot,
        FutureSnapshot,
        Monty,
        MontySession,
        OSPolicy,
        SyncSnapshot,
    )

T = TypeVar("T")

TOOLS = "tools"
MAX_DEPTH = 500
MAX_CALLS = 1000
MAX_ERROR_CHARACTERS = 1500

_DEFINED = re.compile(r"^\s*(?:async\s+)?def\s+(\w+)", re.MULTILINE)
_threads: RunVar[anyio.CapacityLimiter] = RunVar("contemplate.sandbox.threads")


def require() -> None:
    """Check that programs can be run.

    Raises:
        MissingDependencyError: the extra "code" is not installed.
    """
    if find_spec("pydantic_monty") is None:
        raise MissingDependencyError("a program that is run", "code")


@dataclass(frozen=True, slots=True)
class ProgramCall:
    """A program calls a function: it goes on with `give`, `raise_in` or `promise`."""

    id: int
    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ProgramWait:
    """A program awaits what it was promised for the calls with these ids: it goes on with `settle`."""

    calls: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ProgramEnd:
    """A program has ended: what it has printed, and the value of its last expression."""

    printed: str
    value: Any


ProgramStep = ProgramCall | ProgramWait | ProgramEnd


class RunningProgram:
    """A program in a process of its own, one step after another. Leaving it ends the process.

    The time between two steps is not counted. Every method that goes on returns the next step.

    Args:
        code: the program, in Python.
        program: the limits.
        functions: the names of what it may call, or import from the module `tools`.
        given: variables that it finds.
        seed: what its chance is drawn from, so that it does the same when it is run again; it then has no clock either.
        max_calls: how many times it may call or wait.

    Raises:
        ProgramError: it defines one of `functions`; when it goes on: it could not be parsed, failed, or exceeded a
            limit. The message is for a model.
        MissingDependencyError: the extra "code" is not installed.
    """

    def __init__(
        self,
        code: str,
        program: Program,
        functions: Collection[str],
        *,
        given: Mapping[str, JsonValue] | None = None,
        seed: int | None = None,
        max_calls: int = MAX_CALLS,
    ) -> None:
        require()
        from pydantic_monty import Monty

        for name in _DEFINED.findall(code):
            # Small models tend to redefine a function that they should call, and so invent its result.
            if name in functions:
                raise ProgramError(f"the function {name} exists already: do not define it, import it from {TOOLS}")
        self._code = code
        self._given = dict(given or {})
        self._max_calls = max_calls
        self._policy: OSPolicy = {"sleep": "zero"}
        if seed is not None:
            # Nobody answers those calls of the system: asking for the time is an error in the program.
            self._policy |= {"random_start": {"seed": seed}, "datetime": "call_host"}
        self._functions: dict[str, Callable[..., None]] = {name: _named(name) for name in functions}
        self._printed: list[str] = []
        self._output_left = program.output_kib * 1024
        self._lock = threading.Lock()
        self._busy = self._exited = False
        self._pool: Monty = Monty(max_processes=1)
        self._limits = program
        self._session: MontySession | None = None
        self._snapshot: SyncSnapshot | None = None

    async def __aenter__(self) -> RunningProgram:
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

    @property
    def printed(self) -> str:
        """What it has printed so far."""
        return "".join(self._printed)

    async def start(self) -> ProgramStep:
        """Start the program."""
        return await self._go_on(self._start)

    async def give(self, value: JsonValue) -> ProgramStep:
        """Go on after a call, which returns `value`."""
        return await self._go_on(partial(self._called.resume, {"return_value": value}))

    async def raise_in(self, error: Exception) -> ProgramStep:
        """Go on after a call, which raises `error`, as a RuntimeError with its kind and its message."""
        return await self._go_on(partial(self._called.resume, _raised(error)))

    async def promise(self) -> ProgramStep:
        """Go on after a call, which returns something that the program may await."""
        return await self._go_on(partial(self._called.resume, {"future": ...}))

    async def settle(self, outcomes: Mapping[int, JsonValue | Exception]) -> ProgramStep:
        """Go on with what was awaited: the values of calls by their ids, or the errors that they raise."""
        from pydantic_monty import FutureSnapshot

        waiting = self._snapshot
        if not isinstance(waiting, FutureSnapshot):
            raise RuntimeError("the program does not wait")
        settled: dict[int, ExternalSettledResult] = {
            call: _raised(each) if isinstance(each, Exception) else {"return_value": each}
            for call, each in outcomes.items()
        }
        return await self._go_on(partial(waiting.resume, settled))

    @property
    def _called(self) -> FunctionSnapshot:
        from pydantic_monty import FunctionSnapshot

        if not isinstance(self._snapshot, FunctionSnapshot):
            raise RuntimeError("the program has called nothing")
        return self._snapshot

    async def _go_on(self, resume: Callable[[], SyncSnapshot]) -> ProgramStep:
        """Return the next step that somebody else has to answer."""
        from pydantic_monty import MontyComplete, MontyCrashedError, MontyError, NameLookupSnapshot

        try:
            while True:
                snapshot = self._snapshot = await self._in_thread(resume)
                if isinstance(snapshot, MontyComplete):
                    return ProgramEnd(self.printed, snapshot.output)
                if isinstance(snapshot, NameLookupSnapshot):
                    function = self._functions.get(snapshot.variable_name)
                    resume = snapshot.resume if function is None else partial(snapshot.resume, value=function)
                    continue
                step = self._step(snapshot)
                if not callable(step):
                    return step
                resume = step
        except MontyCrashedError:
            # On a busy machine, the process is killed before it can report its time limit.
            message = f"its process was killed, at its time limit of {self._limits.seconds:g} s or earlier"
            raise ProgramError(message) from None
        except MontyError as error:
            raise ProgramError(_traceback(error)) from None

    def _step(
        self, snapshot: FunctionSnapshot | FutureSnapshot
    ) -> ProgramCall | ProgramWait | Callable[[], SyncSnapshot]:
        """Return the step at which the program waits for something from outside, or how it goes on by itself."""
        from pydantic_monty import FutureSnapshot

        if isinstance(snapshot, FutureSnapshot):
            return ProgramWait(tuple(snapshot.pending_call_ids))
        name = str(snapshot.function_name).removeprefix(f"{TOOLS}.")
        if snapshot.is_os_function:
            return snapshot.resume_auto if name == "import" else snapshot.resume_not_handled
        if name not in self._functions:
            return partial(snapshot.resume, {"exception": NameError(f"name {name!r} is not defined")})
        return ProgramCall(snapshot.call_id, name, snapshot.args, snapshot.kwargs)

    def _start(self) -> SyncSnapshot:
        from pydantic_monty import ExternalModule

        self._pool.__enter__()
        self._session = session = self._pool.checkout(
            limits={
                "max_feed_duration_secs": self._limits.seconds,
                "max_memory": self._limits.memory_mib * 1024 * 1024,
                "max_recursion_depth": MAX_DEPTH,
                "max_suspensions": self._max_calls,
            },
            os_policy=self._policy,
            external_modules={TOOLS: ExternalModule(dict(self._functions))},
        )
        session.__enter__()
        return session.feed_start(self._code, inputs=self._given, print_callback=self._on_print)

    def _on_print(self, _: Literal["stdout", "stderr"], text: str) -> None:
        self._output_left -= len(text.encode(errors="replace"))
        if self._output_left < 0:
            raise MemoryError(f"the program printed more than {self._limits.output_kib} KiB")
        self._printed.append(text)

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


def _named(name: str) -> Callable[..., None]:
    """Return what stands for a function: its calls are answered step by step, by its name."""

    def function(*_: Any, **__: Any) -> None:
        raise AssertionError(f"{name} is never called here")

    function.__name__ = name
    return function


def _raised(error: Exception) -> ExternalExceptionData:
    return {"exc_type": "RuntimeError", "message": f"{type(error).__name__}: {error}"}


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
