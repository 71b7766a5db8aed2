"""Tools: functions that a subagent may call, with a schema from the signature and a description from the docstring."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import partial
from typing import Annotated, Any, Self, get_args, get_origin, get_type_hints, overload

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic_core import from_json, to_json

from ..arguments import checked_arguments
from ..data import readable_json, to_json_text
from ..errors import ConfigurationError, ToolError, validation_problems
from ..messages import ImagePart, Part, TextPart
from .context_parameter import ContextParameter, split_parameters
from .embedded_json import list_or_object
from .tool_context import ToolContext
from .user_code import call_function

# Of the arguments of a call: whether it needs an approval, or why. It may be async.
ApprovalRule = bool | Callable[..., Any]
TOOL_NAME = r"[A-Za-z0-9_-]{1,64}"


class Tool:
    """A function with a name, a description and a JSON schema of its arguments.

    Create one with `@tool`. A plain function runs in a worker thread, so that it does not block other subagents.

    Attributes:
        name: its name for the model: letters, digits, "_" and "-", at most 64.
        description: its description for the model.
        parameters: the JSON schema of its arguments, of type object.
        approval: whether its calls need an approval, or a function that decides by the arguments.
        external: whether somebody else runs it.
        side_effects: whether several subagents that answer the same question must not each call it.
    """

    _context: ContextParameter | None = None
    approval: ApprovalRule = False
    external: bool = False
    side_effects: bool = False

    @checked_arguments
    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        description: str | None = None,
        approval: ApprovalRule = False,
        external: bool = False,
        side_effects: bool | None = None,
    ) -> None:
        self.name: str = name or str(getattr(_unwrapped(function), "__name__", "tool"))
        if not re.fullmatch(TOOL_NAME, self.name):
            raise ConfigurationError(
                f"{self.name!r} cannot be the name of a tool", hint='use letters, digits, "_" and "-", at most 64'
            )
        summary, descriptions = _documentation(function)
        self.description = description or summary
        self.approval, self.external = approval, external
        self.side_effects = bool(approval) if side_effects is None else side_effects
        self._function = function
        hints, parameters = _signature(self.name, function)
        self._context, parameters = split_parameters(self.name, hints, parameters)
        self._arguments = _arguments_model(self.name, hints, parameters, descriptions)
        self.parameters: dict[str, JsonValue] = self._arguments.model_json_schema()

    def __repr__(self) -> str:
        return f"Tool({self.name!r})"

    def within(self, context: ToolContext[Any]) -> Self:
        """Return the tool for one call, whose context its function gets if it has a parameter for it."""
        if self._context is None:
            return self
        tool = copy(self)
        tool._context = self._context.within(context, self.name)
        return tool

    @property
    def needs_deps(self) -> bool:
        """Whether it cannot be used in a run without deps, by the type of its `ToolContext`."""
        return self._context is not None and self._context.needs_deps

    async def call(self, arguments: str) -> str | tuple[Part, ...]:
        """Run the function with `arguments`, a JSON object, and return its result: text, or parts with images.

        Raises:
            ToolError: the arguments do not match the schema.
            Exception: whatever the function raises.
        """
        return self.returned(await self._run(arguments or "{}"))

    def returned(self, value: object) -> str | tuple[Part, ...]:
        """Return what the model is shown of a result: text, or parts with images."""
        return _parts(value)

    def given(self, arguments: str) -> dict[str, JsonValue]:
        """Return the arguments of a call as JSON data.

        Raises:
            ToolError: they do not match the schema.
        """
        checked = self._checked_or_told(arguments or "{}")
        given: dict[str, JsonValue] = checked.model_dump(mode="json", by_alias=True, exclude_unset=True, fallback=str)
        return given

    async def asks_approval(self, arguments: str) -> object:
        """Return what its function `approval` says of a call.

        Raises:
            Exception: whatever the function raises.
        """
        assert callable(self.approval)  # noqa: S101
        return await call_function(self.approval, **_values(self._checked_or_told(arguments or "{}")))

    async def value(self, *args: Any, **kwargs: Any) -> JsonValue:
        """Run the function as a program calls it, and return its result as JSON data.

        Raises:
            ToolError: the arguments do not match the schema.
            Exception: whatever the function raises.
        """
        names = [str(each.alias) for each in self._arguments.model_fields.values()]
        if len(args) > len(names):
            raise ToolError(f"{self.name} takes {len(names)} arguments, not {len(args)}")
        arguments = {**dict(zip(names, args, strict=False)), **kwargs}
        data: JsonValue = from_json(to_json_text(await self._run(to_json_text(arguments))))
        return data

    @property
    def signature(self) -> str:
        """Its signature in a program, such as "price(fruit: str, count: int = 1)"."""
        parameters = (
            f"{each.alias}: {inspect.formatannotation(each.annotation)}"
            + ("" if each.is_required() else f" = {each.default!r}" if each.default_factory is None else " = ...")
            for each in self._arguments.model_fields.values()
        )
        return f"{self.identifier}({', '.join(parameters)})"

    @property
    def identifier(self) -> str:
        """Its name in a program, where "-" is not allowed."""
        return self.name.replace("-", "_")

    async def _run(self, arguments: str) -> object:
        values = _values(self._checked_or_told(arguments))
        if self.external:
            return await never_called(self.name, arguments)
        function = self._function if self._context is None else self._context.bound(self._function)
        return await call_function(function, **values)

    def _checked_or_told(self, arguments: str) -> BaseModel:
        try:
            return self._checked(readable_json(arguments))
        except ValidationError as error:
            raise ToolError(f"wrong arguments for {self.name}: {validation_problems(error)}") from None

    def _checked(self, arguments: str) -> BaseModel:
        try:
            return self._arguments.model_validate_json(arguments)
        except ValidationError as error:
            found = _unwrapped_json(arguments, error)
            if found is None:
                raise
            return self._checked(found)


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    approval: ApprovalRule = False,
    external: bool = False,
    side_effects: bool | None = None,
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    approval: ApprovalRule = False,
    external: bool = False,
    side_effects: bool | None = None,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a tool from a function: `@tool`, or `@tool(name=..., description=...)`.

    The parameters need type annotations; those with a default are optional. A docstring in Google, NumPy or reST style
    describes the function and each parameter to the model. To refuse a call, raise `ToolError` with a message that the
    model can act on; any other exception is reported to it as well. An `ImagePart` that is returned, alone or in a list
    with text, goes to the user: it is part of the answer, and the model is told that it was made. A first parameter
    `ctx: ToolContext[Deps]` is not the model's: it is the call, with what was given to `run(deps=...)`.

    Args:
        function: the function.
        name: its name for the model; that of the function if None.
        description: its description for the model; the docstring if None.
        approval: whether each call needs an approval, or a function of the same arguments that says whether this one
            does: True, or a text that says why. It may be async; if it fails, the call needs one.
        external: whether somebody else runs it. The function is then never called: it is there for its signature.
        side_effects: whether several subagents that answer the same question must not each call it, so that a run with
            several samples is refused; as `approval` if None.

    Raises:
        ConfigurationError: a parameter has no annotation, or one that pydantic cannot validate.
    """

    def make(function: Callable[..., Any]) -> Tool:
        return Tool(
            function,
            name=name,
            description=description,
            approval=approval,
            external=external,
            side_effects=side_effects,
        )

    return make if function is None else make(function)


