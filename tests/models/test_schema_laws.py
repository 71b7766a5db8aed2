"""Laws of sent schemas, on random types and values."""

from __future__ import annotations

import datetime
import decimal
import enum
import ipaddress
import json
import re
import uuid
from collections.abc import Callable
from dataclasses import make_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, Optional, Union, get_args

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, Json, NaiveDatetime, RootModel, TypeAdapter, create_model
from typing_extensions import TypedDict

from contemplate.models.schemas import SchemaDialect, sent_schema
from contemplate.models.schemas.patterns import in_grammar, without_assertions
from contemplate.run.output_type import OutputType
from tests.models.schema_rules import broken_rules

DIALECTS: tuple[SchemaDialect, ...] = get_args(SchemaDialect)
Case = tuple[Any, st.SearchStrategy[Any]]


class Colour(enum.Enum):
    RED = "red"
    ONE = 1
    YES = True


class Number(enum.IntEnum):
    TWO = 2
    SEVEN = 7


class Tree(BaseModel):
    name: str = ""
    children: list[Tree] = []
    parent: Optional[Tree] = None  # noqa: UP045


class Kind(BaseModel):
    kind: Literal["one"]


class Other(BaseModel):
    kind: Literal["two"]
    of: int = 3


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
DATA = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
TREES = st.recursive(
    st.builds(Tree, name=TEXT),
    lambda inner: st.builds(Tree, name=TEXT, children=st.lists(inner, max_size=2), parent=st.none() | inner),
)
LEAVES: list[Case] = [
    (str, TEXT),
    (int, st.integers()),
    (float, FLOATS),
    (bool, st.booleans()),
    (None, st.none()),
    (decimal.Decimal, st.decimals(allow_nan=False, allow_infinity=False, places=3)),
    (datetime.datetime, st.datetimes() | st.datetimes(timezones=st.just(datetime.UTC))),
    (NaiveDatetime, st.datetimes()),
    (datetime.date, st.dates()),
    (datetime.time, st.times()),
    (datetime.timedelta, st.timedeltas()),
    (uuid.UUID, st.uuids()),
    (bytes, TEXT.map(str.encode)),
    (Path, st.sampled_from([Path("/a"), Path("b/c")])),
    (HttpUrl, st.just("https://example.org/a?b")),
    (ipaddress.IPv4Address, st.ip_addresses(v=4)),
    (Colour, st.sampled_from(Colour)),
    (Number, st.sampled_from(Number)),
    (Literal["a", 1, None, False], st.sampled_from(["a", 1, None, False])),
    (Literal["b"], st.just("b")),
    (Any, DATA),
    (Annotated[int, Field(ge=-3, lt=1000)], st.integers(-3, 999)),
    (Annotated[int, Field(gt=4, multiple_of=5)], st.integers(1, 99).map(lambda each: 5 * each)),
    (Annotated[float, Field(gt=-1, le=2.5)], st.floats(-1, 2.5, exclude_min=True)),
    (Annotated[str, Field(min_length=1, max_length=3000)], TEXT.filter(bool)),
    (Annotated[str, Field(pattern=r"^\d{1,3}(?:-[a-z.]+)?$")], st.from_regex(r"\A[0-9]{1,3}(-[a-z.]+)?\Z")),
    (Annotated[str, Field(pattern=r"^\w+@")], st.from_regex(r"\A\w+@\w\Z")),
    (Annotated[Kind | Other, Field(discriminator="kind")], st.builds(Kind, kind=st.just("one"))),
    (Tree, TREES),
]


def of(generic: Any, *kinds: Any) -> Any:
    """Return `generic[kinds]`."""
    return generic[kinds if len(kinds) > 1 else kinds[0]]


