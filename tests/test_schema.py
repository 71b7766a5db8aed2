"""Typed output: what a model is told, and what its words become."""

from __future__ import annotations

import datetime
import decimal
import enum
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, RootModel, computed_field

from contemplate import Contemplator, aggregators, planners
from contemplate.errors import MAX_PROBLEMS, ConfigurationError, OutputError
from contemplate.models import ModelRequest
from contemplate.run.output_type import OutputType
from contemplate.testing import ScriptedModel


class Colour(enum.Enum):
    RED = "red"


class Picky(BaseModel):
    """Everything that does not come back from Python data as it went out."""

    model_config = ConfigDict(strict=True, extra="forbid")

    when: datetime.date
    sizes: tuple[int, ...]
    price: decimal.Decimal
    colour: Colour
    name: str = Field(alias="theName")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def twice(self) -> int:
        return 2 * len(self.sizes)


class Node(BaseModel):
    children: list[Node] = []


class Numbers(RootModel[list[int]]):
    pass


PICKY = '{"when": "2026-01-31", "sizes": [1, 2], "price": "1.50", "colour": "red", "theName": "x"}'
TYPES: list[tuple[Any, str]] = [
    (Picky, PICKY),
    (Node, '{"value": {"children": [{"children": []}]}}'),
    (Numbers, '{"value": [1, 2]}'),
    (list[int], '{"value": [1, 2]}'),
    (int | None, '{"value": null}'),
    (dict[str, float], '{"a": 1.5}'),
    (float, '{"value": 2.5}'),
    (Colour, '{"value": "red"}'),
    (Picky | int, f'{{"value": {PICKY}}}'),
]


@pytest.mark.parametrize(("kind", "text"), TYPES)
def test_a_value_survives_being_kept_as_json(kind: Any, text: str) -> None:
    output = OutputType(kind)
    value = output.parse(text)
    assert output.load(output.dump(value), "") == output.load(output.dump(value), text) == value


@pytest.mark.parametrize(("kind", "text"), TYPES)
def test_the_schema_is_an_objects_and_its_name_one_that_providers_take(kind: Any, text: str) -> None:
    output = OutputType(kind)
    assert output.json_schema["type"] == "object"
    assert output.name.isascii()
    assert output.name.replace("_", "").replace("-", "").isalnum()


def test_a_name_in_other_letters() -> None:
    assert OutputType(type("Größe[int]", (BaseModel,), {})).name == "Gr__e_int_"


@pytest.mark.parametrize(
    "said",
    [
        '{"x": 1}',
        'Sure! {"x": 1}',
        '```json\n{"x": 1}\n```',
        '{"x": 1}\nI hope that this helps.',
        '{"x": 1}.',
        'It is {"x": 1}.',
        '\n\n{"x":\n1}',
    ],
)
def test_words_around_the_json_are_passed_over(said: str) -> None:
    class X(BaseModel):
        x: int

    assert OutputType(X).parse(said).x == 1


@given(st.text() | st.text(alphabet='{}[]":,1x \\'))
def test_rubbish_is_an_error_in_words(text: str) -> None:
    try:
        OutputType(Picky).parse(text)
    except OutputError as error:
        assert str(error).startswith("the answer does not fit Picky: ")


def test_problems_are_told_without_the_values_and_not_without_end() -> None:
    class Many(BaseModel):
        xs: list[int]

    with pytest.raises(OutputError) as caught:
        OutputType(Many).parse('{"xs": ["secret", ' + ", ".join(['"s"'] * 20) + "]}")
    assert "secret" not in str(caught.value)
    assert "xs.0: " in str(caught.value)
    assert str(caught.value).count("; ") == MAX_PROBLEMS
    assert "and 13 more" in str(caught.value)


class Opaque:
    pass


@pytest.mark.parametrize("kind", [Opaque, Callable[[], int]])
def test_a_type_without_a_schema_is_refused_before_anything_is_paid(kind: Any) -> None:
    with pytest.raises(ConfigurationError, match="output_type") as caught:
        Contemplator(ScriptedModel(""), output_type=kind)
    assert "\n" not in str(caught.value)


@pytest.mark.anyio
@pytest.mark.parametrize("aggregator", [aggregators.first(), aggregators.vote(), aggregators.synthesize()])
async def test_a_picky_type_through_a_whole_run(aggregator: aggregators.Aggregator) -> None:
    mind = Contemplator(ScriptedModel(PICKY), planner=planners.sample(3), aggregator=aggregator, output_type=Picky)
    result = await mind.run("q")
    assert result.output == OutputType(Picky).parse(PICKY)


@pytest.mark.anyio
async def test_a_repair_is_not_made_with_a_tool() -> None:
    """A call that nobody answers makes a conversation that providers refuse."""

    def look(what: str) -> str:
        """Look."""
        return what

    class X(BaseModel):
        x: int

    def script(request: ModelRequest) -> str:
        return '{"x": 1}' if len(request.messages) > 2 else "one"

    model = ScriptedModel(script)
    assert (await Contemplator(model, mode="instant", tools=[look], output_type=X).run("q")).output == X(x=1)
    assert [request.tool_choice for request in model.requests] == ["auto", "none"]
