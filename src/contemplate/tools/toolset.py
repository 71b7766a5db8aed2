"""Toolsets: tools that exist only while something runs, such as a server.

A run opens and closes them, or uses those that an open contemplator keeps (`run/kept_toolsets.py`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, Protocol, runtime_checkable

import anyio
from anyio.abc import TaskGroup
from pydantic import JsonValue, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from ..data import readable_json
from ..errors import ToolError, ToolServerError, sole, validation_problems
from ..messages import Part, TextPart
from ..models import ToolSpec
from .tool import ApprovalRule, Tool
from .user_code import call_function

Listed = tuple[ToolSpec, ...]
Start = Callable[[Callable[[], Coroutine[Any, Any, None]]], object]


class OpenToolset(Protocol):
    """A toolset that is open, so that its tools can be called.

    An attribute `alive` may say whether it can still be used; if not, the next run opens it again.
    """

    @property
    def specs(self) -> Listed:
        """The tools as models see them."""
        ...

    async def call(self, name: str, arguments: str) -> str | tuple[Part, ...]:
        """Call the tool `name` with `arguments`, a JSON object.

        Raises:
            ToolError: it failed; the model is told.
            ToolServerError: what the tools need has ended; the next run starts it again.
        """
        ...


@runtime_checkable
class Toolset(Protocol):
    """A source of tools that are known only once something runs."""

    @property
    def name(self) -> str:
        """The name in errors and journals; it contains no secrets."""
        ...

    def open_tools(self) -> AbstractAsyncContextManager[OpenToolset]:
        """Start what the tools need, until the context ends.

        Raises:
            ContemplateError: it cannot be started.
        """
        ...


class Running:
    """A toolset in a task of its own, in which it is opened, kept open and closed.

    Args:
        toolset: the toolset.
        start: starts a function in a task; the toolset is closed when that is cancelled.
    """

    def __init__(self, toolset: Toolset, start: Start) -> None:
        self._toolset = toolset
        self._opened_or_failed = anyio.Event()
        self._open: OpenToolset | None = None
        self._error: BaseException | None = None
        self._over = False
        start(self._keep_open)

    @property
    def usable(self) -> bool:
        """Whether another run may use it: it is open or about to be, and nobody has found it dead."""
        return not self._over and bool(getattr(self._open, "alive", True))

    async def ready(self) -> OpenToolset:
        """Return the toolset once it is open.

        Raises:
            ContemplateError: it cannot be opened, or is closed.
        """
        await self._opened_or_failed.wait()
        if self._error is not None:
            raise self._error
        assert self._open is not None  # noqa: S101
        return self._open

    def give_up(self) -> None:
        """Say that it is dead."""
        self._over = True

    async def _keep_open(self) -> None:
        try:
            async with self._toolset.open_tools() as self._open:
                self._opened_or_failed.set()
                await anyio.sleep_forever()
        except* Exception as errors:
            self._error = sole(errors)
        finally:
            self._over = True
            self._error = self._error or ToolServerError(
                f"toolset {self._toolset.name!r} is closed", hint="it was kept open with `async with`, which has ended"
            )
            self._opened_or_failed.set()


class Opened:
    """A toolset within one run, which is opened on first use.

    Its errors reach the callers of its tools, never the run. If its list of tools is known from a journal, it is opened
    only when a tool is called. One that dies is not opened again within the run.

    Args:
        run: returns the running toolset, called once.
        approval: whether calls of its tools need an approval.
    """

    def __init__(self, run: Callable[[], Running], approval: ApprovalRule = False) -> None:
        self.tools: Sequence[Tool] | None = None
        self.listing = anyio.Lock()
        self._run = run
        self._approval = approval
        self._running: Running | None = None

    async def listed(self) -> str:
        """Return the list of tools, as JSON.

        Raises:
            ContemplateError: the toolset cannot be opened.
        """
        return _LISTED.dump_json((await self._in_use().ready()).specs).decode()

    def made(self, listed: str) -> Sequence[Tool]:
        """Return the tools in the JSON `listed`."""
        return [DescribedTool(spec, self._call, self._approval) for spec in _LISTED.validate_json(listed)]

    async def _call(self, name: str, arguments: str) -> str | tuple[Part, ...]:
        running = self._in_use()
        try:
            return await (await running.ready()).call(name, arguments)
        except ToolServerError:
            running.give_up()
            raise

    def _in_use(self) -> Running:
        if self._running is None:
            self._running = self._run()
        return self._running


class Toolsets:
    """The toolsets of a run.

    Args:
        group: the task group in which they run.
        kept: returns what a toolset runs in that is kept open for longer; None if it is not.
    """

    def __init__(self, group: TaskGroup, kept: Callable[[Toolset], Callable[[], Running] | None]) -> None:
        self.group = group
        self._kept = kept
        self._opened: dict[int, tuple[Toolset, Opened]] = {}

    def opened(self, toolset: Toolset) -> Opened:
        """Return `toolset` as opened within this run."""
        if id(toolset) not in self._opened:
            run = self._kept(toolset) or partial(Running, toolset, self.group.start_soon)
            self._opened[id(toolset)] = toolset, Opened(run, getattr(toolset, "approval", False))
        return self._opened[id(toolset)][1]


@asynccontextmanager
async def toolsets(kept: Callable[[Toolset], Callable[[], Running] | None]) -> AsyncIterator[Toolsets]:
    """Yield a `Toolsets`, whose toolsets are closed at the end of the block, except for those that are `kept`."""
    failure: Exception | None = None
    try:
        async with anyio.create_task_group() as group:
            try:
                yield Toolsets(group, kept)
            except Exception as error:
                # Raised after the group is closed, so that it does not come wrapped in an exception group.
                failure = error
            group.cancel_scope.cancel()
    except BaseExceptionGroup as errors:
        raise sole(errors) from None
    if failure is not None:
        raise failure


class DescribedTool(Tool):
    """A tool that is known only by its schema, such as one of a toolset.

    A function `approval` is given its name and its arguments.
    """

    def __init__(
        self,
        spec: ToolSpec,
        call: Callable[[str, str], Awaitable[str | tuple[Part, ...]]],
        approval: ApprovalRule = False,
    ) -> None:
        self.name, self.description, self.parameters = spec.name, spec.description, spec.parameters
        self.approval, self.side_effects = approval, bool(approval)
        self._call = call

    def given(self, arguments: str) -> dict[str, JsonValue]:
        """Return the arguments of a call, which must be a JSON object: only what runs the tool checks its schema."""
        try:
            return _OBJECT.validate_json(readable_json(arguments or "{}"))
        except ValidationError as error:
            raise ToolError(f"wrong arguments for {self.name}: {validation_problems(error)}") from None

    async def asks_approval(self, arguments: str) -> object:
        """Return what its function `approval` says of a call."""
        assert callable(self.approval)  # noqa: S101
        return await call_function(self.approval, self.name, self.given(arguments))

    async def call(self, arguments: str) -> str | tuple[Part, ...]:
        """Return the result of a call."""
        return await self._call(self.name, arguments)

    async def value(self, *args: Any, **kwargs: Any) -> JsonValue:
        """Return the result of a program's call, as JSON data."""
        if len(args) > len(self._properties):
            raise ToolError(f"{self.name} takes {len(self._properties)} arguments, not {len(args)}")
        given = {**dict(zip(self._properties, args, strict=False)), **kwargs}
        result = await self.call(to_json(given, fallback=str).decode())
        text = (
            result if isinstance(result, str) else "\n".join(each.text for each in result if isinstance(each, TextPart))
        )
        try:
            data: JsonValue = from_json(text)
        except ValueError:
            return text
        return data

    @property
    def signature(self) -> str:
        """Its signature in a program."""
        required = self.parameters.get("required")
        needed = required if isinstance(required, list) else []
        parameters = (
            f"{name}: {kind}" + ("" if name in needed else " = ...") for name, kind in self._properties.items()
        )
        return f"{self.identifier}({', '.join(parameters)})"

    @property
    def _properties(self) -> dict[str, str]:
        """Its parameters with their types, or "any" if the schema does not name one."""
        properties = self.parameters.get("properties")
        known = properties if isinstance(properties, dict) else {}
        return {name: str(each.get("type", "any")) if isinstance(each, dict) else "any" for name, each in known.items()}


_LISTED: TypeAdapter[Listed] = TypeAdapter(Listed)
_OBJECT: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])
