"""The forms in which models write calls of tools as text, whole and in a stream that is cut at whatever place."""

# ruff: noqa: E501 -- tables of what models write

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contemplate import Message
from contemplate.models import Delta, ModelRequest, ModelResponse, ToolSpec
from contemplate.models.openai.answer_text import AnswerText
from contemplate.models.openai.response import ResponseCollector
from contemplate.models.openai.responses import ResponsesCollector

PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "x": {"type": "integer"},
        "city": {"type": "string"},
        "days": {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}]},
        "unit": {"$ref": "#/$defs/Unit"},
        "sure": {"type": "boolean"},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "any": {},
    },
    "$defs": {"Unit": {"enum": ["1", "2"], "type": "string"}},
}
TOOLS = tuple(ToolSpec(name, "", PARAMETERS) for name in ("add", "now", "get_weather"))
ASKED = ModelRequest((Message.user("hello"),), tools=TOOLS)
DSML = "\uff5cDSML\uff5c"
X, CALL = '{"x": 1}', '{"name": "add", "arguments": {"x": 1}}'
LLAMA = '{"name": "add", "parameters": {"x": 1}}'
ADD: tuple[str, Any] = ("add", {"x": 1})
NOW: tuple[str, Any] = ("now", {})


def deepseek(said: str) -> str:
    """What `said` is with DeepSeek's own letters."""
    return (
        said.replace("<|tool", "<\uff5ctool")
        .replace("_begin|>", "\u2581begin\uff5c>")
        .replace("_end|>", "\u2581end\uff5c>")
        .replace("_sep|>", "\u2581sep\uff5c>")
        .replace("tool_call", "tool\u2581call")
        .replace("tool_sep", "tool\u2581sep")
    )


V3 = f"<|tool_call_begin|>function<|tool_sep|>add\n```json\n{X}\n```<|tool_call_end|>"
V31 = f"<|tool_call_begin|>add<|tool_sep|>{X}<|tool_call_end|>"
KIMI = f"<|tool_call_begin|>functions.add:0<|tool_call_argument_begin|>{X}<|tool_call_end|>"
CODER = "<function=add>\n<parameter=x>\n1\n</parameter>\n</function>"
INVOKE = '<invoke name="add">\n<parameter name="x">1</parameter>\n</invoke>'
HARMONY = f"<|start|>assistant<|channel|>commentary to=functions.add <|constrain|>json<|message|>{X}"

