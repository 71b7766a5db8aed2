"""What servers answer, in their many dialects, streamed and whole, cut at whatever place."""

# ruff: noqa: E501 -- tables of what servers send

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contemplate import Contemplator, Message
from contemplate.errors import ModelConnectionError, ModelResponseError, ModelServerError
from contemplate.messages import ProviderData, ToolCall
from contemplate.models import Delta, ModelRequest, ModelResponse, OpenAIModel, OutputSchema, ToolSpec
from contemplate.models.openai import connections
from contemplate.models.openai.completion import BadCompletion, CutOff, GivenUp
from contemplate.models.openai.message_pieces import MessagePieces
from contemplate.models.openai.profile import Profile
from contemplate.models.openai.response import ResponseCollector, whole_response
from contemplate.models.openai.sse import ErrorEvent, EventStream
from contemplate.models.openai.thoughts import Thoughts
from contemplate.testing import FaultyServer
from contemplate.testing.faulty import Exchange, RawBody, RawStream

TOOLS = tuple(ToolSpec(name, "", {"type": "object"}) for name in ("add", "mul", "now", "get_weather"))
ASKED = ModelRequest((Message.user("hello"),), tools=TOOLS)


def chunk(delta: Any = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish}], **more}


def heard(deltas: Sequence[Delta]) -> tuple[str, str]:
    """The text and reasoning that a listener has at the end."""
    text = reasoning = ""
    for delta in deltas:
        if delta.restart:
            text = reasoning = ""
        text, reasoning = text + delta.text, reasoning + delta.reasoning
    return text, reasoning


def streamed(chunks: Sequence[Any], *, done: bool = True, **how: Any) -> ModelResponse:
    """The response of a stream; what was heard of it is the same."""
    collector = ResponseCollector(ASKED, model="m", provider="host", **how)
    deltas = [delta for each in chunks for delta in collector.add(json.dumps(each).encode())]
    deltas += collector.end(done=done)
    response = collector.response()
    assert heard(deltas) == (response.message.text, response.reasoning)
    return response


def whole(message: Any, finish: str | None = "stop", **more: Any) -> ModelResponse:
    body = {"choices": [{"index": 0, "message": message, "finish_reason": finish}], **more}
    return whole_response(json.dumps(body).encode(), ASKED, model="m", provider="host")


def both(message: dict[str, Any], finish: str | None = "stop", **more: Any) -> list[ModelResponse]:
    """The response to a message, whole, in one chunk, and with a chunk for each field."""
    pieces = [chunk({name: value}) for name, value in message.items()]
    return [
        whole(message, finish, **more),
        streamed([chunk(message, finish, **more)]),
        streamed([*pieces, chunk({}, finish), {"choices": [], **more}]),
    ]


class TestEvents:
    def events(self, raw: bytes, places: Sequence[int] = ()) -> list[bytes]:
        ends = [0, *sorted(place % (len(raw) + 1) for place in places), len(raw)]
        stream = EventStream()
        found = [data for start, end in pairwise(ends) for data in stream.feed(raw[start:end])]
        return found + list(stream.flush())

    @settings(max_examples=150, deadline=None)
    @given(
        st.lists(st.sampled_from(["\n", "\r", "\r\n"]), min_size=8, max_size=8),
        st.booleans(),
        st.lists(st.integers(0, 99)),
    )
    def test_all_ends_of_lines_at_all_cuts(self, ends: list[str], mark: bool, places: list[int]) -> None:
        lines = ["data:one", "data: two", "", ": ping", "event: x", "data", "data:  four", ""]
        raw = ("\ufeff" if mark else "") + "".join(map("".join, zip(lines, ends, strict=True)))
        if any(end == "\r" and following == "\n" for end, following in pairwise(ends)):
            return
        assert self.events(raw.encode(), places) == [b"one\ntwo", b"\n four"]

    def test_events_without_a_blank_line_between(self) -> None:
        collector = ResponseCollector(ASKED, model="m")
        raw = STREAM.replace(b"\n\n", b"\n") + b"data: [DONE]\n\n"
        assert heard([delta for data in self.events(raw) for delta in collector.add(data)]) == ("ok", "")
        assert collector.response().finish == "stop"

    def test_errors_are_known_by_their_name(self) -> None:
        first, second = self.events(b"event: error\ndata: x\n\ndata: y\n\n")
        assert (type(first), type(second)) == (ErrorEvent, bytes)

    @pytest.mark.parametrize("word", [b"", b"ping", b'"ping"', b"[DONE] ", b"keep-alive", b": x"])
    def test_words_that_mean_nothing(self, word: bytes) -> None:
        collector = ResponseCollector(ASKED, model="m")
        assert list(collector.add(word)) == []

    def test_what_is_damaged_is_no_word(self) -> None:
        with pytest.raises(BadCompletion):
            list(ResponseCollector(ASKED, model="m").add(b'x{"choices": []}'))

    def test_halves_of_surrogate_pairs_are_replaced(self) -> None:
        body = b'{"choices": [{"message": {"content": "a\\ud800b"}}]}'
        assert whole_response(body, ASKED, model="m").message.text == "a\ufffdb"


def split_off(pieces: Sequence[str]) -> tuple[str, str, bool]:
    thoughts = Thoughts()
    deltas = [delta for piece in pieces for delta in thoughts.add(piece)]
    deltas += thoughts.end()
    return (*heard(deltas), thoughts.unclosed)


ANALYSIS, FINAL = "<|channel|>analysis<|message|>", "<|start|>assistant<|channel|>final<|message|>"


