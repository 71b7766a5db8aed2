"""Toolsets: tools that are there only while something runs, such as a server. A run opens them, and closes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol, runtime_checkable

import anyio
from anyio.abc import TaskGroup
from pydantic import JsonValue, TypeAdapter
from pydantic_core import from_json, to_json

from ..errors import ToolError, sole
from ..messages import Part, TextPart
from ..models import ToolSpec
from .tool import Tool

Listed = tuple[ToolSpec, ...]


class OpenToolset(Protocol):
    """A toolset whose tools can be called."""

    @property
    def specs(self) -> Listed:
        """Its tools, as models see them."""
        ...

    async def call(self, name: str, arguments: str) -> str | tuple[Part, ...]:
        """Use the tool `name` with `arguments`, a JSON object.

        Raises:
            ToolError: it failed; the model is told.
        """
        ...


@runtime_checkable
class Toolset(Protocol):
    """Where tools come from that are known only once something runs."""

    @property
    def name(self) -> str:
        """The name for people, errors and journals; no secret is in it."""
        ...

    def open_tools(self) -> AbstractAsyncContextManager[OpenToolset]:
        """Start what the tools need; it has ended when the context has.

        Raises:
            ContemplateError: it cannot be started.
        """
        ...


class Opened:
    """A toolset within one run: it is opened by the first who needs it, in a task of its own.

    What goes wrong in there reaches those who use its tools, and never the run. What it listed may be known from a
    journal; then it is opened only when a tool is called.
    """

    def __init__(self, toolset: Toolset, group: TaskGroup) -> None:
        self.tools: Sequence[Tool] | None = None
        self.listing = anyio.Lock()
        self._toolset = toolset
        self._group = group
        self._settled: anyio.Event | None = None
        self._open: OpenToolset | None = None
        self._error: BaseException | None = None

    async def listed(self) -> str:
        """What tools there are, as JSON.

        Raises:
            ContemplateError: the toolset cannot be opened.
        """
        return _LISTED.dump_json((await self._ready()).specs).decode()

    def made(self, listed: str) -> Sequence[Tool]:
        """The tools of which `listed` tells."""
        return [_Tool(spec, self._call) for spec in _LISTED.validate_json(listed)]

    async def _call(self, name: str, arguments: str) -> str | tuple[Part, ...]:
        return await (await self._ready()).call(name, arguments)

    async def _ready(self) -> OpenToolset:
        if self._settled is None:
            self._settled = anyio.Event()
            self._group.start_soon(self._hold, self._settled)
        await self._settled.wait()
        if self._error is not None:
            raise self._error
        assert self._open is not None  # noqa: S101
        return self._open

    async def _hold(self, settled: anyio.Event) -> None:
        try:
            async with self._toolset.open_tools() as self._open:
                settled.set()
                await anyio.sleep_forever()
        except* Exception as errors:
            self._error = sole(errors)
        finally:
            settled.set()


class Toolsets:
    """The toolsets of a run."""

    def __init__(self, group: TaskGroup) -> None:
        self.group = group
        self._opened: dict[int, tuple[Toolset, Opened]] = {}

    def opened(self, toolset: Toolset) -> Opened:
        """`toolset` within this run."""
        return self._opened.setdefault(id(toolset), (toolset, Opened(toolset, self.group)))[1]


@asynccontextmanager
async def toolsets() -> AsyncIterator[Toolsets]:
    """What opens toolsets, and closes them at the end of the block, however it ends."""
    left: Exception | None = None
    try:
        async with anyio.create_task_group() as group:
            try:
                yield Toolsets(group)
            except Exception as error:
                # Raised after the group is closed, so that it does not come wrapped in an exception group.
                left = error
            group.cancel_scope.cancel()
    except BaseExceptionGroup as errors:
        raise sole(errors) from None
    if left is not None:
        raise left


class _Tool(Tool):
    """A tool that is known by its schema only."""

    def __init__(self, spec: ToolSpec, call: Callable[[str, str], Awaitable[str | tuple[Part, ...]]]) -> None:
        self.name, self.description, self.parameters = spec.name, spec.description, spec.parameters
        self._call = call

    async def call(self, arguments: str) -> str | tuple[Part, ...]:
        return await self._call(self.name, arguments)

    async def value(self, *args: Any, **kwargs: Any) -> JsonValue:
        if len(args) > len(self._properties):
            raise ToolError(f"{self.name} takes {len(self._properties)} arguments, not {len(args)}")
        given = {**dict(zip(self._properties, args, strict=False)), **kwargs}
        said = await self.call(to_json(given, fallback=str).decode())
        text = said if isinstance(said, str) else "\n".join(each.text for each in said if isinstance(each, TextPart))
        try:
            data: JsonValue = from_json(text)
        except ValueError:
            return text
        return data

    @property
    def signature(self) -> str:
        required = self.parameters.get("required")
        needed = required if isinstance(required, list) else []
        said = (f"{name}: {kind}" + ("" if name in needed else " = ...") for name, kind in self._properties.items())
        return f"{self.identifier}({', '.join(said)})"

    @property
    def _properties(self) -> dict[str, str]:
        """Its parameters, each with its type as far as the schema says it in a word."""
        properties = self.parameters.get("properties")
        known = properties if isinstance(properties, dict) else {}
        return {name: str(each.get("type", "any")) if isinstance(each, dict) else "any" for name, each in known.items()}


_LISTED: TypeAdapter[Listed] = TypeAdapter(Listed)