FORMS: dict[str, tuple[str, list[tuple[str, Any]]]] = {
    "Hermes": (f"<tool_call>\n{CALL}\n</tool_call>", [ADD]),
    "Hermes, two lines in one": (f"<tool_call>\n{CALL}\n{CALL}\n</tool_call>", [ADD, ADD]),
    "Hermes, its own tag in a text": ('<tool_call>{"name": "add", "arguments": {"city": "</tool_call> \\" {"}}</tool_call>', [("add", {"city": '</tool_call> " {'})]),
    "a list in a tag": (f"<tool_calls>[{CALL}, {LLAMA}]</tool_calls>", [ADD, ADD]),
    "Nemotron": (f"<TOOLCALL>[{CALL}]</TOOLCALL>", [ADD]),
    "Granite": (f"<|tool_call|>[{CALL}]", [ADD]),
    "Command": ('<|START_ACTION|>[{"tool_call_id": "0", "tool_name": "add", "parameters": {"x": 1}}]<|END_ACTION|>', [ADD]),
    "InternLM": (f"<|action_start|><|plugin|>\n{LLAMA}<|action_end|>", [ADD]),
    "a function within": ('<function_call>{"type": "function", "function": {"name": "add", "arguments": "{\\"x\\": 1}"}}</function_call>', [ADD]),
    "Mistral": (f"[TOOL_CALLS] [{CALL}]", [ADD]),
    "Mistral, end of turn": (f"[TOOL_CALLS][{CALL}, {CALL}]</s>", [ADD, ADD]),
    "Mistral v11": (f"[TOOL_CALLS]add{X}[TOOL_CALLS]now{{}}", [ADD, NOW]),
    "Mistral v13": (f"[TOOL_CALLS]add[CALL_ID]a1B2c3D4e[ARGS]{X}", [ADD]),
    "Llama": (f"<|python_tag|>{LLAMA}<|eom_id|>", [ADD]),
    "Llama, two": (f"<|python_tag|>{LLAMA}; {LLAMA}", [ADD, ADD]),
    "Llama 3.2": ('<|python_tag|>{"type": "function", "function": "add", "parameters": {"x": 1}}', [ADD]),
    "Llama, without a mark": (f"{LLAMA}", [ADD]),
    "Llama, without a mark, two": (f"{LLAMA};{CALL}<|eot_id|>", [ADD, ADD]),
    "Llama 3.2, without a mark": ('{"type": "function", "function": "add", "parameters": {"x": 1}}', [ADD]),
    "Llama 3.1, without a mark": ('{"type": "function", "name": "add", "parameters": {"x": 1}}', [ADD]),
    "Llama 4": ("[add(x=1), now()]", [ADD, NOW]),
    "Llama 4, spaces": (f"[ add( x = 1 ), {chr(10)} now() ]<|eot_id|>", [ADD, NOW]),
    "Llama 4, with its marks": ("<|python_start|>[add(x=1)]<|python_end|>", [ADD]),
    "Llama 4, values": ("""[add(city='It\\'s "[1)"', days=[1, -2], sure=True, note=None, any={'a': "b=c(1)", "d": 1.5})]""", [("add", {"city": 'It\'s "[1)"', "days": [1, -2], "sure": True, "note": None, "any": {"a": "b=c(1)", "d": 1.5}})]),
    "LFM2": ("<|tool_call_start|>[add(x=1)]<|tool_call_end|>", [ADD]),
    "a list without a mark": (f"[{CALL}, {LLAMA}]", [ADD, ADD]),
    "gpt-oss, marks not shown": (f"commentary to=functions.add json{X}", [ADD]),
    "gpt-oss, nearly no marks": (f"commentary to=functions.add <|constrain|>json<|message|>{X}<|call|>", [ADD]),
    "Llama, custom": (f"<function=add>{X}</function>", [ADD]),
    "DeepSeek V3": (deepseek(f"<|tool_calls_begin|>{V3}\n{V3}<|tool_calls_end|>"), [ADD, ADD]),
    "DeepSeek V3, other letters": (f"<|tool_calls_begin|>{V3}<|tool_calls_end|>", [ADD]),
    "DeepSeek V3.1": (deepseek(f"<|tool_calls_begin|>{V31}{V31}<|tool_calls_end|>") + "<\uff5cend\u2581of\u2581sentence\uff5c>", [ADD, ADD]),
    "DeepSeek V3.2": (f'<{DSML}function_calls>\n<{DSML}invoke name="add">\n<{DSML}parameter name="x" string="false">1</{DSML}parameter>\n</{DSML}invoke>\n</{DSML}function_calls>', [ADD]),
    "Kimi": (f"<|tool_calls_section_begin|>{KIMI}{KIMI}<|tool_calls_section_end|>", [ADD, ADD]),
    "gpt-oss": (f"{HARMONY}<|call|>", [ADD]),
    "gpt-oss, two": (f"{HARMONY}<|call|>{HARMONY}", [ADD, ADD]),
    "gpt-oss, code": (HARMONY.replace("<|constrain|>json", "code"), [ADD]),
    "Qwen3-Coder": (f"<tool_call>\n{CODER}\n</tool_call>", [ADD]),
    "Qwen3-Coder, two": (f"<tool_call>\n{CODER}\n</tool_call>\n<tool_call>\n{CODER}\n</tool_call>", [ADD, ADD]),
    "Qwen3-Coder, without the first tag": (f"{CODER}\n</tool_call>", [ADD]),
    "Qwen3-Coder, nothing said": ("<tool_call>\n<function=now>\n</function>\n</tool_call>", [NOW]),
    "Qwen3-Coder, an unclosed parameter": ("<function=add>\n<parameter=city>\na\n<parameter=x>\n1\n</function>", [("add", {"city": "a", "x": 1})]),
    "Seed": (f"<seed:tool_call>\n{CODER}\n</seed:tool_call>", [ADD]),
    "MiniMax": (f"<minimax:tool_call>\n{INVOKE}\n{INVOKE}\n</minimax:tool_call>", [ADD, ADD]),
    "Claude": (f"<function_calls>\n{INVOKE}\n</function_calls>", [ADD]),
    "GLM": ("<tool_call>add\n<arg_key>x</arg_key>\n<arg_value>1</arg_value>\n<arg_key>city</arg_key>\n<arg_value>Rome</arg_value>\n</tool_call>", [("add", {"x": 1, "city": "Rome"})]),
    "GLM, nothing said": ("<tool_call>now</tool_call>", [NOW]),
}  # fmt: skip
# What is a call only if it is all of the answer.
BARE = {name for name, (said, _) in FORMS.items() if said.startswith(("{", "[{", "[add", "[ add", "commentary"))}
# What may stand right after a sentence.
SINGLE = [
    said
    for name, (said, _) in FORMS.items()
    if name.startswith(("Mistral", "Llama,", "Llama 4", "LFM2", "DeepSeek", "Kimi"))
    and name not in BARE
    and said[0] in "<["
    and "function=" not in said
]