def _containers(inner: st.SearchStrategy[Case]) -> st.SearchStrategy[Case]:
    many = st.lists(inner, min_size=1, max_size=3)
    names = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=3, unique=True)

    def tuple_of(cases: list[Case]) -> Case:
        return of(tuple, *(kind for kind, _ in cases)), st.tuples(*(each for _, each in cases))

    def union_of(cases: list[Case]) -> Case:
        return of(Union, *(kind for kind, _ in cases)), st.one_of(*(each for _, each in cases))

    def typed_dict(names: list[str], cases: list[Case]) -> Case:
        fields = dict(zip(names, cases, strict=False))
        kind = TypedDict("D", {name: NotRequired[case[0]] for name, case in fields.items()})  # type: ignore[misc]
        return kind, st.fixed_dictionaries({}, optional={name: case[1] for name, case in fields.items()})

    def data_class(names: list[str], cases: list[Case]) -> Case:
        fields = dict(zip(names, cases, strict=False))
        kind = make_dataclass("P", [(name, case[0]) for name, case in fields.items()])
        return kind, st.fixed_dictionaries({name: case[1] for name, case in fields.items()})

    return st.one_of(
        inner.map(lambda case: (of(list, case[0]), st.lists(case[1], max_size=3))),
        inner.map(lambda case: (of(Annotated, of(list, case[0]), Field(max_length=3)), st.lists(case[1], max_size=3))),
        inner.map(lambda case: (of(tuple, case[0], ...), st.lists(case[1], max_size=3))),
        inner.map(lambda case: (of(dict, str, case[0]), st.dictionaries(TEXT, case[1], max_size=2))),
        inner.map(lambda case: (of(dict, int, case[0]), st.dictionaries(st.integers(), case[1], max_size=2))),
        inner.map(lambda case: (of(Optional, case[0]), st.none() | case[1])),
        inner.map(lambda case: (of(RootModel, case[0]), case[1])),
        st.just((set[int], st.sets(st.integers(), max_size=3))),
        st.just((Json[list[int]], st.lists(st.integers(), max_size=2).map(json.dumps))),
        many.map(tuple_of),
        many.map(union_of),
        st.builds(typed_dict, names, many),
        st.builds(data_class, names, many),
        models(inner),
    )


@st.composite
def models(draw: st.DrawFn, cases: st.SearchStrategy[Case]) -> Case:
    """A model with random fields, and values of it by the names of its fields."""
    extra: Any = draw(st.sampled_from(["ignore", "forbid", "allow"]))
    fields: dict[str, Any] = {}
    values: dict[str, st.SearchStrategy[Any]] = {}
    for name in draw(st.lists(st.sampled_from(["a", "b_c", "type", "properties", "x"]), max_size=4, unique=True)):
        kind, strategy = draw(cases)
        settings: dict[str, Any] = draw(
            st.sampled_from(
                [{}, {}, {"description": "told"}, {"alias": f"{name}-ü"}, {"default": None}, {"default_factory": list}]
            )
        )
        if "default" in settings:
            kind, strategy = of(Optional, kind), st.none() | strategy
        if "default_factory" in settings:
            kind, strategy = of(list, kind), st.lists(strategy, max_size=2)
        fields[name] = (kind, Field(**settings))
        values[settings.get("alias", name)] = strategy
    more = {"more": TEXT, "z": DATA} if extra == "allow" else {}
    config = ConfigDict(extra=extra, title=draw(st.sampled_from([None, "T"])))
    model = create_model(draw(st.sampled_from(["M", "N", "M_M", "Other"])), __config__=config, **fields)
    return model, st.fixed_dictionaries(values, optional=more)


TYPES = st.recursive(st.sampled_from(LEAVES), _containers, max_leaves=6)


@st.composite
def typed_values(draw: st.DrawFn) -> tuple[dict[str, Any], Any]:
    """The schema of a random type, and a value of the type as JSON data."""
    kind, values = draw(models(TYPES))
    data = draw(values)
    adapter = TypeAdapter(kind)
    try:
        value = adapter.validate_python(data)
        written = adapter.dump_python(value, mode="json", by_alias=True, round_trip=True, warnings=False)
        adapter.validate_json(json.dumps(written))
    except (ValueError, TypeError):
        # What pydantic itself does not read back.
        assume(False)
    return OutputType(kind).json_schema, written


CHECKED = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much], deadline=None)


def _valid(schema: dict[str, Any], value: Any) -> bool:
    return bool(Draft202012Validator(schema).is_valid(value))


@CHECKED
@given(typed_values())
def test_a_sent_schema_is_never_tighter_than_the_type(case: tuple[dict[str, Any], Any]) -> None:
    schema, value = case
    # Pydantic's own schema is tighter than the type for few values, such as a `Decimal` with an exponent.
    assume(_valid(sent_schema(schema, "json_schema").schema, value))
    for dialect in DIALECTS:
        sent = sent_schema(schema, dialect)
        event(f"{dialect}: strict: {sent.strict}, looser: {sent.looser}")
        try:
            Draft202012Validator(sent.schema).validate(value)
        except ValidationError as error:
            told = f"{dialect}: {error.message} in {json.dumps(sent.schema)}, from {json.dumps(schema)}"
            raise AssertionError(told) from None


@CHECKED
@given(typed_values())
def test_a_strict_schema_is_what_the_server_takes(case: tuple[dict[str, Any], Any]) -> None:
    for dialect in DIALECTS:
        sent = sent_schema(case[0], dialect)
        Draft202012Validator.check_schema(sent.schema)
        assert sent.schema["type"] == "object"
        if sent.strict:
            assert broken_rules(sent.schema, dialect) == []


