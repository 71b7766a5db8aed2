"""Tools for models that cannot call any: what the model is told, and what is made of its JSON."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contemplate import Contemplator, Message, tool
from contemplate.data import readable
from contemplate.messages import ToolCall
from contemplate.models import Delta, ModelRequest, OutputSchema, PromptedTools, ToolSpec
from contemplate.models.wrappers.prompted_tools import _AnswerOnly
from contemplate.testing import ScriptedModel


def json_values() -> st.SearchStrategy[Any]:
    return st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )


pytestmark = pytest.mark.anyio

ADD = ToolSpec(
    "add", "Adds.", {"type": "object", "properties": {"a": {"$ref": "#/$defs/N"}}, "$defs": {"N": {"type": "integer"}}}
)


async def test_a_call_is_read_from_json_and_not_shown() -> None:
    inner = ScriptedModel('{"tool": "add", "arguments": {"a": 1}}', chunk=3)
    deltas: list[Delta] = []
    response = await PromptedTools(inner).request(ModelRequest((Message.user("q"),), tools=(ADD,)), deltas.append)
    (call,) = response.message.tool_calls
    assert (call.name, json.loads(call.arguments), response.finish) == ("add", {"a": 1}, "tool_calls")
    assert deltas == []


async def test_an_answer_is_unwrapped_as_it_grows() -> None:
    said = 'Four, "of course".\nNaïve?'
    inner = ScriptedModel(json.dumps({"answer": said}), chunk=3)
    deltas: list[Delta] = []
    response = await PromptedTools(inner).request(ModelRequest((Message.user("q"),), tools=(ADD,)), deltas.append)
    assert response.message.text == said
    assert "".join(delta.text for delta in deltas) == said
    assert len(deltas) > 3


async def test_the_schema_offers_each_tool_and_an_answer() -> None:
    inner = ScriptedModel('{"answer": "x"}')
    await PromptedTools(inner).request(ModelRequest((Message.system("rules"), Message.user("q")), tools=(ADD,)))
    (asked,) = inner.requests
    assert asked.tools == ()
    assert asked.output_schema is not None
    assert asked.output_schema.schema["$defs"] == {"N": {"type": "integer"}}
    turns = asked.output_schema.schema["anyOf"]
    assert isinstance(turns, list)
    assert [sorted(each["properties"]) for each in turns] == [["arguments", "tool"], ["answer"]]  # type: ignore[index, arg-type, call-overload]
    assert asked.messages[0].text.startswith("rules\n\n")
    assert "- add: Adds." in asked.messages[0].text


@pytest.mark.parametrize(("choice", "turns"), [("required", 1), ("auto", 2)])
async def test_a_required_tool_leaves_no_other_way(choice: str, turns: int) -> None:
    inner = ScriptedModel('{"tool": "add", "arguments": {}}')
    await PromptedTools(inner).request(ModelRequest((Message.user("q"),), tools=(ADD,), tool_choice=choice))  # type: ignore[arg-type]
    assert inner.requests[0].output_schema is not None
    assert len(inner.requests[0].output_schema.schema["anyOf"]) == turns  # type: ignore[arg-type]


async def test_without_tools_nothing_is_changed() -> None:
    inner = ScriptedModel("plain")
    request = ModelRequest((Message.user("q"),), output_schema=OutputSchema("x", {"type": "object"}))
    await PromptedTools(inner).request(request)
    assert inner.requests == [request]


async def test_earlier_calls_are_told_in_words() -> None:
    inner = ScriptedModel("plain")
    messages = (
        Message.user("q"),
        Message.assistant("", (ToolCall(id="c1", name="add", arguments='{"a": 1}'),)),
        Message.tool("c1", "5"),
    )
    await PromptedTools(inner).request(ModelRequest(messages, tools=(ADD,), tool_choice="none"))
    said = inner.requests[0].messages
    assert [each.role for each in said] == ["user", "assistant", "user"]
    assert json.loads(said[1].text) == {"tool": "add", "arguments": {"a": 1}}
    assert re.search(r"<<result of add (\w+)>>\n5\n<<end \1>>", said[2].text)


async def test_what_follows_no_schema_is_the_answer() -> None:
    response = await PromptedTools(ScriptedModel("well, 4")).request(ModelRequest((Message.user("q"),), tools=(ADD,)))
    assert response.message.text == "well, 4"


async def test_within_an_agent() -> None:
    @tool
    def double(n: int) -> int:
        """Double a number."""
        return 2 * n

    inner = ScriptedModel(['{"tool": "double", "arguments": {"n": 21}}', '{"answer": "It is 42."}'])
    result = await Contemplator(PromptedTools(inner), mode="instant", tools=[double]).run("Twice 21?")
    assert result.output == "It is 42."


any_text = st.text(st.characters(exclude_categories=()))


@settings(max_examples=50)
@given(
    answer=any_text,
    before=st.dictionaries(any_text.filter(lambda name: name not in ("answer", "tool", "arguments")), json_values()),
    ascii_only=st.booleans(),
    cuts=st.lists(st.integers(1, 9), min_size=1),
)
def test_the_answer_is_read_from_any_pieces(
    answer: str, before: dict[str, Any], ascii_only: bool, cuts: list[int]
) -> None:
    text = json.dumps({**before, "answer": answer, "after": {"answer": "no"}}, ensure_ascii=ascii_only)
    heard: list[str] = []
    sink = _AnswerOnly(lambda delta: heard.append(delta.text))
    place = 0
    for size in itertools.cycle(cuts):
        sink(Delta(text[place : place + size]))
        place += size
        if place >= len(text):
            break
    assert readable("".join(heard)) == readable(answer)


@pytest.mark.parametrize(
    "text", ['Words. {"answer": "x"}', '[{"answer": "x"}]', '{"tool": "answer", "arguments": {"answer": "x"}}', "x"]
)
def test_nothing_else_is_taken_for_the_answer(text: str) -> None:
    heard: list[Delta] = []
    sink = _AnswerOnly(heard.append)
    for letter in text:
        sink(Delta(letter))
    assert not heard


def test_a_long_answer_is_read_in_linear_time() -> None:
    """Read again at each piece, it took hours."""
    heard: list[str] = []
    sink = _AnswerOnly(lambda delta: heard.append(delta.text))
    sink(Delta('{"answer": "'))
    for _ in range(100_000):
        sink(Delta("word "))
    assert len("".join(heard)) == 500_000
