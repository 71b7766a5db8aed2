"""What refusals teach, in further words of servers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contemplate.models.openai.lessons import Lesson, lesson_from, room_left
from contemplate.models.openai.profile import Profile
from contemplate.models.openai.refusals import may_refuse, refusal_of

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
        ("max_tokens must be greater than or equal to 1", {}, {"max_tokens_field": "max_completion_tokens"}),
        ("temperature is at most 1. See section 1.2.", {"temperature": 1.5}, {"at_most": {"temperature": 1.0}}),
        ("reasoning_effort: 'low' is not one of ['high', 'max']", {}, {"efforts": ["high", "max"]}),
        ("reasoning_effort must be one of 'none', 'default'", {}, {"left_out": ["reasoning_effort"]}),
        ("`seed` is not a recognized parameter", {}, {"left_out": ["seed"]}),
        ("Additional properties are not allowed ('seed' was unexpected)", {}, {"left_out": ["seed"]}),
        ("Malformed input request: extraneous key [seed] is not permitted", {}, {"left_out": ["seed"]}),
        ("json_schema is not a valid response format type", SCHEMA, {"schema_form": "json_object"}),
        ("structured output is unavailable for this model", SCHEMA, {"schema_form": "json_object"}),
        ("Invalid value for 'temperature': expected 1", {}, {"left_out": ["temperature"]}),
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


def test_a_form_that_is_named_in_its_place_is_not_unknown_for_that() -> None:
    said = {"error": {"message": "This schema is too much.", "param": "response_format"}}
    lesson = lesson_from(refusal_of(400, said, "m"), {**BODY, **SCHEMA}, Profile())
    assert lesson is not None
    assert lesson.changes == {"schema_form": "json_object"}


@pytest.mark.parametrize("words", ["Unsupported parameter: seed", "`seed` is not a recognized parameter"])
def test_schemas_of_tools_are_left_alone_where_something_else_is_refused(words: str) -> None:
    lesson = lesson_from(refusal_of(400, {"error": {"message": words}}, "m"), {**BODY, **calls(OPEN)}, Profile())
    assert lesson is not None
    assert lesson.changes == {"left_out": ["seed"]}


@pytest.mark.parametrize(
    ("status", "words", "more", "changes"),
    [
        (403, "You are not allowed to request logprobs from this model", {}, LOGPROBS),
        (403, "temperature is not permitted for this model", {"param": "temperature"}, {"left_out": ["temperature"]}),
        (403, "Your key has no permission to use this model", {}, None),
        (403, "Request to stop: your account is not active", {}, None),
        (405, "Unsupported parameter: seed", {}, {"left_out": ["seed"]}),
        (409, "Unsupported parameter: seed", {}, {"left_out": ["seed"]}),
        (413, "Unsupported parameter: seed", {}, None),
        (415, "Unsupported parameter: seed", {}, {"left_out": ["seed"]}),
        (418, "Unsupported parameter: seed", {}, {"left_out": ["seed"]}),
        (400, "Unsupported parameter: seed", {"code": 429}, None),
        (400, "Unsupported parameter: seed", {"code": 400}, {"left_out": ["seed"]}),
    ],
)
def test_which_statuses_count(status: int, words: str, more: dict[str, Any], changes: dict[str, Any] | None) -> None:
    refusal = refusal_of(status, json.dumps({"error": {"message": words, **more}}), "m")
    lesson = lesson_from(refusal, BODY, Profile()) if may_refuse(status) else None
    assert (None if lesson is None else lesson.changes) == changes


@pytest.mark.parametrize("status", [401, 402, 407, 408, 413, 425, 429, 451, 498, 502, 503, 504, 200])
def test_keys_accounts_and_loads_are_no_refusals(status: int) -> None:
    assert not may_refuse(status)


LIST: dict[str, Any] = {
    "type": "object",
    "properties": {"a": {"type": "array", "items": {"type": "string"}, "maxItems": 3}},
    "required": ["a"],
    "additionalProperties": False,
}
OPEN: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string", "const": "b"}}, "required": ["a"]}


def asks_for(schema: dict[str, Any]) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": schema, "strict": True}}}


def calls(schema: dict[str, Any]) -> dict[str, Any]:
    return {"tools": [{"type": "function", "function": {"name": "t", "parameters": schema}}]}


@pytest.mark.parametrize(
    ("words", "more", "written", "dialect"),
    [
        ("Unsupported JSON schema fields: {'maxItems'}", asks_for(LIST), "openai", "closed"),
        (
            "invalid JSON schema for response_format: /: `additionalProperties:false` must be set on every object",
            asks_for(OPEN),
            "json_schema",
            "openai",
        ),
        (
            "Invalid schema for response_format 's': In context=(), 'additionalProperties' is required to be supplied "
            "and to be false.",
            asks_for(OPEN),
            "json_schema",
            "openai",
        ),
        ("Failed to initialize samplers: failed to parse grammar", asks_for(OPEN), "json_schema", "llama_cpp"),
        (
            'Invalid JSON payload received. Unknown name "const" at '
            "'generation_config.response_schema.properties[0].value': Cannot find field.",
            asks_for(OPEN),
            "json_schema",
            "gemini",
        ),
        (
            "Invalid schema for function 't': In context=(), 'additionalProperties' is required to be supplied and to "
            "be false.",
            calls(OPEN),
            "json_schema",
            "openai",
        ),
        (
            'Invalid JSON payload received. Unknown name "const" at \'tools[0].function_declarations[0].parameters'
            ".properties[0].value': Cannot find field.",
            calls(OPEN),
            "json_schema",
            "gemini",
        ),
        ("Unsupported JSON schema fields: {'maxItems'}", calls(LIST), "openai", "closed"),
        ("tools.0.custom.input_schema: JSON schema is invalid: maxItems", calls(LIST), "openai", "closed"),
    ],
)
def test_a_schema_is_written_in_another_dialect(words: str, more: dict[str, Any], written: Any, dialect: str) -> None:
    profile = Profile(schema_dialect=written)
    lesson = lesson_from(refusal_of(400, {"error": {"message": words}}, "m"), {**BODY, **more}, profile)
    assert lesson is not None
    assert lesson.changes == {"schema_dialect": dialect}


IMAGE = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}


@pytest.mark.parametrize(
    ("words", "learnt"),
    [
        ("image input is not supported - hint: you may need to provide the mmproj", True),
        ("No endpoints found that support image input", True),
        ("messages[1]: unknown variant `image_url`, expected `text`", True),
        ("Invalid content type. image_url is only supported by certain models.", True),
        ("Image input is not enabled for this model", True),
        ("m is not a multimodal model", True),
        ("At most 0 image(s) may be provided in one request.", True),
        ("This model does not support images", True),
        ("messages[0].content must be a string", True),
        ("You uploaded an unsupported image. Please make sure your image is valid: png, jpeg, gif, webp", False),
        ("image exceeds 5 MB maximum", False),
        ("Unsupported image format: bmp", False),
        ("The image could not be downloaded; URLs are not supported", False),
    ],
)
def test_images_that_are_not_understood(words: str, learnt: bool) -> None:
    refusal = refusal_of(400, {"error": {"message": words}}, "m")
    lesson = lesson_from(refusal, {"model": "m", "messages": [IMAGE]}, Profile())
    assert (lesson is not None and lesson.changes == {"images": False}) is learnt
    assert lesson_from(refusal, {"model": "m", "messages": [{"role": "user", "content": "x"}]}, Profile()) is None


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