class TestThoughts:
    @pytest.mark.parametrize(
        ("said", "text", "reasoning"),
        [
            ("<think>\nhm\n</think>\n\nParis", "Paris", "\nhm\n"),
            ("\n <thinking>hm</thinking>Paris", "Paris", "hm"),
            ("<THINK>hm</Think>Paris", "Paris", "hm"),
            ("<thought>a</thought>\n<thought>b</thought> Paris", "Paris", "ab"),
            ("<reasoning>hm</reasoning>Paris", "Paris", "hm"),
            ("[THINK]hm[/THINK]Paris", "Paris", "hm"),
            ("<think></think>Paris", "Paris", ""),
            (
                "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Paris",
                "Paris",
                "hm",
            ),
            (f"{ANALYSIS}hm<|start|>assistant<|channel|>final<|message|>Paris<|return|>", "Paris", "hm"),
            (f"{ANALYSIS}hm<|channel|>final<|message|>Paris<|end|>\n", "Paris", "hm"),
            (f"{ANALYSIS}hm<|end|><|channel|>commentary<|message|>so<|end|>{FINAL}Paris", "Paris", "hmso"),
            (f"{ANALYSIS}hm<|end|><|channel|>final <|constrain|>JSON<|message|>{{}}", "{}", "hm"),
            (f"{FINAL}The mark <|end|> ends it.", "The mark <|end|> ends it.", ""),
            (f"{ANALYSIS}hm<|end|><|start|>user<|message|>no", "<|start|>user<|message|>no", "hm"),
            ("analysisThe capital.assistantfinalParis", "Paris", "The capital."),
            ("\nanalysiswe say hiassistantfinalHi", "Hi", "we say hi"),
            ("<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>Paris<|END_RESPONSE|>", "Paris", "hm"),
            ("<longcat_think>hm</longcat_think>Paris", "Paris", "hm"),
            ("<mm:think>hm</mm:think>Paris", "Paris", "hm"),
            ("analysisHm.assistantanalysisMore.assistantfinalParis", "Paris", "Hm.assistantanalysisMore."),
            ("analysisThe capital.", "analysisThe capital.", ""),
            ("analysis of assistantfinalParis", "analysis of assistantfinalParis", ""),
            ("analysisOf the word assistantfinal here", "analysisOf the word assistantfinal here", ""),
            ("analysisOf `assistantfinal`", "analysisOf `assistantfinal`", ""),
            ("AnalysisThe.assistantfinalParis", "AnalysisThe.assistantfinalParis", ""),
            ("Hm.assistantfinalParis", "Hm.assistantfinalParis", ""),
            ("analysis", "analysis", ""),
            ("ana", "ana", ""),
            ("<|begin_of_thought|>hm<|end_of_thought|>\n<|begin_of_solution|>Paris<|end_of_solution|>", "Paris", "hm"),
            ("<|channel>thought\nhm<channel|>Paris", "Paris", "hm"),
            ("<unused94>thought\nhm<unused95>Paris", "Paris", "hm"),
            ("<analysis>It is so.</analysis>Paris", "<analysis>It is so.</analysis>Paris", ""),
            ("hm\n</think>\n\nParis", "Paris", "hm\n"),
            ("It may be Paris.</think>Paris", "Paris", "It may be Paris."),
            ("</think>Paris", "Paris", ""),
            ("Paris", "Paris", ""),
            ("  Paris", "  Paris", ""),
            ("", "", ""),
            ("<thin", "<thin", ""),
            ("a < b, or [x]", "a < b, or [x]", ""),
            ("The tags are <think> and </think>.", "The tags are <think> and </think>.", ""),
            ("Write `</think>` at the end.", "Write `</think>` at the end.", ""),
            ("The tag </think> closes it.", "The tag </think> closes it.", ""),
            ("```\n</think>\n```\nSo.", "```\n</think>\n```\nSo.", ""),
        ],
    )
    def test_where_they_end(self, said: str, text: str, reasoning: str) -> None:
        assert split_off([said]) == split_off(list(said)) == (text, reasoning, False)
        for response in both({"content": said}):
            assert (response.message.text, response.reasoning) == (text, reasoning)

    @pytest.mark.parametrize("said", ["<think>Paris", "<think>Paris</thin", "<|channel|>analysis<|message|>Paris"])
    @pytest.mark.parametrize("finish", ["stop", "length"])
    def test_without_an_end_there_is_no_answer(self, said: str, finish: str) -> None:
        for response in both({"content": said}, finish):
            assert response.message.text == ""
            assert response.reasoning.startswith("Paris")
            assert response.finish == finish
            assert response.notes == ("the model's thoughts did not end, so that there is no answer",)

    @settings(max_examples=200, deadline=None)
    @given(
        st.lists(
            st.sampled_from(
                [
                    "<think>",
                    "</think>",
                    "<thi",
                    "nk>",
                    "</",
                    "think>",
                    "[THINK]",
                    "[/THINK]",
                    "<|channel|>",
                    "final",
                    "analysis",
                    "<|message|>",
                    "<|end|>",
                    "<|return|>",
                    "<|start|>assistant",
                    "assistantfinal",
                    " ",
                    "\n",
                    "`",
                    "a",
                    "b.",
                    "<",
                    "```",
                    "\u0130",
                    "\u017f",
                    "K",
                ]
            ),
            max_size=8,
        ).map("".join),
        st.lists(st.integers(0, 99), max_size=6),
    )
    @example("<think>a</think>", [])
    def test_however_it_is_cut(self, said: str, places: list[int]) -> None:
        ends = [0, *sorted(place % (len(said) + 1) for place in places), len(said)]
        assert (
            split_off([said[start:end] for start, end in pairwise(ends)]) == split_off([said]) == split_off(list(said))
        )

    def test_nothing_is_held_back_but_parts_of_tags(self) -> None:
        thoughts = Thoughts()
        assert [heard(list(thoughts.add(piece))) for piece in ("<think>", "a", "b</th", "ink>", "\n", "c", " < ", "d")] == [
            ("", ""), ("", "a"), ("", "b"), ("", ""), ("", ""), ("c", ""), (" < ", ""), ("d", ""),
        ]  # fmt: skip

    def test_fields_and_tags(self) -> None:
        response = streamed(
            [chunk({"reasoning": "x"}), chunk({"content": "y"}), chunk({"content": "</think>z"}, "stop")]
        )
        assert (response.message.text, response.reasoning) == ("z", "xy")


