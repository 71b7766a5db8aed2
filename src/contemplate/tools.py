"""Tools: functions that a subagent may call. The schema comes from the signature, the words from the docstring."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar, get_type_hints, overload

import anyio.to_thread
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, create_model
from pydantic_core import to_json

from .errors import ConfigurationError, ToolError
from .schema import problems

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


class Tool:
    """A function with a name, a description and a JSON schema of its arguments.

    Make one with `@tool`. A plain function runs in a worker thread, so that it does not hold up other subagents.

    Attributes:
        name: what the model calls it: letters, digits, "_" and "-", at most 64.
        description: what it does, for the model.
        parameters: the JSON schema of its arguments, an object.
    """

    def __init__(
        self, function: Callable[..., Any], *, name: str | None = None, description: str | None = None
    ) -> None:
        self.name: str = name or str(getattr(function, "__name__", "tool"))
        if not self.name.replace("_", "").replace("-", "").isalnum() or len(self.name) > 64:
            raise ConfigurationError(
                f"{self.name!r} cannot be the name of a tool", hint='use letters, digits, "_" and "-", at most 64'
            )
        summary, told = _documentation(function)
        self.description = description or summary
        self._function = function
        self._arguments = _arguments_model(self.name, function, told)
        self.parameters: dict[str, JsonValue] = self._arguments.model_json_schema()

    def __repr__(self) -> str:
        return f"Tool({self.name!r})"

    async def call(self, arguments: str) -> str:
        """Run the function with `arguments`, a JSON object, and return what it returned, as text.

        Raises:
            ToolError: the arguments do not fit the schema.
            Exception: whatever the function raises.
        """
        try:
            checked = self._arguments.model_validate_json(arguments or "{}")
        except ValidationError as error:
            raise ToolError(f"wrong arguments for {self.name}: {problems(error)}") from None
        values = {name: getattr(checked, name) for name in type(checked).model_fields}
        if inspect.iscoroutinefunction(self._function):
            return _as_text(await self._function(**values))
        returned = await anyio.to_thread.run_sync(partial(self._function, **values), abandon_on_cancel=True)
        if isinstance(returned, Awaitable):
            returned = await returned
        return _as_text(returned)


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...
@overload
def tool(*, name: str | None = None, description: str | None = None) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(
    function: Callable[..., Any] | None = None, /, *, name: str | None = None, description: str | None = None
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a tool of a function: `@tool`, or `@tool(name=..., description=...)`.

    The parameters need type annotations; those that have a default are optional. A docstring in Google, NumPy or
    reST style tells the model what the function and each parameter is for. To refuse a call, raise `ToolError` with
    a message that the model can act on; it is told of any other exception as well.

    Raises:
        ConfigurationError: a parameter has no annotation, or one that pydantic cannot validate.
    """
    if function is None:
        return partial(Tool, name=name, description=description)
    return Tool(function, name=name, description=description)


def as_tool(given: Tool | Callable[..., Any]) -> Tool:
    """`given` itself if it is a tool, else a tool made of it."""
    return given if isinstance(given, Tool) else Tool(given)


def _documentation(function: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    from docstring_parser import parse

    parsed = parse(inspect.getdoc(function) or "")
    summary = "\n".join(filter(None, (parsed.short_description, parsed.long_description)))
    return summary, {param.arg_name: param.description or "" for param in parsed.params}


def _arguments_model(name: str, function: Callable[..., Any], told: dict[str, str]) -> type[BaseModel]:
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise ConfigurationError(f"tool {name!r}: parameter {parameter} cannot be passed by name")
        if parameter.name not in hints:
            raise ConfigurationError(
                f"tool {name!r}: parameter {parameter.name!r} has no type", hint=f"write {parameter.name}: str, say"
            )
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], Field(default, description=told.get(parameter.name)))
    try:
        return create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
    except Exception as error:
        raise ConfigurationError(f"tool {name!r}: no schema for its parameters: {error}") from error


def _as_text(returned: object) -> str:
    if isinstance(returned, str):
        return returned
    return to_json(returned, fallback=str).decode()