def as_tool(given: Tool | Callable[..., Any]) -> Tool:
    """Return `given` if it is a tool, else a tool made from it."""
    return given if isinstance(given, Tool) else Tool(given)


async def never_called(name: str, arguments: str) -> str:
    """Stand in for the function of a tool that somebody else runs.

    Raises:
        ToolError: whenever it is called.
    """
    raise ToolError(f"{name} is run by somebody else, and cannot be called here")


def _values(checked: BaseModel) -> dict[str, Any]:
    return {str(field.alias): getattr(checked, name) for name, field in type(checked).model_fields.items()}


def _documentation(function: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    from docstring_parser import parse

    parsed = parse(inspect.getdoc(_unwrapped(function)) or "")
    summary = "\n".join(filter(None, (parsed.short_description, parsed.long_description)))
    return summary, {param.arg_name: param.description or "" for param in parsed.params}


def _arguments_model(
    name: str, hints: Mapping[str, Any], parameters: Sequence[inspect.Parameter], descriptions: Mapping[str, str]
) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    for place, parameter in enumerate(parameters):
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise ConfigurationError(f"tool {name!r}: parameter {parameter} cannot be passed by name")
        if parameter.name not in hints:
            raise ConfigurationError(
                f"tool {name!r}: parameter {parameter.name!r} has no type", hint=f"for example: {parameter.name}: str"
            )
        fields[f"argument_{place}"] = _field(parameter, hints[parameter.name], descriptions.get(parameter.name))
    try:
        return create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
    except Exception as error:
        raise ConfigurationError(f"tool {name!r}: no schema for its parameters: {error}") from error


def _field(parameter: inspect.Parameter, hint: Any, description: str | None) -> tuple[Any, FieldInfo]:
    """Return a parameter as a field; a `Field(...)` of the user's, as its default or in `Annotated`, has its say."""
    default = ... if parameter.default is parameter.empty else parameter.default
    if isinstance(default, FieldInfo):
        hint, default = Annotated[hint, default], ...
    given = [each for each in get_args(hint) if isinstance(each, FieldInfo)] if get_origin(hint) is Annotated else []
    words: dict[str, Any] = (
        {} if description is None or any(each.description for each in given) else {"description": description}
    )
    # The field has its own name, as pydantic does not allow every name in a model, such as "copy" or "_id".
    name = parameter.name
    field: FieldInfo = Field(default, alias=name, validation_alias=name, serialization_alias=name, title=name, **words)
    return hint, field


def _unwrapped_json(arguments: str, error: ValidationError) -> str | None:
    """Return `arguments` with lists and objects in place of texts that hold their JSON, where `error` found these.

    Small models write `{"xs": "[1, 2]"}`. None if there are no such texts.
    """
    try:
        whole: list[Any] = [from_json(arguments)]
    except ValueError:
        return None
    changed = False
    for problem in error.errors(include_url=False, include_input=False):
        holder, place = _innermost(whole, (0, *problem["loc"]))
        inner = list_or_object(holder[place])
        if inner is not None:
            holder[place], changed = inner, True
    return to_json(whole[0]).decode() if changed else None


def _innermost(whole: Any, path: Sequence[int | str]) -> tuple[Any, Any]:
    """Return where the value at `path` is, or the last value on it: pydantic's paths also name members of unions."""
    holder, place = whole, path[0]
    for step in path[1:]:
        value = holder[place]
        if (isinstance(value, dict) and step in value) or (
            isinstance(value, list) and isinstance(step, int) and step < len(value)
        ):
            holder, place = value, step
    return holder, place


def _signature(name: str, function: Callable[..., Any]) -> tuple[Mapping[str, Any], Sequence[inspect.Parameter]]:
    unwrapped = _unwrapped(function)
    annotated = unwrapped if inspect.isroutine(unwrapped) else type(unwrapped).__call__
    try:
        hints = get_type_hints(annotated, include_extras=True)
        return hints, list(inspect.signature(function).parameters.values())
    except Exception as error:
        raise ConfigurationError(
            f"tool {name!r}: its signature cannot be read: {error}",
            hint="use only types that can be resolved in the function's module",
        ) from error


def _unwrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    while isinstance(function, partial):
        function = function.func
    return function


def _parts(returned: object) -> str | tuple[Part, ...]:
    """Return text; for an image, or a list or tuple that contains one, return parts."""
    members = returned if isinstance(returned, (list, tuple)) else (returned,)
    if not any(isinstance(each, ImagePart) for each in members):
        return _as_text(returned)
    return tuple(each if isinstance(each, ImagePart) else TextPart(text=_as_text(each)) for each in members)


def _as_text(returned: object) -> str:
    if isinstance(returned, str):
        return returned
    return to_json_text(returned)