class TestReasoning:
    @pytest.mark.parametrize(
        ("message", "kept"),
        [
            ({"reasoning_content": "hm"}, {"reasoning_content": "hm"}),
            ({"reasoning": "hm"}, {"reasoning": "hm"}),
            ({"reasoning": {"content": "hm"}}, {"reasoning": "hm"}),
            ({"reasoning": {"summary": [{"text": "hm"}]}}, {"reasoning": "hm"}),
            (
                {"reasoning": "hm", "reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": "s"}]},
                {"reasoning": "hm", "reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": "s"}]},
            ),
            (
                {"reasoning_details": [{"type": "reasoning.summary", "summary": "hm", "index": 0}, {"type": "reasoning.encrypted", "data": "x", "index": 1}]},
                {"reasoning_details": [{"type": "reasoning.summary", "summary": "hm", "index": 0}, {"type": "reasoning.encrypted", "data": "x", "index": 1}]},
            ),
            (
                {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]},
                {"thinking_parts": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]},
            ),
            (
                {"content": [{"type": "thinking", "thinking": "hm", "signature": "s"}]},
                {"thinking_parts": [{"type": "thinking", "thinking": "hm", "signature": "s"}]},
            ),
            (
                {"reasoning_content": "hm", "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}]},
                {"reasoning_content": "hm", "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}]},
            ),
            (
                {"reasoning_content": "hm", "extra_content": {"google": {"thought_signature": "s"}}},
                {"reasoning_content": "hm", "extra_content": {"google": {"thought_signature": "s"}}},
            ),
        ],
    )  # fmt: skip
    def test_in_fields_goes_back_with_tool_calls(self, message: dict[str, Any], kept: dict[str, Any]) -> None:
        calls = [{"index": 0, "id": "a", "function": {"name": "now", "arguments": "{}"}}]
        for response in both({**message, "tool_calls": calls}):
            assert response.reasoning == "hm"
            assert response.message.provider_data == ProviderData(provider="host", fields=kept)
            assert ModelResponse.model_validate_json(response.model_dump_json()) == response

    def test_is_not_kept_where_it_does_not_go_back(self) -> None:
        assert whole({"reasoning_content": "hm", "content": "4"}).message.provider_data is None
        kept = streamed(
            [chunk({"reasoning_content": "hm"}), chunk({"content": "4"}, "stop")], profile=Profile(reasoning_back="all")
        )
        assert kept.message.provider_data == ProviderData(provider="host", fields={"reasoning_content": "hm"})

    def test_details_in_pieces_are_joined(self) -> None:
        pieces = [
            {"type": "reasoning.text", "text": "h", "index": 0, "format": "f"},
            {"type": "reasoning.text", "text": "m", "index": 0},
            {"type": "reasoning.text", "signature": "s", "index": 0},
            {"type": "reasoning.encrypted", "data": "x", "index": 1},
        ]
        response = streamed(
            [*(chunk({"reasoning_details": [each]}) for each in pieces), chunk({"content": "4"}, "stop")]
        )
        assert response.reasoning == "hm"
        data = response.message.provider_data
        assert data is not None
        assert data.fields["reasoning_details"] == [
            {"type": "reasoning.text", "text": "hm", "index": 0, "format": "f", "signature": "s"},
            {"type": "reasoning.encrypted", "data": "x", "index": 1},
        ]

    def test_signatures_of_tool_calls(self) -> None:
        signed: Any = {"google": {"thought_signature": "s"}}
        call = {"id": "a", "type": "function", "function": {"name": "now", "arguments": "{}"}, "extra_content": signed}
        for response in both({"tool_calls": [call]}, "tool_calls"):
            (made,) = response.message.tool_calls
            assert made.provider_data == ProviderData(provider="host", fields={"extra_content": signed})


def call(id: Any = None, name: Any = None, arguments: Any = None, **more: Any) -> dict[str, Any]:
    given = {"id": id, **more}
    function = {key: value for key, value in {"name": name, "arguments": arguments}.items() if value is not None}
    return {key: value for key, value in given.items() if value is not None or key == "index"} | {"function": function}


HEADER = "<|start|>assistant<|channel|>commentary to=functions.add <|constrain|>json<|message|>"
A, B = '{"name": "add", "arguments": {"x": 1}}', '{"name": "now", "parameters": "{}"}'
ADD, NOW = ("add", '{"x":1}'), ("now", "{}")


def cut(said: str, places: Sequence[int], finish: str = "stop") -> ModelResponse:
    ends = [0, *sorted(place % (len(said) + 1) for place in places), len(said)]
    pieces = [chunk({"content": said[start:end]}) for start, end in pairwise(ends)]
    return streamed([*pieces, chunk({}, finish)])


