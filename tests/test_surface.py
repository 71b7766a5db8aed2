"""The public surface: every name is there and documented, and no provider's type shows in a signature."""

from __future__ import annotations

import builtins
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

import contemplate

HOMES = "aggregators answers cluster errors events journal models modes notebook planners strategies testing"
PUBLIC = ["", *(f".{home}" for home in HOMES.split())]
PROVIDERS = re.compile(
    r"\b(openai\.|httpx|aiohttp|tenacity|structlog|starlette|uvicorn|xllamacpp|mcp\.(?!mcp_tools)|mcp_types|rich\.)"
)


def module(name: str) -> ModuleType:
    return importlib.import_module(f"contemplate{name}")


def names_of(home: ModuleType) -> list[str]:
    """The names in `__all__`; for a module of classes without one, the classes that it defines."""
    if hasattr(home, "__all__"):
        return list(home.__all__)
    return [
        name
        for name, value in vars(home).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == home.__name__
    ]


def public() -> Iterator[tuple[str, Any]]:
    for home in PUBLIC:
        for name in names_of(module(home)):
            yield f"contemplate{home}.{name}", getattr(module(home), name)


def callables() -> Iterator[tuple[str, Any]]:
    """Every public function, class and public method."""
    for name, value in public():
        if inspect.isroutine(value):
            yield name, value
        if inspect.isclass(value):
            yield name, value
            for member, inner in inspect.getmembers(value):
                mine = getattr(inner, "__module__", None) or getattr(getattr(inner, "fget", None), "__module__", "")
                if not member.startswith("_") and str(mine).startswith("contemplate"):
                    yield f"{name}.{member}", inner


CALLABLES = dict(callables())


@pytest.mark.parametrize("home", PUBLIC)
def test_every_name_is_there(home: str) -> None:
    names = names_of(module(home))
    assert names
    assert len(set(names)) == len(names)
    for name in names:
        assert getattr(module(home), name) is not None
    if hasattr(module(home), "__all__"):
        assert names == sorted(names, key=lambda name: (name.islower(), name)) or home == ""


# Each is no test of its own: there are some five hundred, which take a millisecond together.
def test_every_name_says_what_it_is() -> None:
    assert [name for name, value in CALLABLES.items() if not (inspect.getdoc(value) or "").strip()] == []


def test_no_provider_shows_in_a_signature() -> None:
    assert [name for name, value in CALLABLES.items() if any(map(PROVIDERS.search, signatures(value)))] == []


def signatures(value: Any) -> Iterator[str]:
    """What a caller is shown of the types of a function, of a property, or of a class and what makes it."""
    functions = [value.fget] if isinstance(value, property) else [value]
    if inspect.isclass(value):
        functions = [value.__init__]
        yield str(getattr(value, "__annotations__", {}))
    for function in functions:
        if inspect.isroutine(function) and not isinstance(function, type(object.__init__)):
            yield str(inspect.signature(function))


def test_something_was_looked_at() -> None:
    assert len(CALLABLES) > 100
    assert "contemplate.Contemplator.run" in CALLABLES
    assert "contemplate.models.OpenAIModel.request" in CALLABLES
    assert PROVIDERS.search("(client: 'openai.AsyncOpenAI')")


def test_what_is_listed_is_what_there_is() -> None:
    assert dir(contemplate) == sorted(contemplate.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = contemplate.nothing
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = contemplate.models.nothing


def test_names_are_the_same_wherever_they_come_from() -> None:
    for name in contemplate.__all__:
        if name in contemplate._HOMES:
            home = importlib.import_module(f"contemplate.{contemplate._HOMES[name]}")
            assert getattr(contemplate, name) is getattr(home, name)
    assert set(contemplate._HOMES) | set(contemplate._MODULES) | {"__version__"} == set(contemplate.__all__)


def test_raises_sections_name_errors_that_exist() -> None:
    known = {name for name in vars(contemplate.errors) if name[0].isupper()} | set(dir(builtins))
    for name, value in CALLABLES.items():
        section = re.search(r"Raises:\n((?: {4}.+\n?)+)", inspect.getdoc(value) or "")
        for raised in re.findall(r"^ {4}(\w+):", section[1], re.MULTILINE) if section else ():
            assert raised in known, (name, raised)


def test_each_module_says_what_it_is() -> None:
    for info in pkgutil.walk_packages(contemplate.__path__, "contemplate."):
        if not info.name.endswith("__main__"):
            assert (importlib.import_module(info.name).__doc__ or "").strip(), info.name
