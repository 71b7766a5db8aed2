"""The schema of each kind of type, in each dialect."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, NotRequired, TypeVar, get_args

import pytest
from jsonschema import Draft202012Validator
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    Json,
    NaiveDatetime,
    RootModel,
    SecretStr,
    computed_field,
    create_model,
)
from pydantic_core import from_json, to_jsonable_python
from typing_extensions import TypedDict

from contemplate.aggregators.judge import _choice_type
from contemplate.aggregators.meaning import _VERDICT
from contemplate.models.schemas import SchemaDialect, sent_schema
from contemplate.models.schemas.patterns import in_grammar
from contemplate.models.schemas.plain_schemas import is_closed
from contemplate.models.schemas.request_schema import SentSchema
from contemplate.planners.plan_parser import plan_schema
from contemplate.run.output_type import OutputType
from contemplate.tools import Tool
from tests.models.schema_rules import broken_rules

DIALECTS: tuple[SchemaDialect, ...] = get_args(SchemaDialect)
T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    ONE = 1


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Inner(BaseModel):
    x: int


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = Field(ge=0, lt=10)


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str


class Chain(BaseModel):
    next: Chain | None


class Tree(BaseModel):
    name: str
    children: list[Tree] = []


class Movie(TypedDict):
    title: str
    year: NotRequired[int]


@dataclass
class Point:
    x: float
    tags: list[str] = dataclass_field(default_factory=list)


class Pair(NamedTuple):
    a: int
    b: str = "b"


class Numbers(RootModel[list[int]]):
    pass


class Box(BaseModel, Generic[T]):
    content: T


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int


class Shut(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: int


class Empty(BaseModel):
    pass


class Area(BaseModel):
    side: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def area(self) -> int:
        return self.side**2


class Extra(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"a": 1}], "x-order": 3})
    a: Annotated[int, Field(json_schema_extra={"x-unit": "m", "default": 3})] = 3


class Described(BaseModel):
    """A model in a field."""

    colour: Colour = Field(description="what it looks like")
    inner: Inner = Field(description="what is in it")
    tree: Tree = Field(description="what grows")


class Aliases(BaseModel):
    name: str = Field(alias="theName")
    odd: int = Field(validation_alias="odd name-ü", serialization_alias="odd name-ü")


class Defaults(BaseModel):
    a: int = 3
    b: str | None = None
    c: list[int] = Field(default_factory=list)
    d: Colour = Colour.RED


class Sloppy(BaseModel):
    a: int = None  # type: ignore[assignment]


class Later(BaseModel):
    at: uuid.UUID = Field(default_factory=uuid.uuid4)


NOW = datetime.datetime(2026, 1, 31, 12, 0, 0, 5)
# A type, some of its values as JSON, and the strict dialects that can say all of them.
BOTH = ("openai", "closed")
TYPES: dict[str, tuple[Any, list[Any], tuple[str, ...]]] = {
    "map": (dict[str, int], [{}, {"a": 1}], ()),
    "map of numbers": (dict[int, Inner], [{"1": {"x": 1}}], ()),
    "map of an enumeration": (dict[Size, int], [{"1": 1}], ()),
    "map of patterns": (dict[Annotated[str, Field(pattern="^a")], int], [{"a1": 1}], ()),
    "descriptions": (Described, [{"colour": 1, "inner": {"x": 1}, "tree": {"name": "t", "children": []}}], ("openai",)),
    "discriminated": (
        Annotated[Cat | Dog, Field(discriminator="kind")],
        [{"kind": "cat", "lives": 9}, {"kind": "dog", "name": "n"}],
        BOTH,
    ),
    "union": (list[Cat | Dog | int], [[{"kind": "dog", "name": "n"}, 3]], BOTH),
    "url": (HttpUrl, ["https://example.org/"], BOTH),
    "path": (Path, ["/tmp/x"], BOTH),
    "bytes": (bytes, ["abc"], BOTH),
    "secret": (SecretStr, ["abc"], BOTH),
    "tuple": (tuple[int, str], [[1, "a"]], BOTH),
    "tuple of tuples": (tuple[tuple[int, int], tuple[str, ...]], [[[1, 2], ["a"]]], BOTH),
    "empty tuple": (tuple[()], [[]], BOTH),
    "named tuple": (Pair, [[1, "b"], [1]], BOTH),
    "any": (Any, [None, 1, "a", [], {}, {"a": [1]}], ()),
    "list of anything": (list[Any], [[None, 1, "a", [], {}]], ()),
    "bare list": (list, [[1, "a", {}]], ()),
    "bare dict": (dict, [{"a": {}}], ()),
    "json": (Json[list[int]], ["[1, 2]"], BOTH),
    "decimal": (decimal.Decimal, ["1.50", "-3", 2.5], BOTH),
    "recursive": (Tree, [{"name": "a", "children": [{"name": "b", "children": []}]}], ("openai",)),
    "chain": (Chain, [{"next": {"next": None}}], ("openai",)),
    "optional": (int | None, [1, None], BOTH),
    "defaults": (Defaults, [{"a": 1, "b": None, "c": [], "d": "red"}, {"a": 1, "b": "x", "c": [1], "d": 1}], BOTH),
    "a default that is no value": (Sloppy, [{}, {"a": 1}], ()),
    "a default that differs": (Later, [{"at": str(uuid.uuid4())}], ()),
    "pattern": (Annotated[str, Field(pattern=r"^\d{3}-[a-z]+\.(?:x|y)$")], ["123-abc.y"], BOTH),
    "pattern with look-around": (Annotated[str, Field(pattern=r"^(a|b)c$")], ["ac"], BOTH),
    "enumeration": (Colour, ["red", 1], BOTH),
    "numbers": (Size, [1, 2], BOTH),
    "literals": (Literal["a", 1, True, None], ["a", 1, True, None], BOTH),
    "one literal": (Literal[True], [True], BOTH),
    "set": (set[int], [[1, 2]], BOTH),
    "times": (
        tuple[datetime.datetime, datetime.time, datetime.timedelta, datetime.date],
        [to_jsonable_python([NOW, NOW.time(), -datetime.timedelta(days=1, microseconds=5), NOW.date()])],
        BOTH,
    ),
    "naive time": (NaiveDatetime, [to_jsonable_python(NOW)], BOTH),
    "uuid": (uuid.UUID, ["12345678-1234-1234-1234-123456789012"], BOTH),
    "bounds": (Annotated[int, Field(gt=0, le=10, multiple_of=5)], [5, 10], BOTH),
    "bounds of numbers": (Annotated[float, Field(gt=0.5, lt=1)], [0.75], BOTH),
    "large bounds": (Annotated[int, Field(ge=-(10**18), le=10**18)], [10**18], BOTH),
    "lengths": (Annotated[list[Annotated[str, Field(max_length=5000)]], Field(min_length=1)], [["a"]], BOTH),
    "typed dict": (Movie, [{"title": "t"}, {"title": "t", "year": 1}], ()),
    "dataclass": (Point, [{"x": 1.5, "tags": []}], BOTH),
    "root": (Numbers, [[1, 2]], BOTH),
    "generic": (Box[Box[int]], [{"content": {"content": 1}}], BOTH),
    "generics of like names": (tuple[Box[int], Box[str]], [[{"content": 1}, {"content": "a"}]], BOTH),
    "aliases": (Aliases, [{"theName": "n", "odd name-ü": 1}], BOTH),
    "open": (Open, [{"a": 1, "b": [2]}], ()),
    "shut": (Shut, [{"a": 1}], BOTH),
    "empty": (Empty, [{}], BOTH),
    "none": (None.__class__, [None], BOTH),
    "bool": (bool, [True, False], BOTH),
    "computed": (Area, [{"side": 1}], BOTH),
    "extra": (Extra, [{"a": 1}], BOTH),
    "object": (object, [1, {}], ()),
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", TYPES)
def test_each_value_of_a_type_may_be_written(name: str, dialect: SchemaDialect) -> None:
    kind, values, strict_in = TYPES[name]
    output = OutputType(create_model("Answer", value=(kind, ...)))
    sent = sent_schema(output.json_schema, dialect)
    Draft202012Validator.check_schema(sent.schema)
    for value in values:
        # Pydantic's schema for the names of properties asks for numbers.
        assert name == "map of an enumeration" or Draft202012Validator(output.json_schema).is_valid({"value": value})
        Draft202012Validator(sent.schema).validate({"value": value})
    if sent.strict:
        assert not broken_rules(sent.schema, dialect)
    if dialect in BOTH:
        assert sent.strict is (dialect in strict_in)
    elif dialect != "json_schema":
        assert sent.strict


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", TYPES)
def test_the_type_itself_is_an_answer(name: str, dialect: SchemaDialect) -> None:
    """Not in a field of a model: recursive models refer to themselves at the root."""
    output = OutputType(TYPES[name][0])
    sent = sent_schema(output.json_schema, dialect)
    assert sent.schema["type"] == "object"
    assert not sent.strict or not broken_rules(sent.schema, dialect)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "schema",
    [
        plan_schema(1, 4),
        plan_schema(2, 40, ["solver", "critic"], samples=5, tools=["search", "look"]),
        _VERDICT.json_schema,
        _choice_type(["1", "2"]).json_schema,
    ],
)
def test_the_schemas_of_the_library_are_strict_everywhere(schema: dict[str, Any], dialect: SchemaDialect) -> None:
    sent = sent_schema(schema, dialect)
    assert (sent.strict, broken_rules(sent.schema, dialect)) == (dialect != "json_schema" or sent.strict, [])


def test_what_cannot_be_said_strictly_is_sent_as_it_is() -> None:
    schema = OutputType(dict[str, int]).json_schema
    sent = sent_schema(schema, "openai")
    assert (sent.schema, sent.strict, sent.looser) == (schema, False, False)


def test_what_is_left_out_is_told_to_the_model() -> None:
    class Person(BaseModel):
        name: str = Field("nobody", max_length=9, description="the name")
        site: HttpUrl

    sent = sent_schema(OutputType(Person).json_schema, "openai")
    assert sent.looser
    assert sent.schema == {
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "the name (maxLength: 9) (default: nobody)"},
            "site": {"type": "string", "description": "(format: uri, maxLength: 2083, minLength: 1)"},
        },
        "required": ["name", "site"],
        "additionalProperties": False,
    }


def properties(sent: SentSchema) -> Any:
    return sent.schema["properties"]


def test_the_bounds_of_integers_are_kept_exactly() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "exclusiveMinimum": 1.5, "maximum": 9.5}}}
    for dialect in ("openai", "gemini", "llama_cpp"):
        sent = sent_schema({**schema, "required": ["n"]}, dialect)  # type: ignore[dict-item]
        assert properties(sent)["n"] == {"type": "integer", "minimum": 2, "maximum": 9}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_open_bound_of_other_numbers_is_kept_or_told(dialect: SchemaDialect) -> None:
    class Share(BaseModel):
        part: float = Field(gt=0, lt=1)

    sent = sent_schema(OutputType(Share).json_schema, dialect)
    part = properties(sent)["part"]
    if dialect in ("openai", "json_schema"):
        assert (part["exclusiveMinimum"], part["exclusiveMaximum"], sent.looser) == (0, 1, False)
    else:
        told = {"type": "number", "description": "(exclusiveMaximum: 1, exclusiveMinimum: 0)"}
        assert (part, sent.looser) == (told, True)


def test_a_format_that_only_a_reader_knows_is_told_and_nothing_is_looser() -> None:
    class Meeting(BaseModel):
        on: datetime.date
        at: datetime.datetime

    dialects: tuple[SchemaDialect, ...] = ("openai", "llama_cpp", "json_schema")
    for dialect in dialects:
        sent = sent_schema(OutputType(Meeting).json_schema, dialect)
        on, at = properties(sent)["on"], properties(sent)["at"]
        assert (on["format"], "format" in at, sent.looser) == ("date", False, False)
        assert "(format: date-time)" in at["description"]


def test_arguments_of_tools_may_be_left_out() -> None:
    def look(what: str, limit: int = 5) -> str:
        """Look."""
        return what

    parameters = Tool(look).parameters
    answers = [sent_schema(parameters, dialect, optional=True) for dialect in DIALECTS]
    assert all(Draft202012Validator(each.schema).is_valid({"what": "x"}) for each in answers)
    assert sent_schema(parameters, "openai").strict


def test_a_recursive_property_is_optional_for_gemini() -> None:
    sent = sent_schema(OutputType(Chain).json_schema, "gemini")
    assert sent.looser
    assert not broken_rules(sent.schema, "gemini")


def test_definitions_whose_names_are_alike_to_a_grammar_stay_apart() -> None:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/A_B"}, "b": {"$ref": "#/$defs/A__B"}, "c": {"$ref": "#/$defs/A~1B%2D"}},
        "required": ["a", "b", "c"],
        "$defs": {"A_B": {"type": "integer"}, "A__B": {"type": "string"}, "A/B-": {"type": "null"}},
    }
    sent = sent_schema(schema, "llama_cpp")
    assert list(sent.schema["$defs"]) == ["A_B", "A_B_2", "A_1B"]  # type: ignore[arg-type]
    Draft202012Validator(sent.schema).validate({"a": 1, "b": "x", "c": None})


def test_definitions_that_grow_without_bounds_are_not_inlined() -> None:
    properties = {"a": {"$ref": "#/$defs/n%d"}, "b": {"$ref": "#/$defs/n%d"}}
    text = str({"type": "object", "properties": properties}).replace("'", '"')
    definitions = {f"n{number}": from_json(text.replace("%d", str(number + 1))) for number in range(40)}
    schema: Any = {**from_json(text.replace("%d", "0")), "$defs": {**definitions, "n40": {"type": "integer"}}}
    assert len(str(sent_schema(schema, "gemini").schema)) < 1_000_000
    assert sent_schema(schema, "openai").strict is False


def test_schemas_that_are_too_large_are_not_strict() -> None:
    def schema(names: int, values: int = 2, depth: int = 1) -> dict[str, Any]:
        found: dict[str, Any] = {"type": "string", "enum": [f"v{number}" for number in range(values)]}
        for level in range(depth):
            properties = {f"f{number}": found for number in range(1 if level else names)}
            found = {"type": "object", "properties": properties, "required": list(properties)}
        return found

    sizes = {
        "small": schema(3, depth=10),
        "names": schema(5001, 1),
        "values": schema(1, 1001),
        "deep": schema(1, depth=11),
    }
    assert [name for name, each in sizes.items() if sent_schema(each, "openai").strict] == ["small"]


MCP: dict[str, Any] = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "definitions": {"Id": {"type": ["string", "integer"], "minLength": 1}},
    "allOf": [
        {"properties": {"id": {"$ref": "#/definitions/Id", "description": "which"}}, "required": ["id"]},
        {"type": "object", "properties": {"tags": {"type": "array", "items": [{"type": "string"}]}}},
    ],
    "if": {"properties": {"id": {"const": 1}}},
    "properties": {"old": {"type": "string", "nullable": True}, "copy": {"$ref": "#/allOf/0/properties/id"}},
    "additionalProperties": False,
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_schemas_as_other_servers_write_them(dialect: SchemaDialect) -> None:
    sent = sent_schema(MCP, dialect, optional=True)
    value = {"id": 7, "tags": ["a"], "copy": "x"}
    assert dialect == "json_schema" or Draft202012Validator(sent.schema).is_valid(value)
    assert not sent.strict or not broken_rules(sent.schema, dialect)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_union_at_the_root(dialect: SchemaDialect) -> None:
    schema = Box[Cat | Dog].model_json_schema()
    union = {"anyOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}], "$defs": schema["$defs"]}
    sent = sent_schema(union, dialect)
    if dialect in ("openai", "closed", "gemini"):
        assert sent.schema["type"] == "object"
        assert "anyOf" not in sent.schema
    for value in ({"kind": "cat", "lives": 1}, {"kind": "dog", "name": "x"}):
        Draft202012Validator(sent.schema).validate(value)


@pytest.mark.parametrize(("own", "said"), [({}, "inner"), ({"description": "outer"}, "outer")])
def test_a_definition_at_the_root_keeps_its_description(own: dict[str, Any], said: str) -> None:
    inner: Any = {"type": "object", "properties": {}, "description": "inner"}
    assert sent_schema({"$ref": "#/$defs/A", "$defs": {"A": inner}, **own}, "openai").schema["description"] == said


def test_a_list_of_types_is_a_union() -> None:
    schema: Any = {"type": "object", "properties": {"a": {"type": ["string", 5, "null"]}}, "required": ["a"]}
    sent: Any = sent_schema(schema, "openai").schema
    assert sent["properties"]["a"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}


@pytest.mark.parametrize(
    ("pattern", "sent"),
    [
        ("^[a-c]$", "^[a-c]$"),
        (r"^[\^]$", r"^(\^)$"),
        (r"^[\^-]$", r"^(\^|-)$"),
        ("^[-x]$", "^[x-]$"),
        (r"^[\d_^-]$", "^[0-9_^-]$"),
        (r"^\.a$", r"^(\.)a$"),
        ("^[a$", None),
        ("^[[a]$", None),
    ],
)
def test_classes_in_a_grammar(pattern: str, sent: str | None) -> None:
    assert in_grammar(pattern) == sent


@pytest.mark.parametrize(
    ("values", "rest"),
    [(int, {"type": "integer"}), (Any, True), (list[int], {"type": "array", "items": {"type": "integer"}})],
)
def test_what_else_an_object_may_have(values: Any, rest: Any) -> None:
    schema = OutputType(create_model("Answer", value=(dict[str, values], ...))).json_schema
    sent: Any = sent_schema(schema, "llama_cpp").schema
    assert sent["properties"]["value"]["additionalProperties"] == rest


@pytest.mark.parametrize("dialect", ["gemini", "llama_cpp"])
def test_a_tuple_is_open_unless_it_says_otherwise(dialect: SchemaDialect) -> None:
    def sent(**more: Any) -> Any:
        array = {"type": "array", "prefixItems": [{"type": "integer"}], **more}
        schema: Any = {"type": "object", "properties": {"a": array}, "required": ["a"]}
        whole: Any = sent_schema(schema, dialect).schema
        return whole["properties"]["a"]

    assert sent(items=False) == {"type": "array", "items": {"type": "integer"}, "maxItems": 1}
    for more in ({}, {"items": True}):
        assert Draft202012Validator(sent(**more)).is_valid([1, "more"])


@pytest.mark.parametrize("rest", [True, False])
def test_names_that_a_grammar_cannot_say_beside_others(rest: bool) -> None:
    schema: Any = {"type": "object", "properties": {"ü": {"type": "null"}}, "required": ["ü"]}
    sent = sent_schema({**schema, "additionalProperties": rest}, "llama_cpp")
    assert sent.schema == ({"type": "object"} if rest else {**schema, "additionalProperties": False})
    assert sent.looser is rest


@pytest.mark.parametrize(
    ("more", "closed"),
    [
        ({}, True),
        ({"required": ["a"]}, False),
        ({"required": []}, False),
        ({"additionalProperties": True}, False),
        ({"properties": {"a": {"type": "object"}, "b": {}}}, False),
    ],
)
def test_a_closed_object_has_all_its_properties_and_no_others(more: dict[str, Any], closed: bool) -> None:
    properties = {"a": {"type": "string"}, "b": {"type": "array", "items": {"type": "integer"}}}
    schema = {"type": "object", "properties": properties, "required": ["a", "b"], "additionalProperties": False}
    assert is_closed(schema | more) is closed