class TestToolCallsInText:
    @pytest.mark.parametrize(
        ("said", "text", "calls"),
        [
            (f"<tool_call>\n{A}\n</tool_call>", "", [ADD]),
            (f"I add.\n<tool_call>\n{A}\n</tool_call>\n<tool_call>{B}</tool_call>\n", "I add.\n", [ADD, NOW]),
            (f"<tool_call>{A}", "", [ADD]),
            (f"```\n1 < 2\n```\n<tool_call>{A}</tool_call>", "```\n1 < 2\n```\n", [ADD]),
            (f"<think>\n{A}</think>\n<tool_call>{A}</tool_call>", "", [ADD]),
            (f"hm\n<tool_call>{A}</tool_call></think><tool_call>{B}</tool_call>", "", [NOW]),
            (f'{HEADER}{{"x": 1}}<|call|>', "", [ADD]),
            (f'{ANALYSIS}hm<|end|>{HEADER}{{"x": 1}}', "", [ADD]),
            ('<|start|>assistant to=functions.add<|channel|>commentary json<|message|>{"x": 1}<|call|>', "", [ADD]),
            ('analysisI add.assistantcommentary to=functions.add json{"x": 1}', "", [ADD]),
            ("<think>hm</think>[add(x=1)]", "", [ADD]),
        ],
    )
    def test_where_they_are_certain(self, said: str, text: str, calls: list[tuple[str, str]]) -> None:
        responses = [whole({"content": said}), cut(said, range(len(said))), cut(said, range(0, len(said), 7))]
        for response in responses:
            assert response.message.text == text
            assert [(each.name, each.arguments) for each in response.message.tool_calls] == calls
            assert response.finish == "tool_calls"
            assert len({each.id for each in response.message.tool_calls}) == len(calls)

    @pytest.mark.parametrize(
        "said",
        [
            f"The form is <tool_call>{A}</tool_call>",
            f"```\n<tool_call>{A}</tool_call>\n```",
            f"```\n<tool_call>{A}</tool_call>",
            f"<tool_call>{A}</tool_call> is how I do it.",
            f"<tool_call>{A[:-3]}",
            f"<tool_call>{A[:-3]}</tool_call>",
            '<tool_call>{"name": "rm", "arguments": {}}</tool_call>',
            '<tool_call>{"name": "add", "arguments": [1]}</tool_call>',
            '<tool_call>{"name": "add", "arguments": "no"}</tool_call>',
            "<tool_call>{}</tool_call>",
            "<tool_call> is a tag.",
            "<tool_call>",
            "<tool_ca",
            "1 <",
            f"<tool_call>{'[' * 5000}",
            f'<tool_call>{{"name": "add", "arguments": {{"x": {"[" * 100_000}',
            f"{HEADER}no json<|call|>",
            f"{HEADER}{{}}<|call|> and so on",
            "<|start|>assistant" + "x" * 500,
        ],
    )
    def test_all_else_is_text(self, said: str) -> None:
        for response in (whole({"content": said}), cut(said, range(min(len(said), 500)))):
            assert (response.message.text, response.message.tool_calls) == (said, ())

    def test_without_tools_they_are_text(self) -> None:
        said = f"<tool_call>{A}</tool_call>"
        body = json.dumps({"choices": [{"message": {"content": said}, "finish_reason": "stop"}]}).encode()
        for request in (ModelRequest(ASKED.messages), ModelRequest(ASKED.messages, tools=TOOLS, tool_choice="none")):
            assert whole_response(body, request, model="m").message == Message.assistant(said)

    def test_beside_calls_in_their_place_they_are_text(self) -> None:
        said = f"<tool_call>{A}</tool_call>"
        calls = [{"index": 0, "id": "a", "function": {"name": "add", "arguments": '{"x":1}'}}]
        for response in both({"content": said, "tool_calls": calls}):
            assert (response.message.text, len(response.message.tool_calls)) == (said, 1)

    def test_half_of_a_surrogate_pair(self) -> None:
        response = whole({"content": '<tool_call>{"name": "add", "arguments": {"x": "\\ud800"}}</tool_call>'})
        assert response.message.tool_calls[0].arguments == '{"x":"\ufffd"}'

    @settings(max_examples=150, deadline=None)
    @given(
        st.lists(
            st.sampled_from(
                ["<tool_call>", "</tool_call>", "<tool", A, B, "{", "}", "\n", "a", "```", HEADER, "<|call|>", " ", "<"]
            ),
            max_size=8,
        ).map("".join),
        st.lists(st.integers(0, 999), max_size=6),
    )
    def test_no_text_is_lost_however_it_is_cut(self, said: str, places: list[int]) -> None:
        response = cut(said + ".", places)
        assert (response.message.text, response.message.tool_calls) == (said + ".", ())
        if said:
            assert cut(said, places).message == cut(said, range(len(said))).message

    def test_long_arguments_take_linear_time(self) -> None:
        letters = "<a>" * 30_000
        collector = ResponseCollector(ASKED, model="m")
        head = '<tool_call>{"name": "add", "arguments": {"x": "'
        for piece in (head, *(letters[place : place + 4] for place in range(0, len(letters), 4)), '"}}'):
            assert not list(collector.add_value(chunk({"content": piece})))
        list(collector.add_value(chunk({}, "stop")))
        (made,) = collector.response().message.tool_calls
        assert json.loads(made.arguments) == {"x": letters}


X, Y = '{"x": 1}', '{"y": {"z": 2}}'


