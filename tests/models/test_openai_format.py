"""The chat completions format, byte by byte: what is read does not depend on how it is cut, and rubbish is an error."""

from __future__ import annotations

import json
from base64 import b64decode
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contemplate import ImagePart, Message, ModelSettings
from contemplate.messages import ToolCall
from contemplate.models import ModelRequest, ModelResponse, OutputSchema, ToolSpec
from contemplate.models.openai import sse
from contemplate.models.openai.completion import BadCompletion, CutOff
from contemplate.models.openai.profile import OPENAI, Profile
from contemplate.models.openai.request import request_body
from contemplate.models.openai.response import ResponseCollector, whole_response
from contemplate.models.openai.retry_after import retry_after
from contemplate.models.openai.sse import EventStream
from contemplate.models.schemas import sent_schema

ASKED = ModelRequest((Message.user("hello"),))


def cut(raw: bytes, places: list[int]) -> list[bytes]:
    ends = [0, *sorted(place % (len(raw) + 1) for place in places), len(raw)]
    return [raw[start:end] for start, end in pairwise(ends)]


def events(pieces: list[bytes]) -> list[bytes]:
    stream = EventStream()
    found = [event for piece in pieces for event in stream.feed(piece)]
    return found + list(stream.flush())


@pytest.mark.parametrize("between", [b": ping\n", b": ping\r\n", b"event: x\n", b"id: 1\nretry: 5\n", b"data2: no\n"])
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_what_stands_between_two_lines_of_data_ends_no_event(between: bytes, size: int) -> None:
    raw = b"data: one\n" + between + b"data: two\n\n" + between + b"data: three\n\n"
    pieces = [raw[start : start + size] for start in range(0, len(raw), size)]
    assert events(pieces) == [b"one\ntwo", b"three"]


def read(chunks: list[dict[str, Any]]) -> ModelResponse:
    collector = ResponseCollector(ASKED, model="m")
    for chunk in chunks:
        for _ in collector.add(json.dumps(chunk).encode()):
            pass
    return collector.response()


def delta(finish: str | None = None, **said: Any) -> dict[str, Any]:
    return {"choices": [{"delta": said, "finish_reason": finish}]}


def whole(**said: Any) -> bytes:
    return json.dumps({"choices": [{"message": said, "finish_reason": "stop"}]}).encode()


def call(
    index: int | None = None, id: str | None = None, name: str | None = None, arguments: str = ""
) -> dict[str, Any]:
    made = {"index": index, "id": id, "function": {"name": name, "arguments": arguments}}
    return {key: value for key, value in made.items() if value is not None}


class TestEvents:
    @settings(max_examples=200, deadline=None)
    @given(
        st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1), max_size=5),
        st.sampled_from(["\n", "\r\n"]),
        st.booleans(),
        st.lists(st.integers(0, 10**6), max_size=12),
    )
    def test_however_they_are_cut(self, texts: list[str], newline: str, ended: bool, places: list[int]) -> None:
        lines = [f": comment{newline}event: x{newline}data: {text}{newline}{newline}" for text in texts]
        raw = "".join(lines).encode()
        if not ended:
            raw = raw.removesuffix((newline * 2).encode())
        assert events(cut(raw, places)) == [text.encode() for text in texts]

    @settings(max_examples=150, deadline=None)
    @given(st.binary(max_size=80) | st.text("data: {}[]\r\n:x").map(str.encode), st.lists(st.integers(0, 100)))
    def test_any_bytes(self, raw: bytes, places: list[int]) -> None:
        assert events(cut(raw, places)) == events([raw])

    def test_an_event_of_several_lines(self) -> None:
        assert events([b"data: a\ndata:b\n\n"]) == [b"a\nb"]

    def test_a_long_line_in_small_pieces_takes_linear_time(self) -> None:
        # Joined again for each piece, this would be 200 GB to copy.
        pieces = [b"data: ", *[b"0123456789"] * 200_000, b"\n\n"]
        assert [len(data) for data in events(pieces)] == [2_000_000]

    @pytest.mark.parametrize("newline", [b"", b"\n"])
    def test_an_event_without_an_end_is_an_error_of_the_servers(
        self, newline: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 1000)
        stream = EventStream()
        with pytest.raises(BadCompletion, match="larger"):
            for _ in range(200):
                list(stream.feed(b"data: 0123456789" + newline))


