"""The parameter of a tool that is not the model's to give: its `ToolContext`."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from inspect import Parameter
from typing import Annotated, Any, Self, TypeVar, Union, get_args, get_origin

from ..errors import ConfigurationError
from .tool_context import ToolContext


@dataclass(frozen=True, slots=True)
class ContextParameter:
    """Where a function wants its context.

    Attributes:
        name: the parameter's name, if it can be given by name only; else it is the first.
        may_lack_deps: whether its annotation allows for a run without deps.
        needs_deps: whether its annotation names a type of deps that a run without any cannot have.
        given: the context of the call; one outside of any run until there is a call.
    """

    name: str | None
    may_lack_deps: bool
    needs_deps: bool
    given: ToolContext[Any]

    def within(self, context: ToolContext[Any], tool: str) -> Self:
        """Return the parameter with the context of a call of `tool`."""
        return replace(self, given=replace(context, tool=tool, _may_lack_deps=self.may_lack_deps))

    def bound(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return `function` with its context given."""
        return partial(function, self.given) if self.name is None else partial(function, **{self.name: self.given})


def split_parameters(
    tool: str, hints: Mapping[str, Any], parameters: Sequence[Parameter]
) -> tuple[ContextParameter | None, Sequence[Parameter]]:
    """Return the parameter for the context, if there is one, and the others, which the model gives.

    Raises:
        ConfigurationError: there is a `ToolContext` elsewhere than in the first parameter.
    """
    found = [each for each in parameters if _mentions(hints.get(each.name))]
    if not found:
        return None, parameters
    first, plain = parameters[0], _plain(hints.get(parameters[0].name))
    if found != [first] or plain is None:
        raise ConfigurationError(
            f"tool {tool!r}: parameter {found[-1].name!r} has a ToolContext in its type",
            hint="a tool takes one ToolContext, as its first parameter",
        )
    by_name = first.name if first.kind is first.KEYWORD_ONLY else None
    may_lack, named = _allows_none(*get_args(plain)), _names_a_type(*get_args(plain))
    context = ContextParameter(by_name, may_lack, named and not may_lack, ToolContext())
    return context.within(context.given, tool), parameters[1:]


def _mentions(hint: Any) -> bool:
    origin = get_origin(hint)
    return ToolContext in (hint, origin) or any(map(_mentions, get_args(hint)))


def _plain(hint: Any) -> Any:
    """Return a `ToolContext` without `Annotated` and "or None"; None if it is something else."""
    origin = get_origin(hint)
    if origin is Annotated:
        return _plain(get_args(hint)[0])
    if origin in (Union, types.UnionType):
        others = [each for each in get_args(hint) if each is not types.NoneType]
        return _plain(others[0]) if len(others) == 1 else None
    return hint if ToolContext in (hint, origin) else None


def _allows_none(deps: Any = Any) -> bool:
    return deps in (None, types.NoneType) or (
        get_origin(deps) in (Union, types.UnionType) and types.NoneType in get_args(deps)
    )


def _names_a_type(deps: Any = Any) -> bool:
    return deps not in (Any, object) and not isinstance(deps, TypeVar)