class TestToolCalls:
    @pytest.mark.parametrize(
        "calls",
        [
            [call("a", "add", X, index=None), call("b", "mul", Y, index=None)],
            [call("", "add", X, index=0), call("", "mul", Y, index=0)],
            [call(None, "add", X), call(None, "mul", Y)],
            [call("a", "add", {"x": 1}, index=0), call("b", "mul", {"y": {"z": 2}}, index=1)],
            [call("a", "add", '{"x"', index=0), call("a", None, ": 1}", index=0), call("b", "mul", Y, index=1)],
            [call("a", "add", "", index=0), call(None, None, X, index=0), call("a", "add", X, index=0), call("b", "mul", Y, index=1)],
            [call("a", "add", '{"x"', index=0), call("a", "add", X, index=0), call("b", "mul", '{"y":', index=1), call("b", "mul", Y, index=1)],
            [call("a", "a", "", index=0), call(None, "dd", X, index=0), call("b", "m", index=1), call("b", "ul", index=1), call("b", None, Y, index=1)],
            [call(None, "add", X, index=0), call(None, "mul", '{"y": ', index=1), call(None, None, '{"z": 2}', index=1), call(None, None, "}", index=1)],
            [call("a", "add", '{"x"', index=0), call("z1", None, ": 1}", index=0), call("b", "mul", "", index=1), call("z2", None, Y, index=1)],
            [call("a", "add", X, index="0"), call("b", "mul", Y, index="1")],
            [call("a", "add", "{}", index=0), call(None, None, X, index=0), call("b", "mul", Y, index=1)],
            [call("a", "add", X), call("a", "mul", Y)],
            [call("a", "add", X, index=0), call("a", "mul", Y, index=1)],
            [call("a", "add", X, index=0), {}, {"index": 0}, call("b", "mul", Y, index=1), call(index=1)],
            [call(7, "add", X, index=0), call(8, "mul", Y, index=1)],
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("finish", ["tool_calls", "stop", "function_call", "tool_use"])
    def test_of_a_stream(self, calls: list[dict[str, Any]], finish: str) -> None:
        response = streamed([*(chunk({"tool_calls": [each]}) for each in calls), chunk({}, finish)])
        made = response.message.tool_calls
        assert [(each.name, json.loads(each.arguments)) for each in made] == [
            ("add", json.loads(X)),
            ("mul", json.loads(Y)),
        ]
        assert len({each.id for each in made}) == 2
        assert all(each.id for each in made)
        assert response.finish == "tool_calls"

    def test_arguments_that_were_encoded_twice(self) -> None:
        for written, read in ((json.dumps(X), X), ('"5"', '"5"'), ('"{', '"{')):
            calls = [{"index": 0, "id": "a", "function": {"name": "add", "arguments": written}}]
            for response in both({"content": None, "tool_calls": calls}, "tool_calls"):
                assert response.message.tool_calls[0].arguments == read

    def test_without_arguments(self) -> None:
        calls = [call(None, "now", "", index=0), call(None, "add", X, index=0)]
        response = streamed([*(chunk({"tool_calls": [each]}) for each in calls), chunk({}, "stop")])
        assert [each.name for each in response.message.tool_calls] == ["now", "add"]

    def test_the_same_call_twice(self) -> None:
        calls = [call("a", "now", "{}", index=0), call("b", "now", "{}", index=1), call(None, "now", "{}")]
        assert len(whole({"tool_calls": calls}).message.tool_calls) == 3
        assert len(streamed([chunk({"tool_calls": calls}, "stop")]).message.tool_calls) == 3

    def test_ids_are_made_unique(self) -> None:
        made = whole({"tool_calls": [call("a", "add", X), call("a", "add", X), call("", "add", X)]}).message.tool_calls
        assert len({each.id for each in made}) == 3
        assert made[0].id == "a"

    def test_the_older_form(self) -> None:
        expected = (ToolCall(id="call_1_0", name="add", arguments=X),)
        assert whole({"function_call": {"name": "add", "arguments": X}}, "function_call").message.tool_calls == expected
        pieces = [{"name": "add", "arguments": ""}, {"arguments": '{"x"'}, {"arguments": ": 1}"}]
        response = streamed([*(chunk({"function_call": each}) for each in pieces), chunk({}, "function_call")])
        assert response.message.tool_calls == expected
        assert response.finish == "tool_calls"

    def test_a_whole_message_at_the_end_repeats_nothing(self) -> None:
        message = {"content": "It is 4.", "tool_calls": [call("a", "add", X)]}
        last = {"choices": [{"message": message, "finish_reason": "stop"}]}
        response = streamed([chunk({"content": "It is"}), chunk({"tool_calls": [call("a", "add", X, index=0)]}), last])
        assert (response.message.text, len(response.message.tool_calls)) == ("It is 4.", 1)

    def test_what_is_none_is_dropped_with_a_note(self) -> None:
        response = whole({"content": "4", "tool_calls": [None, "x"]})
        assert response.message.tool_calls == ()
        assert response.notes == ("a tool call that is none was dropped",)

    @pytest.mark.parametrize("arguments", [4, [1]])
    def test_what_cannot_be_read_fails(self, arguments: Any) -> None:
        with pytest.raises(BadCompletion, match="arguments"):
            whole({"tool_calls": [call("a", "add", arguments)]})


class TestFinish:
    @pytest.mark.parametrize(
        ("reported", "finish"),
        [
            *(
                (each, "stop")
                for each in ("stop", "eos", "end_turn", "stop_sequence", "COMPLETE", "STOP", "tool_calls")
            ),
            *((each, "length") for each in ("length", "max_tokens", "MAX_TOKENS", "model_length")),
            *((each, "length") for each in ("max_time", "context_length", "TOKEN_LIMIT_REACHED", "repetition")),
            *(
                (each, "content_filter")
                for each in (
                    *("content_filter", "sensitive", "SAFETY", "PROHIBITED_CONTENT", "RECITATION", "LANGUAGE"),
                    *("blocked", "guardrail", "safety_block", "policy-violation"),
                )
            ),
            ("refusal", "refusal"),
        ],
    )
    def test_reasons(self, reported: str, finish: str) -> None:
        for response in both({"content": "x"}, reported):
            assert (response.finish, response.notes) == (finish, ())

    @pytest.mark.parametrize(
        "reported",
        [
            "error",
            "insufficient_system_resource",
            "network_error",
            "abort",
            "MODEL_ERROR",
            "engine_overloaded",
            "rate_limit",
            "insufficient_quota",
            "deadline_exceeded",
            "preempted",
            "TOO_MANY_TOOL_CALLS",
        ],
    )
    def test_what_the_server_gave_up(self, reported: str) -> None:
        for read in (whole, lambda message, finish: streamed([chunk(message, finish)])):
            with pytest.raises(GivenUp, match=reported):
                read({"content": "half"}, reported)

    @pytest.mark.parametrize("reported", ["odd", 4, {"x": 1}])
    def test_an_unknown_one_is_noted(self, reported: Any) -> None:
        for response in both({"content": "x"}, reported):
            assert response.finish == "stop"
            assert "finish reason" in response.notes[0]

    def test_none(self) -> None:
        assert whole({"content": "x"}, None).finish == "stop"
        assert streamed([chunk({"content": "x"})]).finish == "stop"
        for chunks, done in (([chunk({"content": "x"})], False), ([chunk({})], True)):
            with pytest.raises(CutOff):
                streamed(chunks, done=done)

    @pytest.mark.parametrize("content", [None, ""])
    def test_refusals(self, content: str | None) -> None:
        for response in both({"content": content, "refusal": "I cannot."}):
            assert (response.finish, response.message.text) == ("refusal", "I cannot.")
        for response in both({"content": "4", "refusal": None}):
            assert response.finish == "stop"


class TestUsage:
    @pytest.mark.parametrize(
        ("usage", "expected"),
        [
            ({"prompt_tokens": 10, "completion_tokens": 5}, (10, 0, 5, 0, None)),
            ({"prompt_tokens": "10", "completion_tokens": 5.0, "cost": "0.5"}, (10, 0, 5, 0, 0.5)),
            ({"input_tokens": 10, "output_tokens": 5}, (10, 0, 5, 0, None)),
            ({"prompt_eval_count": 10, "eval_count": 5}, (10, 0, 5, 0, None)),
            ({"promptTokens": 10, "completionTokens": 5}, (10, 0, 5, 0, None)),
            ({"prompt_token_count": 10, "candidates_token_count": 5}, (10, 0, 5, 0, None)),
            ({"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}}, (10, 4, 5, 0, None)),
            ({"prompt_tokens": 10, "completion_tokens": 5, "prompt_cache_hit_tokens": 4}, (10, 4, 5, 0, None)),
            ({"prompt_tokens": 10, "completion_tokens": 5, "cached_tokens": 4}, (10, 4, 5, 0, None)),
            ({"input_tokens": 6, "output_tokens": 5, "cache_read_input_tokens": 4}, (10, 4, 5, 0, None)),
            ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "completion_tokens_details": {"reasoning_tokens": 3}}, (10, 0, 5, 3, None)),
            ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 80, "completion_tokens_details": {"reasoning_tokens": 65}}, (10, 0, 70, 65, None)),
            ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 80}, (10, 0, 70, 65, None)),
            ({"prompt_tokens": 10, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 65}}, (10, 0, 70, 65, None)),
            ({"prompt_tokens": 10, "completion_tokens": 5, "cost": {"input_tokens_cost": 0.1, "total_cost": 0.3}}, (10, 0, 5, 0, 0.3)),
            ({"prompt_tokens": 10, "completion_tokens": 5, "cost_in_usd_ticks": 25_000_000_000}, (10, 0, 5, 0, 2.5)),
            ({"prompt_tokens": 10, "completion_tokens": 5, "estimated_cost": 0.25}, (10, 0, 5, 0, 0.25)),
            ({"prompt_tokens": 10, "completion_tokens": 5, "total_cost": 0.25}, (10, 0, 5, 0, 0.25)),
            ({"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 65, "totalTokenCount": 80, "cachedContentTokenCount": 4}, (10, 4, 70, 65, None)),
            ({"prompt_tokens": 10, "completion_tokens": 5, "cost": {"odd": 1}, "prompt_tokens_details": [], "x": None}, (10, 0, 5, 0, None)),
        ],
    )  # fmt: skip
    def test_under_many_names(self, usage: Any, expected: tuple[Any, ...]) -> None:
        for place in ({"usage": usage}, {"x_groq": {"usage": usage}}):
            for response in both({"content": "x"}, **place):
                assert tuple(response.usage.model_dump().values()) == (1, *expected)
                assert response.notes == ()

    @pytest.mark.parametrize("name", ["usageMetadata", "usage_metadata", "token_usage"])
    def test_in_another_place(self, name: str) -> None:
        reported: dict[str, Any] = {name: {"prompt_tokens": 10, "completion_tokens": 5}}
        for response in both({"content": "x"}, **reported):
            assert (response.usage.input_tokens, response.usage.output_tokens) == (10, 5)

    @pytest.mark.parametrize("place", [{"usage": None}, {"x_groq": {"id": "req"}}, {"x_groq": {"usage": None}}])
    def test_nothing_reported_is_nothing_unreadable(self, place: dict[str, Any]) -> None:
        for response in both({"content": "x" * 30}, **place):
            assert (response.usage.output_tokens, response.notes) == (10, ())

    @pytest.mark.parametrize(
        ("counts", "name", "count"),
        [({"prompt_eval_count": 70}, "input_tokens", 70), ({"eval_count": 5}, "output_tokens", 5)],
    )
    def test_beside_the_answer(self, counts: dict[str, Any], name: str, count: int) -> None:
        for response in both({"content": "x" * 30}, **counts):
            assert (getattr(response.usage, name), response.notes) == (count, ())

    def test_within_a_choice(self) -> None:
        last = chunk({}, "stop")
        last["choices"][0]["usage"] = {"prompt_tokens": 10, "completion_tokens": 5}
        assert streamed([chunk({"content": "x"}), last]).usage.output_tokens == 5

    def test_the_last_number_counts_unless_it_is_nothing(self) -> None:
        numbers = [(10, 1), (10, 2), (10, 7), (0, 0)]
        chunks = [chunk({"content": "x"}, usage={"prompt_tokens": a, "completion_tokens": b}) for a, b in numbers]
        usage = streamed([*chunks, chunk({}, "stop", usage=None)]).usage
        assert (usage.input_tokens, usage.output_tokens) == (10, 7)

    def test_reasoning_apart(self) -> None:
        usage = {"prompt_tokens": 10, "completion_tokens": 50, "completion_tokens_details": {"reasoning_tokens": 20}}
        apart = streamed([chunk({"content": "x"}, "stop", usage=usage)], profile=Profile(reasoning_apart=True))
        assert apart.usage.output_tokens == 70
        told = streamed(
            [chunk({"content": "x"}, "stop", usage={**usage, "total_tokens": 60})],
            profile=Profile(reasoning_apart=True),
        )
        assert told.usage.output_tokens == 50

    @pytest.mark.parametrize("usage", ["x", [1], {"prompt_tokens": [], "completion_tokens": "many"}, {"odd": 5}])
    def test_what_cannot_be_read_is_estimated_with_a_note(self, usage: Any) -> None:
        for response in both({"content": "x" * 30}, usage=usage):
            assert response.usage.output_tokens == 10
            assert "usage" in response.notes[0]

    @pytest.mark.parametrize("usage", [{"prompt_tokens": -5, "completion_tokens": 10**30}, {"prompt_tokens": None}])
    def test_what_cannot_be_true_is_estimated(self, usage: Any) -> None:
        for response in both({"content": "x" * 30}, usage=usage):
            assert response.usage.output_tokens == 10
            assert 0 < response.usage.input_tokens < 100


