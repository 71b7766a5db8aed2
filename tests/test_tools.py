"""Tools: the schema comes from the signature, the words from the docstring, and the call fits both."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable
from typing import Annotated, Any, Literal

import anyio
import pytest
from pydantic import BaseModel, Field

from contemplate import Tool, tool
from contemplate.errors import ConfigurationError, ToolError
from contemplate.messages import Message
from contemplate.tools.tool import as_tool

pytestmark = pytest.mark.anyio


class Place(BaseModel):
    city: str
    country: str = "FR"


@tool
async def weather(place: Place, unit: Literal["C", "F"] = "C", days: Annotated[int, Field(ge=1, le=9)] = 1) -> str:
    """Tell the weather.

    Only for large towns.

    Args:
        place: where.
        unit: of the temperature.
    """
    return f"{place.city} ({place.country}): 20 {unit}, {days} days"


def test_the_schema_of_a_signature() -> None:
    assert (weather.name, weather.description) == ("weather", "Tell the weather.\nOnly for large towns.")
    properties: Any = weather.parameters["properties"]
    assert weather.parameters["required"] == ["place"]
    assert weather.parameters["additionalProperties"] is False
    assert list(properties) == ["place", "unit", "days"]
    assert properties["unit"]["enum"] == ["C", "F"]
    assert properties["unit"]["description"] == "of the temperature."
    assert (properties["days"]["minimum"], properties["days"]["default"]) == (1, 1)
    json.dumps(weather.parameters)


async def test_a_call() -> None:
    assert await weather.call('{"place": {"city": "Lyon"}, "days": 3}') == "Lyon (FR): 20 C, 3 days"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("{}", "place: Field required"),
        ('{"place": {"city": "Lyon"}, "days": 10}', "days: Input should be less than or equal to 9"),
        ('{"place": {"city": "Lyon"}, "when": "now"}', "when: Extra inputs"),
        ("{oops", "the whole: Invalid JSON"),
        ("[]", "the whole: Input should be an object"),
        ("", "place: Field required"),
    ],
)
async def test_arguments_that_do_not_fit_are_told_to_the_model(arguments: str, problem: str) -> None:
    with pytest.raises(ToolError, match="wrong arguments for weather") as caught:
        await weather.call(arguments)
    assert problem in str(caught.value)


def odd(copy: str, json: int = 1, schema: Annotated[int, Field(description="how")] = 2, _id: int = 3) -> str:
    """Do it.

    Args:
        copy: what to copy.
    """
    return f"{copy} {json} {schema} {_id}"


async def test_parameters_may_be_called_as_they_like() -> None:
    made = tool(odd)
    properties: Any = made.parameters["properties"]
    assert list(properties) == ["copy", "json", "schema", "_id"]
    assert properties["copy"]["description"] == "what to copy."
    assert properties["schema"]["description"] == "how"
    assert await made.call('{"copy": "a", "_id": 9}') == "a 1 2 9"


class Adder:
    """Adds."""

    def __init__(self, start: int) -> None:
        self.start = start

    async def __call__(self, x: int) -> int:
        return self.start + x

    def later(self, x: int) -> int:
        """Add, later."""
        return self.start + x


@pytest.mark.parametrize(
    ("function", "description"),
    [
        (Adder(1), "Adds."),
        (Adder(1).later, "Add, later."),
        (functools.partial(Adder(0).later, x=2), "Add, later."),
    ],
)
async def test_any_callable_is_a_tool(function: Callable[..., Any], description: str) -> None:
    made = Tool(function, name="add")
    assert made.description == description
    assert await made.call("{}" if isinstance(function, functools.partial) else '{"x": 1}') == "2"


def without_a_type(x) -> None:  # type: ignore[no-untyped-def]
    pass


def any_number(*numbers: int) -> None:
    pass


def by_place(x: int, /) -> None:
    pass


def of_nothing(x: Nowhere) -> None:  # type: ignore[name-defined]  # noqa: F821
    pass


def unchecked(x: threading.Thread) -> None:
    pass


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (without_a_type, "'x' has no type"),
        (any_number, "cannot be passed by name"),
        (by_place, "cannot be passed by name"),
        (of_nothing, "signature cannot be read: name 'Nowhere'"),
        (unchecked, "no schema"),
        (dict, "signature cannot be read"),
        (lambda: 1, "cannot be the name"),
    ],
)
def test_a_function_that_cannot_be_one_is_refused(function: Callable[..., Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        tool(function)


@pytest.mark.parametrize("name", ["", "a b", "größe", "x" * 65, "a.b"])
def test_names_that_providers_refuse(name: str) -> None:
    if name:
        with pytest.raises(ConfigurationError, match="cannot be the name"):
            Tool(odd, name=name)
    else:
        assert Tool(odd, name=name).name == "odd"


def test_a_decorator_with_arguments() -> None:
    @tool(name="sum", description="Sums up.")
    def whatever(x: int) -> int:
        return x

    assert (whatever.name, whatever.description, repr(whatever)) == ("sum", "Sums up.", "Tool('sum')")
    assert as_tool(whatever) is whatever


@pytest.mark.parametrize(
    ("returned", "text"),
    [("as it is", "as it is"), (None, "null"), ({"a": [1, 2.5]}, '{"a":[1,2.5]}'), (Place(city="Lyon"), None)],
)
async def test_what_is_returned_becomes_text(returned: object, text: str | None) -> None:
    def give() -> Any:
        return returned

    assert await tool(give).call("{}") == (text or '{"city":"Lyon","country":"FR"}')


async def test_a_plain_function_runs_in_a_thread_of_its_own() -> None:
    def where() -> str:
        return threading.current_thread().name

    assert await tool(where).call("{}") != threading.current_thread().name


async def test_a_plain_function_that_hangs_holds_nobody_up() -> None:
    release = threading.Event()

    def hang() -> None:
        release.wait(30)

    try:
        with anyio.move_on_after(0.05) as scope:
            await tool(hang).call("{}")
        assert scope.cancelled_caught
    finally:
        release.set()


async def test_a_plain_function_may_return_something_to_wait_for() -> None:
    def later() -> Any:
        async def inner() -> str:
            return "waited for"

        return inner()

    assert await tool(later).call("{}") == "waited for"


async def test_what_it_raises_comes_out() -> None:
    def broken() -> None:
        raise ZeroDivisionError("by zero")

    with pytest.raises(ZeroDivisionError, match="by zero"):
        await tool(broken).call("{}")


@pytest.mark.parametrize(
    ("function", "signature", "default", "needed"),
    [
        (lambda: _field_default, "f(x: int = 5)", {"x": 5}, []),
        (lambda: _field_factory, "f(x: list[int] = ...)", {"x": []}, []),
        (lambda: _field_alias, "f(x: int = 5)", {"x": 5}, []),
        (lambda: _field_annotated, "f(x: int = 7)", {"x": 7}, []),
        (lambda: _factory_annotated, "f(x: list[int] = ...)", {"x": []}, []),
        (lambda: _field_needed, "f(x: int)", None, ["x"]),
    ],
)
async def test_a_field_as_a_default(
    function: Callable[[], Callable[..., Any]], signature: str, default: Any, needed: list[str]
) -> None:
    made = Tool(function(), name="f")
    properties: Any = made.parameters["properties"]
    assert made.parameters.get("required", []) == needed
    assert properties["x"]["description"] == "how many"
    assert made.signature == signature
    if default is not None:
        assert json.loads(str(await made.call("{}"))) == default["x"]
        assert await made.value() == default["x"]
    given: Any = [3] if "list" in signature else 3
    assert json.loads(str(await made.call(json.dumps({"x": given})))) == given


def _field_default(x: int = Field(5, description="how many", ge=1)) -> int:
    """Do it.

    Args:
        x: the field's own description comes first.
    """
    return x


def _field_factory(x: list[int] = Field(default_factory=list, description="how many")) -> list[int]:  # noqa: B008
    return x


def _field_alias(x: int = Field(5, alias="count", description="how many")) -> int:
    return x


def _field_annotated(x: Annotated[int, Field(default=7, description="how many")]) -> int:
    return x


def _factory_annotated(x: Annotated[list[int], Field(default_factory=list, description="how many")]) -> list[int]:
    return x


def _field_needed(x: int = Field(description="how many")) -> int:
    return x


async def test_a_field_bounds_what_is_given() -> None:
    with pytest.raises(ToolError, match="x: Input should be greater than or equal to 1"):
        await Tool(_field_default, name="f").call('{"x": 0}')


def sort_all(
    xs: list[int],
    places: dict[str, Place],
    text: str = "",
    maybe: list[str] | None = None,
    either: int | list[list[int]] = 0,
) -> Any:
    """Sort."""
    return [xs, {name: each.city for name, each in places.items()}, text, maybe, either]


@pytest.mark.parametrize(
    "arguments",
    [
        {"xs": [1], "places": {"a": {"city": "Lyon"}}, "text": "[1]", "maybe": ["m"], "either": [[2]]},
        {"xs": "[1]", "places": '{"a": {"city": "Lyon"}}', "text": "[1]", "maybe": '["m"]', "either": " [[2]]"},
        {"xs": ["1"], "places": {"a": '{"city": "Lyon"}'}, "text": "[1]", "maybe": ["m"], "either": ["[2]"]},
        '{"xs": "[1]", "places": {"a": {"city": "Lyon"}}, "text": "[1]", "maybe": ["m"], "either": [[2]]}',
    ],
)
async def test_lists_and_objects_sent_as_text(arguments: Any) -> None:
    """Where the parameter is a text, it stays one."""
    returned = await tool(sort_all).call(json.dumps(arguments))
    assert json.loads(str(returned)) == [[1], {"a": "Lyon"}, "[1]", ["m"], [[2]]]


@pytest.mark.parametrize("xs", ["[1", "[]]", "1, 2", '["a"]', '"[1]"', '{"a": 1}'])
async def test_text_that_is_no_list_is_refused(xs: str) -> None:
    with pytest.raises(ToolError, match="wrong arguments for sort_all: xs"):
        await tool(sort_all).call(json.dumps({"xs": xs, "places": {}}))


LONE = "a\ud800b"


@pytest.mark.parametrize("returned", [LONE, [LONE], {LONE: {"x": (LONE,)}}, Place.model_construct(city=LONE)])
async def test_lone_surrogates_in_a_result_are_replaced(returned: Any) -> None:
    def give() -> Any:
        return returned

    message = Message.tool("1", str(await tool(give).call("{}")))
    assert "a\N{REPLACEMENT CHARACTER}b" in message.text
    assert "a\N{REPLACEMENT CHARACTER}b" in str(await tool(give).value())


async def test_lone_surrogates_in_arguments_are_replaced() -> None:
    def echo(x: str) -> str:
        return x

    assert await tool(echo).call(json.dumps({"x": LONE})) == "a\N{REPLACEMENT CHARACTER}b"
    assert await tool(echo).call(json.dumps({"x": "\N{GRINNING FACE}"})) == "\N{GRINNING FACE}"
    assert await tool(echo).call(json.dumps({"x": r"\ud800"})) == r"\ud800"


@pytest.mark.parametrize("option", ["external", "side_effects"])
@pytest.mark.parametrize("value", [True, False])
def test_the_decorator_hands_on_what_it_is_told(option: str, value: bool) -> None:
    def look(at: str) -> str:
        return at

    options: Any = {option: value}
    assert bool(getattr(tool(**options)(look), option)) is value
