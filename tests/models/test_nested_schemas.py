"""A schema within another one means what it meant by itself."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import JsonValue

from contemplate.models.schemas.definitions import nested

NUMBER: dict[str, JsonValue] = {"$ref": "#/$defs/It", "$defs": {"It": {"type": "integer"}}}
TEXT: dict[str, JsonValue] = {"$ref": "#/definitions/It", "definitions": {"It": {"type": "string"}}}
TREE: dict[str, JsonValue] = {
    "type": "object",
    "properties": {"children": {"type": "array", "items": {"$ref": "#"}}, "$ref": {"$ref": "#/properties/children"}},
    "required": ["children"],
    "$defs": {"unused": {"$ref": "#/$defs/It"}},
}
LIST: dict[str, JsonValue] = {
    "$ref": "#/$defs/It",
    "$defs": {"It": {"anyOf": [{"type": "null"}, {"type": "array", "items": {"$ref": "#/$defs/It"}}]}},
}
DATA: dict[str, JsonValue] = {"enum": [{"$ref": "#/$defs/It"}], "$defs": {"It": {"type": "integer"}}}
SCHEMAS = (NUMBER, TEXT, TREE, LIST, DATA)

values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers() | st.text(max_size=2) | st.just({"$ref": "#/$defs/It"}),
    lambda inner: st.lists(inner, max_size=2) | st.fixed_dictionaries({"children": st.lists(inner, max_size=2)}),
    max_leaves=6,
)


@given(st.lists(st.sampled_from(SCHEMAS), min_size=1, max_size=5), values)
def test_a_nested_schema_takes_what_it_took(schemas: list[dict[str, JsonValue]], value: Any) -> None:
    definitions: dict[str, JsonValue] = {}
    places: dict[str, JsonValue] = {str(place): nested(each, definitions) for place, each in enumerate(schemas)}
    whole = Draft202012Validator({"properties": places, "$defs": definitions})
    for place, each in enumerate(schemas):
        assert whole.is_valid({str(place): value}) == Draft202012Validator(each).is_valid(value)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_what_is_nested_is_left_as_it_was(schema: dict[str, JsonValue]) -> None:
    before = str(schema)
    assert "$defs" not in nested(schema, {})
    assert str(schema) == before


def test_a_reference_to_nothing_stays() -> None:
    definitions: dict[str, JsonValue] = {}
    assert nested({"$ref": "#/$defs/nowhere"}, definitions) == {"$ref": "#/$defs/nowhere"}
    assert definitions == {}