class TestTheRest:
    def test_other_choices_are_ignored(self) -> None:
        choices = [
            {"index": 1, "message": {"content": "no"}, "finish_reason": "stop"},
            {"index": 0, "message": {"content": "yes"}, "finish_reason": "stop"},
        ]
        assert whole_response(json.dumps({"choices": choices}).encode(), ASKED, model="m").message.text == "yes"
        other = {"choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": "stop"}]}
        assert streamed([other, chunk({"content": "yes"}), other, chunk({}, "stop")]).message.text == "yes"

    def test_what_stands_beside_an_answer_costs_none(self) -> None:
        odd: dict[str, Any] = {
            "id": 4,
            "model": 7,
            "created": "x",
            "object": None,
            "system_fingerprint": [],
            "service_tier": {},
        }
        for response in both({"role": None, "content": "x", "audio": 4, "annotations": "y", "images": None}, **odd):
            assert (response.message, response.model) == (Message.assistant("x"), "m")

    @pytest.mark.parametrize("logprobs", [4, {"content": [4]}, {"content": [{"token": 1}]}, {"content": "x"}])
    def test_log_probabilities_that_cannot_be_read(self, logprobs: Any) -> None:
        body = {"choices": [{"message": {"content": "x"}, "finish_reason": "stop", "logprobs": logprobs}]}
        response = whole_response(json.dumps(body).encode(), ASKED, model="m")
        assert response.logprobs is None
        assert "log-probabilities" in response.notes[0]

    @pytest.mark.parametrize(
        ("said", "text", "kept"),
        [
            (["<think>", "5", "</think>", "\n\n", "5"], "5", slice(4, 5)),
            (["5", "</think>", "It is", " 5"], "It is 5", slice(2, 4)),
            (["<|channel|>", "analysis", "<|message|>", "5", "<|end|>", FINAL + "It", " is"], "It is", slice(5, 7)),
            (["It", " is"], "It is", slice(0, 2)),
            (["<think>", "5"], "", slice(0, 2)),
        ],
    )
    def test_log_probabilities_are_those_of_the_answer(self, said: list[str], text: str, kept: slice) -> None:
        tokens = [{"token": token, "logprob": -number / 2, "top_logprobs": []} for number, token in enumerate(said)]
        pieces = [
            {"choices": [{"delta": {"content": token["token"]}, "logprobs": {"content": [token]}}]} for token in tokens
        ]
        message, logprobs = {"content": "".join(said)}, {"content": tokens}
        body = {"choices": [{"message": message, "finish_reason": "stop", "logprobs": logprobs}]}
        for response in (
            whole_response(json.dumps(body).encode(), ASKED, model="m"),
            streamed([*pieces, chunk({}, "stop")]),
        ):
            assert response.message.text == text
            assert [each.logprob for each in response.logprobs or ()] == [each["logprob"] for each in tokens[kept]]

    def test_log_probabilities_come_with_the_pieces(self) -> None:
        """Those of thoughts do not, as they are not part of the answer; the form is that of llama.cpp's server."""
        said = [("reasoning_content", "hm"), ("content", "It"), ("content", " is")]
        pieces: list[dict[str, Any]] = []
        for field, text in said:
            others = [
                {"id": number, "token": other, "bytes": [97], "logprob": logprob}
                for number, (other, logprob) in enumerate([(text, -0.25), ("x", -1.5)])
            ]
            found = {"id": 0, "token": text, "bytes": [97], "logprob": -0.25, "top_logprobs": others}
            choice = {"index": 0, "finish_reason": None, "delta": {field: text}, "logprobs": {"content": [found]}}
            pieces.append({"choices": [choice], "object": "chat.completion.chunk"})
        collector = ResponseCollector(ASKED, model="m")
        deltas = [delta for piece in pieces for delta in collector.add(json.dumps(piece).encode())]
        told = [token for delta in deltas for token in delta.logprobs]
        assert [(each.token, each.logprob, each.top) for each in told] == [
            ("It", -0.25, {"It": -0.25, "x": -1.5}),
            (" is", -0.25, {" is": -0.25, "x": -1.5}),
        ]
        assert "".join(delta.text for delta in deltas) == "It is"
        collector.add(json.dumps(chunk({}, "stop")).encode())
        assert all(not delta.logprobs for delta in collector.end())

    def test_log_probabilities_of_the_older_form(self) -> None:
        logprobs = {"tokens": ["a", "b"], "token_logprobs": [-1, -2.5], "top_logprobs": [{}, {}]}
        body = {"choices": [{"message": {"content": "ab"}, "finish_reason": "stop", "logprobs": logprobs}]}
        found = whole_response(json.dumps(body).encode(), ASKED, model="m").logprobs
        assert found is not None
        assert [(each.token, each.logprob) for each in found] == [("a", -1), ("b", -2.5)]

    @pytest.mark.parametrize(
        "content",
        [["a", {"type": "text", "text": "b"}, {"type": "output_text", "text": "c"}], {"type": "text", "text": "abc"}],
    )
    def test_a_content_in_parts(self, content: Any) -> None:
        for response in both({"content": content}):
            assert response.message.text == "abc"

    @pytest.mark.parametrize(
        "part",
        [
            {"type": "thought", "text": "hm"},
            {"type": "text", "text": "hm", "thought": True},
            {"type": "reasoning_content", "text": "hm"},
        ],
    )
    def test_parts_that_are_thoughts(self, part: dict[str, Any]) -> None:
        for response in both({"content": [part, {"type": "text", "text": "Paris"}]}):
            assert (response.message.text, response.reasoning) == ("Paris", "hm")

    def test_an_unknown_part_is_noted(self) -> None:
        for response in both({"content": ["a", {"type": "odd"}]}):
            assert (response.message.text, response.notes) == (
                "a",
                ("a part of the answer is of an unknown kind; it was dropped",),
            )


