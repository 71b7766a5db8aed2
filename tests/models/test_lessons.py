"""What refusals teach, in further words of servers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contemplate.models.openai.lessons import Lesson, lesson_from, room_left
from contemplate.models.openai.profile import Profile
from contemplate.models.openai.refusals import refusal_of

BODY: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "y"}],
    "temperature": 0.5,
    "top_p": 0.9,
    "seed": 3,
    "stop": ["END"],
    "max_tokens": 50,
    "logprobs": True,
    "reasoning_effort": "low",
    "stream": True,
    "stream_options": {"include_usage": True},
}
SCHEMA = {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {}, "strict": True}}}
TOOLS = {"tools": [{}], "tool_choice": "required"}
LOGPROBS = {"left_out": ["logprobs", "top_logprobs"]}


@pytest.mark.parametrize(
    ("words", "more", "changes"),
    [
        ("This model does not support logprobs.", {}, LOGPROBS),
        ("Stop sequences are not supported by this model", {}, {"left_out": ["stop"]}),
        ("Argument not supported on this model: stop", {}, {"left_out": ["stop"]}),
        ("Argument not supported: presencePenalty", {}, None),
        ("Only one of temperature or top_p may be set", {}, {"left_out": ["top_p"]}),
        ("seed: Extra inputs are not permitted", {}, {"left_out": ["seed"]}),
        ("user: hello is unsupported; the seed of discord", {}, None),
        ("json_schema response format is not supported for this model", SCHEMA, {"schema_form": "json_object"}),
        ("response_format value as json_schema is enabled only for 2024-08-01", SCHEMA, {"schema_form": "json_object"}),
        ("The schema produces a constraint that has too many states", SCHEMA, {"schema_form": "json_object"}),
        ("Schema for response_format contains $ref, unsupported", SCHEMA, {"schema_form": "plain"}),
        ("response_format.json_schema.strict is not permitted", SCHEMA, {"schema_form": "plain"}),
        ("Invalid schema for function 'add': bad", {**SCHEMA, **TOOLS}, None),
        ("`tools` and `response_format` cannot be used together", {**SCHEMA, **TOOLS}, {"schema_with_tools": False}),
        ("Tool choice must be auto", TOOLS, {"required_tool_choice": None}),
        ("deepseek-reasoner does not support this tool_choice", TOOLS, {"required_tool_choice": None}),
        ("The model does not support function calling", TOOLS, {"tool_form": "prompted"}),
        ("the valid range of max_tokens is [1, 8192]", {"max_tokens": 9000}, {"max_output_tokens": 8192}),
        ("max_tokens: expected <= 16384, but got 20000 instead", {"max_tokens": 20000}, {"max_output_tokens": 16384}),
        ("reasoning_effort: 'low' is not one of ['high', 'max']", {}, {"efforts": ["high", "max"]}),
        ("reasoning_effort must be one of 'none', 'default'", {}, {"left_out": ["reasoning_effort"]}),
        ("Unexpected role 'system' at index 0", {}, {"system_role": "user"}),
        (
            "The reasoning_content in the thinking mode must be passed back",
            {},
            {"reasoning_field": "reasoning_content"},
        ),
    ],
)
def test_what_it_teaches(words: str, more: dict[str, Any], changes: dict[str, Any] | None) -> None:
    refusal = refusal_of(400, json.dumps({"error": {"message": words}}), "m")
    lesson = lesson_from(refusal, {**BODY, **more}, Profile())
    assert (None if lesson is None else lesson.changes) == changes


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["error", "message", "detail", "loc", "msg", "param", "code", "raw"]) | st.text(), inner
            )
        ),
    ),
    st.binary(),
)
def test_anything_can_be_read(data: object, raw: bytes) -> None:
    for refusal in (refusal_of(400, json.dumps(data)), refusal_of(422, data), refusal_of(400, raw)):
        lesson = lesson_from(refusal, {**BODY, **SCHEMA, **TOOLS}, Profile())
        assert lesson is None or lesson.applied_to(Profile()) != Profile()
        room_left(refusal, BODY)


@given(
    st.dictionaries(
        st.sampled_from([*Profile.model_fields, "other"]), st.none() | st.text() | st.integers() | st.lists(st.text())
    )
)
def test_a_lesson_that_does_not_fit_changes_nothing(changes: Any) -> None:
    assert isinstance(Lesson(changes=changes, words="").applied_to(Profile()), Profile)