class TestResponses:
    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.text(max_size=5), max_size=6), st.lists(st.text(max_size=5), max_size=3))
    def test_the_pieces_make_up_the_whole(self, texts: list[str], thoughts: list[str]) -> None:
        collector, heard = ResponseCollector(ASKED, model="m"), []
        for chunk in [*({"reasoning": text} for text in thoughts), *({"content": text} for text in texts)]:
            heard += list(collector.add(json.dumps(delta(**chunk)).encode()))
        heard += list(collector.add(json.dumps(delta("stop")).encode()))
        response = collector.response()
        assert response.message.text == "".join(texts) == "".join(each.text for each in heard)
        assert response.reasoning == "".join(thoughts) == "".join(each.reasoning for each in heard)

    @settings(max_examples=150, deadline=None)
    @given(
        st.binary(max_size=60)
        | st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=3),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        ["choices", "delta", "message", "usage", "content", "tool_calls", "error", "index"]
                    ),
                    inner,
                    max_size=3,
                )
            ),
            max_leaves=12,
        ).map(lambda made: json.dumps(made).encode())
    )
    @example(b'{"error":{"message":""}}')
    def test_any_body_is_a_response_or_an_error_of_ours(self, body: bytes) -> None:
        try:
            whole_response(body, ASKED, model="m")
        except BadCompletion as error:
            assert str(error)

    def test_a_stream_that_ends_too_soon(self) -> None:
        with pytest.raises(CutOff):
            read([delta(content="half")])

    @pytest.mark.parametrize(
        "calls",
        [
            [call(0, "a", "add", '{"x"'), call(0, arguments=": 1}"), call(1, "b", "mul", "{}")],
            [call(0, "a", "add", '{"x": 1}'), call(0, "b", "mul", "{}")],
            [call(0, "a", "add", '{"x"'), call(0, arguments=": 1}"), call(0, "b", "mul", "{"), call(0, arguments="}")],
            [call(None, "a", "add", '{"x": 1}'), call(None, "b", "mul", "{}")],
            [call(0, "a", "add"), call(1, "b", "mul"), call(1, arguments="{}"), call(0, arguments='{"x": 1}')],
            [call(1, "a", "add", '{"x"'), call(7, "b", "mul", "{"), call(1, arguments=": 1}"), call(7, arguments="}")],
        ],
        ids=["in pieces", "all number 0", "all number 0, in pieces", "without numbers", "interleaved", "with gaps"],
    )
    def test_tool_calls_of_a_stream(self, calls: list[dict[str, Any]]) -> None:
        response = read([*(delta(tool_calls=[each]) for each in calls), delta("tool_calls")])
        assert response.message.tool_calls == (
            ToolCall(id="a", name="add", arguments='{"x": 1}'),
            ToolCall(id="b", name="mul", arguments="{}"),
        )
        assert response.finish == "tool_calls"

    @pytest.mark.parametrize("ids", [("a", "b"), ("", ""), (None, None)])
    def test_tool_calls_of_a_whole_completion_with_ids_or_without(self, ids: tuple[str | None, str | None]) -> None:
        calls = [call(None, ids[0], "add", '{"x": 1}'), call(None, ids[1], "mul", "{}")]
        made = whole_response(whole(tool_calls=calls), ASKED, model="m").message.tool_calls
        assert [(each.name, each.arguments) for each in made] == [("add", '{"x": 1}'), ("mul", "{}")]
        assert made[0].id != made[1].id

    @pytest.mark.parametrize(
        ("reported", "finish"),
        [("stop", "stop"), ("length", "length"), ("content_filter", "content_filter"), ("eos", "stop")],
    )
    def test_finish_reasons(self, reported: str, finish: str) -> None:
        assert read([delta(reported, content="x")]).finish == finish

    def test_usage_in_full(self) -> None:
        usage = {
            "prompt_tokens": 10,
            "completion_tokens": 7,
            "prompt_tokens_details": {"cached_tokens": 4},
            "completion_tokens_details": {"reasoning_tokens": 5},
            "cost": 0.25,
        }
        spent = read([delta("stop", content="x"), {"choices": [], "usage": usage}]).usage
        assert spent.model_dump() == {
            "calls": 1,
            "input_tokens": 10,
            "cached_input_tokens": 4,
            "output_tokens": 7,
            "reasoning_tokens": 5,
            "cost_usd": 0.25,
        }


class TestRequests:
    @given(
        st.lists(
            st.builds(
                Message.user,
                st.text(st.characters(exclude_categories=["Cs"])),
                st.lists(st.builds(ImagePart, data=st.binary(max_size=9)), max_size=2).map(tuple),
            ),
            max_size=3,
        ).map(tuple),
        st.booleans(),
        st.booleans(),
    )
    def test_any_conversation_is_json(self, messages: tuple[Message, ...], stream: bool, is_openai: bool) -> None:
        body = json.loads(
            request_body(ModelRequest(messages), model="m", stream=stream, profile=OPENAI if is_openai else Profile())
        )
        for sent, message in zip(body["messages"], messages, strict=True):
            parts = sent["content"] if message.images else [{"type": "text", "text": sent["content"]}]
            assert "".join(part["text"] for part in parts if part["type"] == "text") == message.text
            urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
            assert [b64decode(url.partition(",")[2]) for url in urls] == [image.data for image in message.images]
        assert body.get("stream", False) is stream

    def test_openai_itself_is_spoken_to_in_its_own_way(self) -> None:
        schema: Any = {"type": "object", "properties": {"x": {"type": "string", "maxLength": 3}}, "required": ["x"]}
        request = ModelRequest(ASKED.messages, ModelSettings(max_tokens=5), output_schema=OutputSchema("s", schema))
        theirs = json.loads(request_body(request, model="m", stream=False, profile=OPENAI))
        others = json.loads(request_body(request, model="m", stream=False, profile=Profile()))
        assert (theirs["max_completion_tokens"], others["max_tokens"]) == (5, 5)
        assert "max_tokens" not in theirs
        for sent in (theirs, others):
            assert sent["response_format"]["json_schema"]["schema"] == sent_schema(schema, "openai").schema
            assert sent["response_format"]["json_schema"]["strict"] is True

    @pytest.mark.parametrize(("choice", "sent"), [("auto", None), ("none", "none"), ("required", "required")])
    def test_tool_choice(self, choice: Any, sent: str | None) -> None:
        request = ModelRequest(ASKED.messages, tools=(ToolSpec("t", "", {"type": "object"}),), tool_choice=choice)
        assert json.loads(request_body(request, model="m", stream=False, profile=OPENAI)).get("tool_choice") == sent


@given(st.text(st.characters(codec="latin-1")))
def test_any_retry_after_is_seconds_or_nothing(value: str) -> None:
    seconds = retry_after({"retry-after": value})
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize("value", ["-5", "nan", "Mon, 01 Jan 0001 00:00:00 GMT", "Mon, 01 Jan 2001 00:00:00 +9999"])
def test_an_odd_retry_after(value: str) -> None:
    assert retry_after({"retry-after": value}) in (None, 0.0)