STREAM = b"".join(
    b"data: " + json.dumps(each).encode() + b"\n\n"
    for each in (chunk({"content": "o"}), chunk({"content": "k"}, "stop"))
)
LINES = STREAM.replace(b"data: ", b"").replace(b"\n\n", b"\n")
WHOLE = json.dumps({"choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}]}).encode()


@pytest.mark.anyio
@pytest.mark.parametrize("transport", ["aiohttp", "httpx2"])
class TestOverHttp:
    @pytest.fixture(autouse=True)
    def _transport(self, transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
        if transport == "httpx2":
            monkeypatch.setattr(connections, "aiohttp_fits", lambda: False)

    async def ask(self, script: Any) -> tuple[ModelResponse, list[Delta]]:
        deltas: list[Delta] = []
        with FaultyServer(script) as server:
            response = await OpenAIModel("m", base_url=server.url, api_key="none").request(ASKED, deltas.append)
            assert server.wait_for(lambda: server.connections == 0)
        return response, deltas

    @pytest.mark.parametrize(
        "kind", ["application/json", "text/plain", "application/octet-stream", "text/event-stream"]
    )
    @pytest.mark.parametrize(
        "body",
        [
            STREAM,
            b": hi\n\n" + STREAM,
            b"\xef\xbb\xbf" + STREAM,
            b"\n" + STREAM,
            STREAM.replace(b"\n", b"\r"),
            WHOLE,
            b"\n " + WHOLE,
        ],
    )
    async def test_whatever_the_content_type_says(self, body: bytes, kind: str) -> None:
        for piece in (1, 1000):
            response, deltas = await self.ask(RawStream(body, piece, content_type=kind))
            assert response.message.text == "ok" == heard(deltas)[0]

    @pytest.mark.parametrize("kind", ["application/x-ndjson", "application/json", "text/event-stream"])
    @pytest.mark.parametrize(
        "body", [LINES, b"\xef\xbb\xbf" + LINES, LINES + b"[DONE]\n", LINES.replace(b"\n", b"\r\n\r\n"), LINES[:-1]]
    )
    async def test_a_chunk_in_each_line(self, body: bytes, kind: str) -> None:
        for piece in (1, 7, 1000):
            response, deltas = await self.ask(RawStream(body, piece, content_type=kind))
            assert response.message.text == "ok" == heard(deltas)[0]
            assert [each.text for each in deltas] == ["o", "k"]

    async def test_lines_that_are_cut_off(self) -> None:
        with pytest.raises(ModelConnectionError):
            await self.ask(RawStream(LINES.split(b"\n")[0] + b"\n", 7, content_type="application/x-ndjson"))

    @pytest.mark.parametrize(
        "body",
        [
            STREAM,
            STREAM + b"data: [DONE]\n\n",
            LINES,
            json.dumps(json.loads(WHOLE), indent=1).encode(),
            WHOLE + b"\n",
            b"\xef\xbb\xbf" + WHOLE,
        ],
    )
    async def test_a_stream_that_nobody_asked_for(self, body: bytes) -> None:
        with FaultyServer(RawBody(body)) as server:
            response = await OpenAIModel("m", base_url=server.url, api_key="none").request(ASKED)
        assert response.message.text == "ok"

    @pytest.mark.parametrize("body", [STREAM[:40] + b"\n\n", b"{}x\n{", b"{x}\n{}", b"data: {\n\n"])
    async def test_what_is_neither(self, body: bytes) -> None:
        with FaultyServer(RawBody(body)) as server, pytest.raises((ModelResponseError, ModelConnectionError)):
            await OpenAIModel("m", base_url=server.url, api_key="none").request(ASKED)

    @pytest.mark.parametrize(
        ("body", "error"),
        [
            (STREAM[:40] + b"\n\n", ModelResponseError),
            (STREAM.split(b"\n\n")[0] + b"\n\n", ModelConnectionError),
            (b"", ModelConnectionError),
            (b"<html>no</html>", ModelResponseError),
            (STREAM.replace(b"stop", b"network_error"), ModelServerError),
        ],
    )
    async def test_what_was_said_before_the_damage_is_heard(self, body: bytes, error: type[Exception]) -> None:
        deltas: list[Delta] = []
        with FaultyServer(RawStream(body, 7)) as server, pytest.raises(error):
            await OpenAIModel("m", base_url=server.url, api_key="none").request(ASKED, deltas.append)
        assert heard(deltas)[0] in ("", "o", "ok")
        assert (heard(deltas)[0] != "") == (
            body.count(b"\n\n") > 0 and body[: len(STREAM) // 2 - 9] == STREAM[: len(STREAM) // 2 - 9]
        )

    async def test_a_whole_error_with_a_good_status(self) -> None:
        with pytest.raises(ModelServerError, match="overloaded"):
            await self.ask(RawBody(b'{"error": {"message": "overloaded"}}'))

    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize(
        "said",
        [
            f"<tool_call>\n{A}\n</tool_call>",
            "<tool_call>\n<function=add>\n<parameter=x>\n1\n</parameter>\n</function>\n</tool_call>",
            f"[TOOL_CALLS][{A}]",
        ],
    )
    async def test_an_agent_calls_tools_from_the_text(self, said: str, stream: bool) -> None:
        called: list[int] = []

        def add(x: int) -> int:
            """Add one."""
            called.append(x)
            return x + 1

        def script(exchange: Exchange) -> str:
            told = any(each["role"] == "tool" for each in exchange.messages)
            return "It is 2." if told else f"I add.\n{said}"

        with FaultyServer(script) as server:
            model = OpenAIModel("m", base_url=server.url, api_key="none")
            result = await Contemplator(model, mode="instant", tools=[add], stream=stream).run("What is 1 + 1?")
            sent = server.exchanges[-1].messages
        assert (result.text, called) == ("It is 2.", [1])
        assert [each["role"] for each in sent[-2:]] == ["assistant", "tool"]
        assert sent[-2]["tool_calls"][0]["id"] == sent[-1]["tool_call_id"]

    @pytest.mark.parametrize("stream", [False, True])
    async def test_an_answer_as_the_call_of_a_tool_in_the_text(self, stream: bool) -> None:
        said = '<tool_call>\n{"name": "add", "arguments": {"x": 1}}\n</tool_call>'
        asked = ModelRequest(ASKED.messages, output_schema=OutputSchema("add", {"type": "object"}))
        deltas: list[Delta] = []
        with FaultyServer(said) as server:
            model = OpenAIModel("m", base_url=server.url, profile=Profile(schema_form="tool"))
            response = await model.request(asked, deltas.append if stream else None)
        assert (response.message.text, response.finish) == ('{"x":1}', "stop")
        assert not stream or heard(deltas)[0] == response.message.text


@pytest.mark.parametrize(
    ("piece", "count"),
    [
        ({"function_call": {"name": "look", "arguments": "{"}}, 1),
        ({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "look", "arguments": "{"}}]}, 1),
        ({"content": "x"}, 1),
        ({"reasoning_content": "x"}, 1),
        ({"role": "assistant"}, 0),
    ],
)
def test_what_says_something_is_counted(piece: dict[str, Any], count: int) -> None:
    pieces = MessagePieces({"look": {}})
    list(pieces.add(piece))
    assert pieces.count == count


def test_an_image_that_cannot_be_read_is_noted_once() -> None:
    pieces = MessagePieces({})
    for _ in range(2):
        list(pieces.add({"images": ["?"], "content": "x"}))
    assert [*pieces.notes()] == ["an image of the answer was dropped: its format is not known"]
