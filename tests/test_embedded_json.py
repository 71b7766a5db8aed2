"""Texts that hold the JSON of a list or an object, where a tool's schema wants a list or an object."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from contemplate.errors import ToolServerError
from contemplate.tools.embedded_json import unwrapped
from contemplate.tools.mcp.connection import McpConnection


class Point(BaseModel):
    x: int
    tags: list[str] = []
    next: Point | None = None


class Given(BaseModel):
    xs: list[int]
    maybe: list[int] | None = None
    text: str = ""
    either: str | list[int] = ""
    where: Point
    points: list[Point] = []
    named: dict[str, list[int]] = {}


SCHEMA = Given.model_json_schema()


def mended(**arguments: Any) -> dict[str, Any]:
    found: dict[str, Any] = unwrapped(arguments, SCHEMA, SCHEMA)
    return found


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [
        ({"xs": "[1]"}, {"xs": [1]}),
        ({"xs": " [1, 2] "}, {"xs": [1, 2]}),
        ({"maybe": "[1]"}, {"maybe": [1]}),
        ({"where": '{"x": 1, "tags": "[\\"a\\"]"}'}, {"where": {"x": 1, "tags": ["a"]}}),
        ({"where": {"x": 1, "next": '{"x": 2, "tags": "[]"}'}}, {"where": {"x": 1, "next": {"x": 2, "tags": []}}}),
        ({"points": '["{\\"x\\": 1}", {"x": 2}]'}, {"points": [{"x": 1}, {"x": 2}]}),
        ({"named": {"a": "[1]"}}, {"named": {"a": [1]}}),
    ],
)
def test_what_is_wanted_as_a_list_or_an_object_is_one(given_: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert mended(**given_) == wanted


@pytest.mark.parametrize(
    "arguments",
    [
        {"text": "[1]"},
        {"either": "[1]"},
        {"unknown": "[1]"},
        {"xs": "[1"},
        {"xs": '{"a": 1}'},
        {"where": "[1]"},
        {"xs": "1"},
        {"where": {"tags": ["[1]"]}},
    ],
)
def test_all_else_is_left_as_it_is(arguments: dict[str, Any]) -> None:
    assert mended(**arguments) == arguments


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(json_values, json_values)
def test_no_schema_breaks_it(value: Any, schema: Any) -> None:
    root = {"$defs": {"a": {"$ref": "#/$defs/a"}}, "properties": {"a": {"$ref": "#/$defs/a"}, "b": schema}}
    unwrapped({"a": value, "b": value}, root, root)
    unwrapped(value, {"type": schema, "items": schema, "properties": schema, "anyOf": schema, "$ref": schema}, {})


class Client:
    def __init__(self) -> None:
        self.given: list[dict[str, Any]] = []

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> Any:
        from mcp_types import CallToolResult, TextContent

        self.given.append(arguments)
        return CallToolResult(content=[TextContent(type="text", text="ok")])


@pytest.mark.anyio
async def test_a_servers_tool_is_given_what_its_schema_wants() -> None:
    from mcp_types import Tool

    client: Any = Client()
    tools = {"add": Tool(name="add", input_schema=SCHEMA)}
    connection = McpConnection("s", client, tools, 5.0, str, lambda: ToolServerError("gone"))
    assert await connection.call("add", json.dumps({"xs": "[1, 2]", "text": "[1]"})) == "ok"
    assert client.given == [{"xs": [1, 2], "text": "[1]"}]
