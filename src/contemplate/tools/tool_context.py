"""What a tool may know of the call in which it is used, and what its user gave it for the run."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Generator
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, final

import anyio.lowlevel
from typing_extensions import TypeVar

from ..errors import ConfigurationError
from ..plan import Task

DepsT_co = TypeVar("DepsT_co", covariant=True, default=Any)

_NO_TASK = Task(id="task", prompt="")


class OngoingCall(Protocol):
    """The run's side of a tool call. It can be asked from any thread."""

    @property
    def seconds_left(self) -> float:
        """Seconds until the call is cut off; `math.inf` without a limit."""
        ...

    @property
    def calls_left(self) -> float:
        """How many more model calls the limits allow; `math.inf` without a limit."""
        ...

    @property
    def tokens_left(self) -> float:
        """How many more tokens the limits allow; `math.inf` without a limit."""
        ...

    @property
    def cost_usd_left(self) -> float:
        """How many more USD the limits allow; `math.inf` without a limit."""
        ...

    def report(self, tool: str, message: str) -> None:
        """Tell the run's listeners what `tool` is doing."""
        ...


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ToolContext(Generic[DepsT_co]):
    """The call in which a tool is used. A tool gets it that has it as its first parameter: `ctx: ToolContext[Deps]`.

    It can be used from the worker thread of a plain function as well.

    Attributes:
        run_id: the id of the outermost run.
        path: the path of the tool's run within it; "" for the outermost run itself.
        task: the task whose subagent uses the tool.
        tool: the tool's name.
        call_id: the id of the call; in a program that calls tools, that of the program.
    """

    run_id: str = ""
    path: str = ""
    task: Task = _NO_TASK
    tool: str = ""
    call_id: str = ""
    # Never shown: there may be secrets in them.
    _deps: DepsT_co | None = field(default=None, repr=False)
    _may_lack_deps: bool = field(default=False, repr=False)
    _call: OngoingCall | None = field(default=None, repr=False)

    @classmethod
    def of(cls, deps: DepsT_co) -> ToolContext[DepsT_co]:  # type: ignore[misc]
        """Return a context outside of any run, for tests of a tool: without limits, and nobody hears of progress."""
        return cls(_deps=deps)

    @property
    def deps(self) -> DepsT_co:
        """What was given for the run: `run(deps=...)`, or that of the run around it.

        Raises:
            ConfigurationError: nothing was given, and the tool's annotation does not allow for that.
        """
        if self._deps is None and not self._may_lack_deps:
            raise ConfigurationError(
                f"tool {self.tool!r} asks for deps, and the run was given none",
                hint="give them: run(deps=...), or annotate the parameter as ToolContext[None]",
            )
        return self._deps  # type: ignore[return-value]

    @property
    def seconds_left(self) -> float:
        """Seconds until the tool is cut off; `math.inf` without a limit."""
        return math.inf if self._call is None else self._call.seconds_left

    @property
    def calls_left(self) -> float:
        """How many more model calls the run's limits allow; `math.inf` without a limit on calls."""
        return math.inf if self._call is None else self._call.calls_left

    @property
    def tokens_left(self) -> float:
        """How many more tokens the run's limits allow; `math.inf` without a limit on them."""
        return math.inf if self._call is None else self._call.tokens_left

    @property
    def cost_usd_left(self) -> float:
        """How many more USD the run's limits allow; `math.inf` without a limit on them."""
        return math.inf if self._call is None else self._call.cost_usd_left

    def progress(self, message: str) -> Awaitable[None]:
        """Tell the run's listeners what the tool is doing: `await ctx.progress("...")`, a `ToolProgress` event.

        In a plain function, which cannot await, it is called without `await`.
        """
        if self._call is not None:
            self._call.report(self.tool, message)
        return _TOLD


class _Told:
    """Lets others have a turn, if it is awaited. It need not be."""

    def __await__(self) -> Generator[Any, Any, None]:
        return anyio.lowlevel.checkpoint().__await__()


_TOLD = _Told()