def chunk(delta: Any, finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def pieces_of(said: str, places: Sequence[int]) -> list[str]:
    ends = [0, *sorted(place % (len(said) + 1) for place in places), len(said)]
    return [said[start:end] for start, end in pairwise(ends)]


def heard(deltas: Sequence[Delta]) -> str:
    starts = [place for place, delta in enumerate(deltas) if delta.restart]
    return "".join(delta.text for delta in deltas[starts[-1] if starts else 0 :])


def chat(pieces: Sequence[str], request: ModelRequest = ASKED) -> ModelResponse:
    collector = ResponseCollector(request, model="m", provider="host")
    deltas = [delta for piece in pieces for delta in collector.add_value(chunk({"content": piece}))]
    deltas += [*collector.add_value(chunk({}, "stop")), *collector.end(done=True)]
    response = collector.response()
    assert heard(deltas) == response.message.text
    return response


def responses(pieces: Sequence[str], request: ModelRequest = ASKED) -> ModelResponse:
    collector = ResponsesCollector(request, model="m", provider="host")
    events: list[Any] = [{"type": "response.output_text.delta", "delta": piece} for piece in pieces]
    events.append({"type": "response.completed", "response": as_response("".join(pieces))})
    deltas = [delta for event in events for delta in collector.add_value(event)]
    deltas += collector.end(done=True)
    response = collector.response()
    assert heard(deltas) == response.message.text
    return response


def as_response(said: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": said}]
    return {"status": "completed", "output": [{"type": "message", "role": "assistant", "content": content}]}


def everywhere(said: str) -> list[ModelResponse]:
    """What is read of an answer: in both APIs, in one piece, in single letters, and in pieces of seven."""
    cuts = [[], range(len(said)), range(0, len(said), 7)]
    return [read(pieces_of(said, places)) for read in (chat, responses) for places in cuts]


def calls_of(response: ModelResponse) -> list[tuple[str, Any]]:
    return [(each.name, json.loads(each.arguments)) for each in response.message.tool_calls]


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("before", ["", "<think>\nhm\n</think>\n", "I look.\n\n"])
def test_each_form(name: str, before: str) -> None:
    said, calls = FORMS[name]
    if before.startswith("I") and name in BARE:
        return
    for response in everywhere(before + said):
        assert calls_of(response) == calls
        assert response.message.text == (before if before.startswith("I") else "")
        assert response.finish == "tool_calls"
        assert len({each.id for each in response.message.tool_calls}) == len(calls)


@pytest.mark.parametrize("said", SINGLE)
def test_marks_that_are_single_tokens_follow_a_sentence(said: str) -> None:
    for response in everywhere(f"I look it up.{said}"):
        assert (response.message.text, len(response.message.tool_calls) > 0) == ("I look it up.", True)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize(
    "around",
    [
        "The form is {}",
        "`{}`",
        "Write '{}'",
        "Such as:\n```\n{}\n```\n",
        "```xml\n{}",
        "{} is how a tool is called.",
        "{}\nSo it goes.",
        "It writes {} and stops.",
    ],
)
def test_what_is_only_mentioned_stays(name: str, around: str) -> None:
    said = around.format(FORMS[name][0])
    for response in everywhere(said):
        assert (response.message.text, response.message.tool_calls) == (said, ())


@pytest.mark.parametrize("name", FORMS)
def test_a_tool_that_there_is_not(name: str) -> None:
    said = FORMS[name][0].replace("add", "rm").replace("now", "rm")
    for response in everywhere(said):
        assert (response.message.text, response.message.tool_calls) == (said, ())


@pytest.mark.parametrize("name", FORMS)
def test_what_is_cut_off_is_a_call_or_text(name: str) -> None:
    said = FORMS[name][0]
    for end in range(1, len(said)):
        response = chat([said[:end]])
        assert response.message.tool_calls or response.message.text == said[:end]
        assert not (response.message.tool_calls and response.message.text)


@pytest.mark.parametrize(
    "said",
    [
        "[TOOL_CALLS] is Mistral's mark.",
        "[1] and [TOOL",
        "[TOOL_CALLS]",
        "[TOOL_CALLS]add",
        "<|python_tag|>add.call(x=1)",
        "<|python_tag|>print(1)",
        "<function=add>",
        "<function=add>\n<parameter=x>\n1",
        "<function=add>some words</function>",
        "<function=add><parameter=x>1</parameter> and more</function>",
        "<invoke name=",
        "<invoke name='add'",
        "<tool_call>add is a tool",
        "<tool_call>\nadd\n",
        '{"name": "add", "arguments": {"x": 1}, "more": [}',
        '{"name": "add", "age": 4}',
        '{"name": "Ada", "parameters": {"x": 1}}',
        '{"name": "add", "arguments": [1]}',
        '{"names": ["add"]}',
        '{"x": "<tool_call>"}',
        "[add(1)]",
        "[add(x=now())]",
        "[add(x=1), 5]",
        "[add(x=\\d)]",
        "[add(x='\\d')]",
        "[add(x=1",
        "[add](https://add.org)",
        "[add] is a tool.",
        "[1, 2, 3]",
        "[add(" * 3000,
        "commentary to=functions.add json{",
        "commentary to=functions.add is what it says",
        "common sense",
        "c",
        "{",
        "{{",
        "\\frac{1}{2}",
        '[{"name": "add"}]',
        "<tool_call>{" + '"a": [' * 30_000,
        "<" * 2000,
        "[TOOL_CALLS]" * 200,
        "<tool_call>" * 200,
        "<function=" * 200,
        "<function=add>" * 200,
    ],
)
def test_no_text_is_lost(said: str) -> None:
    for pieces in ([said], pieces_of(said, range(min(len(said), 700)))):
        for read in (chat, responses):
            response = read(pieces)
            assert (response.message.text, response.message.tool_calls) == (said, ())


def test_values_have_the_types_of_the_parameters() -> None:
    given = {"x": "7", "city": "42", "days": "[1, 2]", "unit": "1", "sure": "True", "note": "null", "any": "5"}
    values = {"x": 7, "city": "42", "days": [1, 2], "unit": "1", "sure": True, "note": None, "any": "5"}
    written = "".join(f"<parameter={name}>\n{value}\n</parameter>\n" for name, value in given.items())
    for response in everywhere(f"<tool_call>\n<function=add>\n{written}</function>\n</tool_call>"):
        assert calls_of(response) == [("add", values)]
    odd = {
        "x": "seven",
        "days": "none",
        "sure": "maybe",
        "any": '{"a": [1]}',
        "else": "[x",
        "city": "a\n\n<b> & </c>\n",
    }
    kept = {"x": "seven", "days": None, "sure": "maybe", "any": {"a": [1]}, "else": "[x", "city": "a\n\n<b> & </c>\n"}
    written = "".join(f"<parameter={name}>\n{value}\n</parameter>\n" for name, value in odd.items())
    for response in everywhere(f"<function=add>\n{written}</function>"):
        assert calls_of(response) == [("add", kept)]


PIECES = sorted({*(said for said, _ in FORMS.values()), "[add(", "x='", ")", "commentary to=functions.", "assistantcommentary to=", "analysisI", "<tool_call>", "</tool_call>", "[TOOL_CALLS]", "<|python_tag|>", "<function=add>", "</function>", X, CALL, "{", "}", "\n", "a", "```", "`", " ", ".", ";", "<", "[", "<think>", "</think>"})  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=6).map("".join), st.lists(st.integers(0, 999), max_size=6))
def test_however_it_is_cut(said: str, places: list[int]) -> None:
    assert chat(pieces_of(said, places)).message == chat([said]).message == chat(list(said)).message
    if "think>" not in said and not said.startswith("analysis"):
        response = chat([said + "\nSo."])
        assert (response.message.text, response.message.tool_calls) == (said + "\nSo.", ())