@CHECKED
@given(typed_values(), DATA, st.data())
def test_a_schema_that_is_looser_says_so(case: tuple[dict[str, Any], Any], other: Any, data: st.DataObject) -> None:
    schema, value = case
    changed = _changed(value, other, data)
    for dialect in DIALECTS:
        sent = sent_schema(schema, dialect)
        if not sent.looser and _valid(sent.schema, changed):
            assert _valid(sent_schema(schema, "json_schema").schema, changed)


def _changed(value: Any, other: Any, data: st.DataObject) -> Any:
    """Return `value` with `other` somewhere in it."""
    if isinstance(value, dict) and value and data.draw(st.booleans()):
        name = data.draw(st.sampled_from(sorted(value)))
        return {**value, name: _changed(value[name], other, data)}
    if isinstance(value, list) and value and data.draw(st.booleans()):
        place = data.draw(st.integers(0, len(value) - 1))
        return [*value[:place], _changed(value[place], other, data), *value[place + 1 :]]
    return other


KEYWORDS = st.sampled_from(
    [
        *("type", "properties", "required", "additionalProperties", "items", "prefixItems", "anyOf", "oneOf", "allOf"),
        *("enum", "const", "$ref", "nullable", "minLength", "maxLength", "pattern", "format", "minimum", "multipleOf"),
        *("exclusiveMaximum", "minItems", "maxItems", "uniqueItems", "title", "description", "default", "not", "if"),
        *("patternProperties", "propertyNames", "$defs", "definitions", "discriminator"),
    ]
)
WORDS = st.sampled_from(
    [
        *("object", "array", "string", "number", "integer", "boolean", "null", "a", "#/$defs/a", "#/properties/a"),
        *("#", "#/x", "^a$", "(?=a)"),
    ]
)
RUBBISH: st.SearchStrategy[Any] = st.recursive(
    WORDS | st.none() | st.booleans() | st.integers(-3, 3) | FLOATS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(KEYWORDS, inner, max_size=4)
        | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
    max_leaves=12,
)


@CHECKED
@given(st.dictionaries(KEYWORDS, RUBBISH, max_size=6))
def test_any_rubbish_is_sent_somehow(schema: dict[str, Any]) -> None:
    """A tool of somebody else's server may have any schema."""
    for dialect in DIALECTS:
        assert json.dumps(sent_schema(schema, dialect).schema)


PATTERNS = st.recursive(
    st.sampled_from(
        [
            "a",
            "b-",
            r"\d",
            r"\w",
            ".",
            r"\.",
            "[a-c.]",
            "[^a]",
            r"[\d_^-]",
            "[]-]",
            r"\^",
            "(?=b)",
            r"\b",
            " ",
            '"',
            "(",
        ]
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=2).map(lambda parts: f"(?:{'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(["*", "+?", "?", "{2}", "{1,3}", "{2,}"])).map("".join),
    ),
    max_leaves=6,
)


@CHECKED
@given(st.tuples(st.sampled_from(["", "^"]), PATTERNS, st.sampled_from(["", "$"])).map("".join), st.data())
@pytest.mark.parametrize("rewritten", [in_grammar, without_assertions])
def test_a_pattern_that_is_rewritten_matches_no_less(
    rewritten: Callable[[str], str | None], pattern: str, data: st.DataObject
) -> None:
    try:
        original = re.compile(pattern, re.ASCII)
    except re.error:
        assume(False)
    sent = rewritten(pattern)
    if sent is not None:
        text = data.draw(st.text("ab-._^1] ", max_size=6) | st.from_regex(original))
        assert original.search(text.rstrip("\n")) is None or re.search(sent, text.rstrip("\n")), sent


@pytest.mark.parametrize(
    ("pattern", "sent"),
    [
        (r"^\d+$", "^[0-9]+$"),
        (r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$", r"^[+-]?0*[0-9]*(\.)?[0-9]*$"),
        (r"^(?:a|b){2,3}c*?$", "^(a|b){2,3}c*$"),
        (r"^a$|^b$", "^(a|b)$"),
        (r"^[\w.]+$", None),
        (r"^.*$", None),
        (r"^[^@]+$", None),
        ("abc", None),
        (r"^(a)\1$", None),
        ("^a{1,5000}$", None),
        ("(", None),
        ("", None),
    ],
)
def test_patterns_of_a_grammar(pattern: str, sent: str | None) -> None:
    assert in_grammar(pattern) == sent
