"""Arguments of public functions, checked against their annotations: a wrong one is named at once, not deep in a run."""

from __future__ import annotations

import inspect
import re
import sys
import types
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import wraps
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, is_typeddict

from .errors import ConfigurationError

P = ParamSpec("P")
R = TypeVar("R")


def checked_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """Return `function`, which now checks the kind of each argument before it runs.

    Of protocols only the names are checked that they ask for.

    Raises:
        ConfigurationError: an argument is of another kind than its annotation says.
    """
    return checked_as(re.sub(r"\._\w+$", "", function.__qualname__))(function)


def checked_as(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator such as `checked_arguments`, whose errors call the function `name`."""

    def checked(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        kinds: dict[str, Any] = {}

        @wraps(function)
        def check(*args: P.args, **kwargs: P.kwargs) -> R:
            for each, value in _given(name, signature, args, kwargs):
                if each.name not in kinds:
                    # On the first call: some names are defined after the function, or only for type checkers.
                    kinds[each.name] = _resolved(each.annotation, function)
                if not _fits(value, kinds[each.name]):
                    raise ConfigurationError(
                        f"{name}({each.name}{_problem(value, kinds[each.name])}",
                        hint=f"{each.name}: {each.annotation}",
                    )
            return function(*args, **kwargs)

        return check

    return checked


def is_async(function: object) -> bool:
    """Return whether `function`, or an object that can be called, is async."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def _given(
    function: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Iterator[tuple[inspect.Parameter, Any]]:
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as problem:
        raise TypeError(f"{function}: {problem}{_meant(signature, kwargs)}") from None
    for name, value in bound.arguments.items():
        parameter = signature.parameters[name]
        if parameter.kind is parameter.VAR_POSITIONAL:
            yield from ((parameter, each) for each in value)
        elif name != "self" and parameter.kind is not parameter.VAR_KEYWORD:
            yield parameter, value


def _meant(signature: inspect.Signature, kwargs: Mapping[str, Any]) -> str:
    """Return which argument may have been meant by one that there is not."""
    from difflib import get_close_matches

    unknown = next((name for name in kwargs if name not in signature.parameters), "")
    near = get_close_matches(unknown, [name for name in signature.parameters if name != "self"], n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _resolved(annotation: Any, function: Callable[..., Any]) -> Any:
    if not isinstance(annotation, str):
        return annotation
    names = vars(sys.modules[function.__module__])
    try:
        return eval(annotation, dict(names))  # noqa: S307
    except NameError:
        return Any


def _fits(value: Any, kind: Any) -> bool:
    origin = get_origin(kind)
    if origin is Literal:
        return any(value is each or (type(value) is type(each) and value == each) for each in get_args(kind))
    if origin in (Union, types.UnionType):
        return any(_fits(value, each) for each in get_args(kind))
    if origin is Annotated:
        return _fits(value, get_args(kind)[0])
    if kind is None:
        return value is None
    if origin is Callable:
        return callable(value) and _takes(value, _arguments_of(kind))
    return _is_a(value, origin or kind, get_args(kind))


def _is_a(value: Any, kind: Any, members: tuple[Any, ...]) -> bool:
    if kind in (int, float):
        # A bool is an int only to Python.
        return isinstance(value, (int, float) if kind is float else int) and not isinstance(value, bool)
    if kind is Callable:
        return callable(value)
    if not isinstance(kind, type) or is_typeddict(kind) or kind in (Any, object, type):
        # What is a type, pydantic decides: `list[int]` is none to Python.
        return True
    if getattr(kind, "_is_protocol", False):
        wanted = {name for name in dir(kind) if not name.startswith("_")} | ({"__call__"} & set(vars(kind)))
        return all(hasattr(value, name) for name in wanted) and _takes(value, _arguments_of(kind))
    return isinstance(value, kind) and _holds(value, kind, members)


def _arguments_of(kind: Any) -> int | None:
    """Return how many arguments what is of this kind is called with; None if it is not called so, or does not say."""
    if get_origin(kind) is Callable:
        parameters = get_args(kind)[0]
        return len(parameters) if isinstance(parameters, list) else None
    if not getattr(kind, "_is_protocol", False) or "__call__" not in vars(kind):
        return None
    _, *parameters = inspect.signature(vars(kind)["__call__"]).parameters.values()
    positional = all(each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) for each in parameters)
    return len(parameters) if positional else None


def _takes(value: Any, number: int | None) -> bool:
    """Return whether `value` can be called with so many arguments; True if it does not tell."""
    if number is None:
        return True
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(*[None] * number)
    except TypeError:
        return False
    return True


def _required(function: Callable[..., Any]) -> str:
    """Return the names of the arguments that a function must be given."""
    parameters = inspect.signature(function).parameters.values()
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return ", ".join(each.name for each in parameters if each.default is each.empty and each.kind not in variable)


def _holds(value: Any, kind: Any, members: tuple[Any, ...]) -> bool:
    """Return whether the members of a container are what they should be; a text or a mapping is no list."""
    if kind is Mapping and members:
        return all(_fits(each, members[1]) for each in value.values())
    if kind not in (Sequence, Collection):
        return True
    return not isinstance(value, (str, bytes, Mapping)) and all(_fits(each, members[0]) for each in value)


def _problem(value: Any, kind: Any) -> str:
    """Return what is wrong with a value. It shows choices, but never another text: that may be a secret."""
    choices = [each for part in (kind, *get_args(kind)) if get_origin(part) is Literal for each in get_args(part)]
    if choices and isinstance(value, str):
        return f"={value!r:.40}): choose from {', '.join(map(repr, choices))}"
    if value is None:
        return "=...) is None"
    wanted = next((number for each in (kind, *get_args(kind)) if (number := _arguments_of(each)) is not None), None)
    if callable(value) and not _takes(value, wanted):
        return f"=...) is called with {wanted} argument{'' if wanted == 1 else 's'}, but takes ({_required(value)})"
    return f"=...) is a {type(value).__name__}"