@pytest.mark.parametrize(
    "form",
    [
        "<function=add>\n<parameter=city>\n{}\n</parameter>\n</function>",
        '[TOOL_CALLS]add{{"city": "{}"}}',
        "[add(city='{}')]",
    ],
)
def test_long_arguments_take_linear_time(form: str) -> None:
    letters = "<a>[" * 30_000
    said = form.format(letters)
    response = chat([said[place : place + 4] for place in range(0, len(said), 4)])
    assert calls_of(response) == [("add", {"city": letters})]


def test_calls_within_thoughts_that_were_taken_for_text_are_none() -> None:
    call = '<tool_call>{"name": "look", "arguments": {}}</tool_call>'
    text = AnswerText({"look": {}})
    whole = f"Shall I? {call} No.</think>It is 4."
    said = [delta for place in range(0, len(whole), 7) for delta in text.add(whole[place : place + 7])]
    assert list(text.end(elsewhere=False)) == []
    assert text.calls == []
    restart = next(place for place, delta in enumerate(said) if delta.restart)
    assert "".join(each.text for each in said[restart:]) == "It is 4."


@pytest.mark.parametrize("said", ["[add(x={})]", "[add(x='{})]", '[add(x="{}")]', "[add({}=1)]"])
@pytest.mark.parametrize("letters", ["a", "a ", "a.", "'", '"', "a=", "a(", " "])
def test_no_word_takes_long(said: str, letters: str) -> None:
    said = said.format(letters * (60_000 // len(letters)))
    began = process_time()
    chat([said])
    # Linear, it takes some hundredths of a second; a second look at each letter would take half a minute.
    assert process_time() - began < 5
