"""What a server refuses is learnt within the call, once, and kept."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest
from filelock import FileLock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contemplate import Contemplator, Message, ModelSettings
from contemplate.errors import ModelAuthError, ModelError, ModelRateLimitError, ModelRequestError
from contemplate.messages import ImagePart, ToolCall
from contemplate.models import Delta, ModelRequest, ModelResponse, OpenAIModel, OutputSchema, Retry, ToolSpec
from contemplate.models.openai import connections, lesson_store
from contemplate.models.openai.lesson_store import FILE, forget, forget_lessons
from contemplate.models.openai.lessons import Lesson
from contemplate.models.openai.profile import Profile
from contemplate.testing import FaultyServer
from contemplate.testing.faulty import ChatAnswer, Exchange, HttpError, Reply

from .refusing import WORDINGS, Said, refusing

pytestmark = pytest.mark.anyio

EVERYTHING = ModelSettings(
    temperature=0.5, top_p=0.9, max_tokens=50, seed=3, stop=("END",), reasoning_effort="low", logprobs=2
)
OPTIONAL = ("temperature", "top_p", "seed", "stop", "reasoning_effort", "logprobs", "top_logprobs", "stream_options")
SCHEMA: Any = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
TOOL = ToolSpec("add", "Adds.", {"type": "object", "properties": {}})
Ask = Callable[[OpenAIModel], Any]


def asking(settings: ModelSettings = EVERYTHING, **more: Any) -> ModelRequest:
    return ModelRequest((Message.system("rules"), Message.user("hello")), settings, **more)


def error(message: str, status: int = 400, **more: Any) -> Said:
    return Said(status, {"error": {"message": message, **more}})


def unless(accepted: Callable[[Mapping[str, Any]], Reply | None], answer: Reply | str = "ok") -> Any:
    """A script that asks a function for a refusal of the body."""

    def script(exchange: Exchange) -> Reply | str:
        refused = accepted(exchange.body)
        if refused is not None:
            exchange.fault = "refused"
            return refused
        return answer

    return script


class Asked:
    """What came of a request, and of the same one again."""

    def __init__(self, first: ModelResponse, refused: int, again: int, bodies: list[Mapping[str, Any]], texts: str):
        self.first, self.refused, self.again, self.bodies, self.streamed = first, refused, again, bodies, texts

    @property
    def body(self) -> Mapping[str, Any]:
        return self.bodies[-1]


async def ask_twice(
    script: Any, request: ModelRequest | None = None, *, stream: bool = False, profile: Profile | None = None
) -> Asked:
    deltas: list[Delta] = []
    with FaultyServer(script) as server:
        model = OpenAIModel("m", base_url=server.url, profile=profile)
        refused: list[int] = []
        for _ in range(2):
            deltas.clear()
            response = await model.request(request or asking(), deltas.append if stream else None)
            if not refused:
                first = response
            refused.append(sum(each.fault is not None for each in server.exchanges))
        bodies = [each.body for each in server.exchanges]
    text = "".join(each.text for each in deltas)
    assert not stream or text == response.message.text
    return Asked(first, refused[0], refused[1] - refused[0], bodies, text)


@pytest.mark.parametrize(("anyio_backend", "stream"), [("asyncio", True), ("trio", False)])
@pytest.mark.parametrize("wording", WORDINGS)
@pytest.mark.parametrize("field", ["seed", "stop", "temperature"])
async def test_a_refused_field_is_left_out_in_every_wording(wording: str, field: str, stream: bool) -> None:
    asked = await ask_twice(refusing({field: wording}), stream=stream)
    assert asked.first.message.text == "ok"
    assert (asked.refused, asked.again) == (1, 0)
    assert field not in asked.body
    assert asked.first.notes == (f"learnt from a refusal: {field} is not sent",)
    assert asked.first.usage.calls == 1
    assert {"temperature", "seed", "stop", "max_tokens"} - {field} <= set(asked.body)


@pytest.mark.parametrize("wording", WORDINGS)
async def test_the_other_field_for_the_bound_is_tried(wording: str) -> None:
    for field, other in (("max_tokens", "max_completion_tokens"), ("max_completion_tokens", "max_tokens")):
        forget_lessons()
        profile = Profile(max_tokens_field=field)  # type: ignore[arg-type]
        asked = await ask_twice(refusing({field: wording}), profile=profile)
        assert asked.body[other] == 50
        assert (asked.refused, asked.again) == (1, 0)
    neither = dict.fromkeys(("max_tokens", "max_completion_tokens"), wording)
    forget_lessons()
    asked = await ask_twice(refusing(neither))
    assert not {"max_tokens", "max_completion_tokens"} & set(asked.body)
    assert (asked.refused, asked.again) == (2, 0)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    refused=st.dictionaries(
        st.sampled_from([*OPTIONAL, "max_tokens", "max_completion_tokens"]),
        st.sampled_from(sorted(WORDINGS)),
        max_size=7,
    ),
    stream=st.booleans(),
)
async def test_whatever_is_refused_the_call_is_answered(refused: dict[str, str], stream: bool) -> None:
    forget_lessons()
    asked = await ask_twice(refusing(refused), stream=stream)
    assert asked.first.message.text == "ok"
    assert asked.refused <= len(refused)
    assert asked.again == 0
    kept = {"temperature", "top_p", "seed", "stop", "reasoning_effort"} - set(refused)
    assert kept <= set(asked.body)


@pytest.mark.parametrize("transport", ["aiohttp", "httpx2"])
async def test_both_transports(transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if transport == "httpx2":
        monkeypatch.setattr(connections, "aiohttp_fits", lambda: False)
    asked = await ask_twice(refusing({"seed": "gemini", "logprobs": "groq"}), stream=True)
    assert (asked.refused, asked.again) == (2, 0)


CASES: dict[str, tuple[Callable[[Mapping[str, Any]], Reply | None], ModelRequest, Mapping[str, Any]]] = {
    "use instead": (
        lambda body: (
            error(
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                "'max_completion_tokens' instead.",
                param="max_tokens",
                code="unsupported_parameter",
            )
            if "max_tokens" in body
            else None
        ),
        asking(),
        {"max_completion_tokens": 50, "max_tokens": None},
    ),
    "only the default": (
        lambda body: (
            error(
                "Unsupported value: 'temperature' does not support 0.5 with this model. Only the default (1) value is "
                "supported.",
                param="temperature",
                code="unsupported_value",
            )
            if body.get("temperature", 1) != 1
            else None
        ),
        asking(),
        {"temperature": None, "top_p": 0.9},
    ),
    "only 1 is allowed": (
        lambda body: (
            error("invalid temperature: only 1 is allowed for this model") if body.get("temperature", 1) != 1 else None
        ),
        asking(),
        {"temperature": None},
    ),
    "between": (
        lambda body: error("temperature must be between 0 and 1") if body.get("temperature", 0) > 1 else None,
        asking(ModelSettings(temperature=1.5)),
        {"temperature": 1},
    ),
    "too many logprobs": (
        lambda body: error("top_logprobs must be less than or equal to 5") if body.get("top_logprobs", 0) > 5 else None,
        asking(ModelSettings(logprobs=20)),
        {"top_logprobs": 5, "logprobs": True},
    ),
    "efforts": (
        lambda body: (
            error(
                "Unsupported value: 'reasoning_effort' does not support 'minimal' with this model. "
                "Supported values are: "
                "'low', 'medium', and 'high'.",
                param="reasoning_effort",
            )
            if body.get("reasoning_effort") == "minimal"
            else None
        ),
        asking(ModelSettings(reasoning_effort="minimal")),
        {"reasoning_effort": "low"},
    ),
    "camel case": (
        lambda body: (
            error("Model m does not support parameter reasoningEffort") if "reasoning_effort" in body else None
        ),
        asking(),
        {"reasoning_effort": None},
    ),
    "anthropic's bound": (
        lambda body: (
            error(
                "max_tokens: 5000 > 4096, which is the maximum allowed number of output tokens for claude-3-haiku",
                type="invalid_request_error",
            )
            if body["max_tokens"] > 4096
            else None
        ),
        asking(ModelSettings(max_tokens=5000)),
        {"max_tokens": 4096},
    ),
    "openai's bound": (
        lambda body: (
            error(
                "max_tokens is too large: 32000. This model supports at most 16384 completion tokens, "
                "whereas you provided "
                "32000.",
                param="max_tokens",
                code="invalid_value",
            )
            if body["max_tokens"] > 16384
            else None
        ),
        asking(ModelSettings(max_tokens=32000)),
        {"max_tokens": 16384},
    ),
    "qwen's bound": (
        lambda body: (
            error("<400> InternalError.Algo.InvalidParameter: Range of max_tokens should be [1, 8192]")
            if body["max_tokens"] > 8192
            else None
        ),
        asking(ModelSettings(max_tokens=10_000)),
        {"max_tokens": 8192},
    ),
    "developer role": (
        lambda body: (
            error("Unsupported value: 'messages[0].role' does not support 'developer' with this model.")
            if body["messages"][0]["role"] == "developer"
            else None
        ),
        asking(),
        {},
    ),
    "no system role": (
        lambda body: error("System role not supported") if body["messages"][0]["role"] == "system" else None,
        asking(),
        {"messages": [{"role": "user", "content": "rules\n\nhello"}]},
    ),
    "openai's system role": (
        lambda body: (
            error(
                "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
                param="messages[0].role",
                code="unsupported_value",
            )
            if body["messages"][0]["role"] == "system"
            else None
        ),
        asking(),
        {"messages": [{"role": "user", "content": "rules\n\nhello"}]},
    ),
    "gemma's instructions": (
        lambda body: (
            error("Developer instruction is not enabled for models/gemma-3-27b-it")
            if body["messages"][0]["role"] == "system"
            else None
        ),
        asking(),
        {"messages": [{"role": "user", "content": "rules\n\nhello"}]},
    ),
    "roles alternate": (
        lambda body: (
            error(
                "After the optional system message, conversation roles must alternate user/assistant/user/assistant/..."
            )
            if [each["role"] for each in body["messages"]] == ["user", "user"]
            else None
        ),
        ModelRequest((Message.user("a"), Message.user("b"))),
        {"messages": [{"role": "user", "content": "a\n\nb"}]},
    ),
    "stream options": (
        lambda body: (
            error("Extra inputs are not permitted, field: 'stream_options'") if "stream_options" in body else None
        ),
        asking(),
        {"stream_options": None},
    ),
    "required tools": (
        lambda body: (
            error("tool_choice 'required' is incompatible with thinking enabled")
            if body.get("tool_choice") == "required"
            else None
        ),
        asking(tools=(TOOL,), tool_choice="required"),
        {"tool_choice": None},
    ),
    "any tool": (
        lambda body: (
            error("Input should be 'auto', 'none' or 'any' for tool_choice")
            if body.get("tool_choice") == "required"
            else None
        ),
        asking(tools=(TOOL,), tool_choice="required"),
        {"tool_choice": "any"},
    ),
    "no tool": (
        lambda body: error("tool_choice: 'none' is not supported") if body.get("tool_choice") == "none" else None,
        asking(tools=(TOOL,), tool_choice="none"),
        {"tool_choice": None, "tools": None},
    ),
    "both": (
        lambda body: (
            error("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")
            if {"temperature", "top_p"} <= set(body)
            else None
        ),
        asking(),
        {"temperature": 0.5, "top_p": None},
    ),
    "many at once": (
        lambda body: (
            error("Unsupported parameters: ['seed', 'top_p', 'stop']") if "seed" in body or "stop" in body else None
        ),
        asking(),
        {"seed": None, "top_p": None, "stop": None, "temperature": 0.5},
    ),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("case", CASES)
async def test_values_bounds_and_combinations(case: str, stream: bool) -> None:
    refuses, request, expected = CASES[case]
    profile = Profile(system_role="developer") if case == "developer role" else None
    asked = await ask_twice(unless(refuses), request, stream=stream, profile=profile)
    assert asked.again == 0
    assert asked.refused <= 1
    if stream or case != "stream options":
        assert asked.refused == 1
    assert {name: asked.body.get(name) for name in expected} == expected


async def test_streams_where_there_are_none() -> None:
    refuses = unless(lambda body: error("Streaming is not supported for this model") if body.get("stream") else None)
    asked = await ask_twice(refuses, stream=True)
    assert (asked.refused, asked.again, asked.streamed) == (1, 0, "ok")


class TestSchemas:
    """An answer is held to its schema as firmly as the server can."""

    FORMS = ("strict", "plain", "json_object", "words")

    @staticmethod
    def form(body: Mapping[str, Any]) -> str:
        wanted = body.get("response_format")
        if wanted is None:
            return "words"
        if wanted["type"] == "json_object":
            return "json_object"
        return "strict" if "strict" in wanted["json_schema"] else "plain"

    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize(
        ("message", "more", "forms"),
        [
            ("This response_format type is unavailable now", {}, ["strict", "json_object"]),
            (
                "Invalid schema for response_format 'plan': In context=(), 'additionalProperties' is required to be "
                "supplied and to be false.",
                {"param": "response_format"},
                ["strict", "plain"],
            ),
            (
                "This model does not support response format `json_schema`. See supported models at the docs",
                {"param": "response_format"},
                ["strict", "json_object"],
            ),
            ("Extra inputs are not permitted, field: 'response_format'", {}, ["strict", "words"]),
            ('Unknown name "response_format": Cannot find field.', {}, ["strict", "words"]),
            ("Structured outputs are not supported by this model", {}, ["strict", "json_object"]),
            ("'response_format.type' must be either 'text' or 'json_object'", {}, ["strict", "json_object"]),
        ],
    )
    async def test_one_step_looser(self, message: str, more: Any, forms: list[str], stream: bool) -> None:
        def refuses(body: Mapping[str, Any]) -> Reply | None:
            return error(message, **more) if self.form(body) == "strict" else None

        request = asking(ModelSettings(), output_schema=OutputSchema("plan", SCHEMA))
        asked = await ask_twice(unless(refuses, '{"x": 1}'), request, stream=stream)
        assert [self.form(body) for body in asked.bodies] == [*forms, forms[-1]]
        assert json.loads(asked.first.message.text) == {"x": 1}
        told = "JSON schema" in asked.body["messages"][0]["content"]
        assert told is (forms[-1] in ("json_object", "words"))

    async def test_step_by_step(self) -> None:
        said = {
            "strict": "Invalid schema for response_format: strict mode needs additionalProperties",
            "plain": "json_schema is not supported",
            "json_object": "response_format is not supported",
        }

        def refuses(body: Mapping[str, Any]) -> Reply | None:
            return error(said[self.form(body)]) if self.form(body) in said else None

        request = asking(output_schema=OutputSchema("plan", SCHEMA))
        asked = await ask_twice(unless(refuses, '```json\n{"x": 1}\n```'), request)
        assert [self.form(body) for body in asked.bodies] == [*self.FORMS, "words"]
        assert asked.first.message.text == '{"x": 1}'

    @pytest.mark.parametrize("stream", [False, True])
    async def test_tools_first(self, stream: bool) -> None:
        def refuses(body: Mapping[str, Any]) -> Reply | None:
            both = "tools" in body and "response_format" in body
            return error("json mode cannot be combined with tool/function calling") if both else None

        request = asking(ModelSettings(), tools=(TOOL,), output_schema=OutputSchema("plan", SCHEMA))
        asked = await ask_twice(unless(refuses, '{"x": 1}'), request, stream=stream)
        assert (asked.refused, asked.again) == (1, 0)
        assert "JSON schema" in asked.body["messages"][0]["content"]
        forget_lessons()
        last = asking(ModelSettings(), tools=(TOOL,), tool_choice="none", output_schema=OutputSchema("plan", SCHEMA))
        asked = await ask_twice(unless(refuses, '{"x": 1}'), last, stream=stream)
        assert self.form(asked.body) == "strict"
        assert "tools" not in asked.body

    async def test_gemini_says_it_otherwise(self) -> None:
        def refuses(body: Mapping[str, Any]) -> Reply | None:
            both = "tools" in body and "response_format" in body
            text = "Function calling with a response mime type: 'application/json' is unsupported"
            return error(text, code="INVALID_ARGUMENT") if both else None

        request = asking(tools=(TOOL,), output_schema=OutputSchema("plan", SCHEMA))
        assert (await ask_twice(unless(refuses), request)).refused == 1

    async def test_schemas_that_are_not_streamed(self) -> None:
        def refuses(body: Mapping[str, Any]) -> Reply | None:
            both = body.get("stream") and "response_format" in body
            return error("`response_format` does not support streaming") if both else None

        request = asking(output_schema=OutputSchema("plan", SCHEMA))
        asked = await ask_twice(unless(refuses, '{"x": 1}'), request, stream=True)
        assert (asked.refused, asked.again, asked.streamed) == (1, 0, '{"x": 1}')

    @pytest.mark.parametrize("stream", [False, True])
    async def test_the_answer_as_the_call_of_a_tool(self, stream: bool) -> None:
        answer = ChatAnswer("", tool_calls=[("plan", '{"x": 1}')], finish="tool_calls")
        request = asking(output_schema=OutputSchema("plan", SCHEMA))
        asked = await ask_twice(answer, request, stream=stream, profile=Profile(schema_form="tool"))
        assert asked.first.message == Message.assistant('{"x": 1}')
        assert asked.first.finish == "stop"
        assert asked.body["tool_choice"] == "required"
        assert [each["function"]["name"] for each in asked.body["tools"]] == ["plan"]


class TestUnheeded:
    """A server that takes no notice of schemas."""

    REQUEST = asking(ModelSettings(), output_schema=OutputSchema("plan", SCHEMA))

    @pytest.mark.parametrize("stream", [False, True])
    async def test_prose_teaches_words(self, stream: bool) -> None:
        def script(exchange: Exchange) -> str:
            return '{"x": 1}' if "JSON schema" in str(exchange.messages) else "The answer is \\boxed{1}."

        deltas: list[Delta] = []
        with FaultyServer(script) as server:
            model = OpenAIModel("m", base_url=server.url)
            first = await model.request(self.REQUEST, deltas.append if stream else None)
            assert first.message.text == "The answer is \\boxed{1}."
            assert first.notes == (
                "learnt from an answer: the server takes no notice of schemas; they are told in words",
            )
            second = await model.request(self.REQUEST, deltas.append if stream else None)
            assert (second.message.text, second.notes) == ('{"x": 1}', ())
            # One call each: the first answer is paid for, and was not asked for again.
            assert len(server.exchanges) == 2

    @pytest.mark.parametrize(
        "answer",
        [
            '{"y": "of another schema"}',
            '{"x": 1',
            '```json\n{"x": 1}\n```',
            'Here it is: {"x": 1}',
            "[1, 2]",
            "1",
            '"one"',
            "",
            ChatAnswer("The answer is", finish="length"),
            ChatAnswer("I cannot", finish="content_filter"),
            ChatAnswer("Let me see.", tool_calls=[("add", "{}")], finish="tool_calls"),
        ],
        ids=str,
    )
    async def test_what_a_model_may_say_under_a_schema_teaches_nothing(self, answer: Any) -> None:
        with FaultyServer(answer) as server:
            model = OpenAIModel("m", base_url=server.url)
            response = await model.request(
                asking(ModelSettings(), tools=(TOOL,), output_schema=OutputSchema("p", SCHEMA))
            )
            assert not [note for note in response.notes if "learnt" in note]
            assert model.profile == Profile()

    async def test_prose_again_teaches_no_more(self) -> None:
        with FaultyServer("Paris.") as server:
            model = OpenAIModel("m", base_url=server.url)
            for _ in range(4):
                await model.request(self.REQUEST)
            assert model.profile == Profile(schema_form="words")
            assert len(server.exchanges) == 4


class TestImages:
    """An image may be the question, so it is never left out."""

    REQUEST = ModelRequest((Message.user("Which colour?", (ImagePart(data=b"x", media_type="image/png"),)),))

    async def test_a_model_that_does_not_see_is_not_asked_again(self) -> None:
        refuses = unless(
            lambda body: error("image input is not supported") if "image_url" in json.dumps(body) else None
        )
        with FaultyServer(refuses) as server:
            model = OpenAIModel("m", base_url=server.url)
            with pytest.raises(ModelRequestError, match="image input is not supported"):
                await model.request(self.REQUEST)
            with pytest.raises(ModelRequestError, match="does not understand images"):
                await model.request(self.REQUEST)
            assert len(server.exchanges) == 1
            assert (await model.request(asking())).message.text == "ok"

    async def test_an_image_that_is_not_taken_says_nothing_of_others(self) -> None:
        with FaultyServer(unless(lambda _: error("Unsupported image format: bmp"))) as server:
            model = OpenAIModel("m", base_url=server.url)
            for _ in range(2):
                with pytest.raises(ModelRequestError, match="format"):
                    await model.request(self.REQUEST)
            assert len(server.exchanges) == 2


async def test_a_permission_for_a_field_is_learnt_and_that_of_a_key_is_not() -> None:
    refuses = unless(
        lambda body: (
            error("You are not allowed to request logprobs from this model", 403) if "logprobs" in body else None
        )
    )
    asked = await ask_twice(refuses)
    assert (asked.refused, asked.again) == (1, 0)
    forget_lessons()
    with FaultyServer(unless(lambda _: error("Your key may not use this model", 403))) as server:
        with pytest.raises(ModelAuthError):
            await OpenAIModel("m", base_url=server.url).request(asking())
        assert len(server.exchanges) == 1


ROUTED = "No endpoints found that can handle the requested parameters. To learn more about provider routing, visit x"


class TestNoneIsNamed:
    """OpenRouter's refusals of features and parameters, which it says with the status of a missing model."""

    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize(
        "message",
        [ROUTED, "One or more of the provided parameters are not supported by this model."],
    )
    async def test_what_matters_least_goes_first(self, message: str, stream: bool) -> None:
        refuses = unless(lambda body: error(message, 404) if {"seed", "stream_options"} & body.keys() else None)
        asked = await ask_twice(refuses, stream=stream)
        assert (asked.refused, asked.again) == (1, 0)
        assert {"temperature", "top_p", "stop", "reasoning_effort", "max_tokens"} <= asked.body.keys()

    @pytest.mark.parametrize("stream", [False, True])
    async def test_a_schema_and_tools_are_told_in_words(self, stream: bool) -> None:
        refuses = unless(lambda body: error(ROUTED, 404) if "response_format" in body else None, '{"x": 1}')
        request = ModelRequest((Message.user("hello"),), output_schema=OutputSchema("answer", SCHEMA))
        asked = await ask_twice(refuses, request, stream=stream)
        assert (asked.first.message.text, asked.again) == ('{"x": 1}', 0)
        forget_lessons()
        refuses = unless(
            lambda body: error(ROUTED, 404) if "tools" in body else None, '{"tool": "add", "arguments": {}}'
        )
        asked = await ask_twice(refuses, ModelRequest((Message.user("hello"),), tools=(TOOL,)), stream=stream)
        assert [call.name for call in asked.first.message.tool_calls] == ["add"]
        assert asked.again == 0

    @pytest.mark.parametrize(
        ("message", "hinted"),
        [
            (ROUTED, False),
            ("No endpoints found that support image input", False),
            ("No endpoints found matching your data policy (Free model publication)", False),
            ("No endpoints found for foo/m.", True),
            ("The model `x` does not exist", True),
        ],
    )
    async def test_which_says_that_the_model_is_not_there(self, message: str, hinted: bool) -> None:
        refuses = unless(lambda _: error(message, 404))
        with FaultyServer(refuses) as server, pytest.raises(ModelRequestError) as raised:
            await OpenAIModel("m", base_url=server.url).request(ModelRequest((Message.user("hello"),)))
        assert ("serve this model" in str(raised.value)) == hinted


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "said", ["```json\n{}\n```", "\n``` json\n{}\n```\n", "```{}```", "~~~json {}\n~~~", "````\n{}\n````"]
)
async def test_a_block_of_code_around_what_was_asked_for_in_words(said: str, stream: bool) -> None:
    told = said.replace("{}", '{"x": 1}')
    request = ModelRequest((Message.user("hello"),), output_schema=OutputSchema("answer", SCHEMA))
    with FaultyServer(unless(lambda _: None, told)) as server:
        model = OpenAIModel("m", base_url=server.url, profile=Profile(schema_form="words"))
        response = await model.request(request, (lambda delta: None) if stream else None)
    assert response.message.text == '{"x": 1}'


class TestTools:
    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize(
        "message",
        [
            "registry.ollama.ai/library/gemma:2b does not support tools",
            '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
            "No endpoints found that support tool use. To learn more about provider routing, visit the docs",
            "Function calling is not enabled for models/gemma-3-27b-it",
            "Extra inputs are not permitted, field: 'tools'",
        ],
    )
    async def test_tools_are_told_in_words(self, message: str, stream: bool) -> None:
        refuses = unless(
            lambda body: error(message, 404 if "endpoints" in message else 400) if "tools" in body else None,
            '{"tool": "add", "arguments": {"a": 1}}',
        )
        deltas: list[Delta] = []
        with FaultyServer(refuses) as server:
            model = OpenAIModel("m", base_url=server.url)
            for _ in range(2):
                response = await model.request(asking(tools=(TOOL,)), deltas.append if stream else None)
                assert [(call.name, call.arguments) for call in response.message.tool_calls] == [("add", '{"a":1}')]
            assert len(server.exchanges) == 3
        assert not "".join(delta.text for delta in deltas)

    async def test_a_user_after_a_tool(self) -> None:
        def refuses(body: Mapping[str, Any]) -> Reply | None:
            roles = [each["role"] for each in body["messages"]]
            if ("tool", "user") in pairwise(roles):
                return error(
                    "Unexpected role 'user' after role 'tool'", type="invalid_request_message_order", code="3230"
                )
            return None

        call = ToolCall(id="c", name="add", arguments="{}")
        request = ModelRequest(
            (Message.user("a"), Message.assistant("", (call,)), Message.tool("c", "5"), Message.user("b")),
            tools=(TOOL,),
        )
        asked = await ask_twice(unless(refuses), request)
        assert (asked.refused, asked.again) == (1, 0)
        assert [each["role"] for each in asked.body["messages"]] == ["user", "assistant", "tool", "assistant", "user"]

    @pytest.mark.parametrize(
        ("written", "sent"),
        [("", "{}"), ('{"a": 1', '{"a":1}'), ("[1]", "{}"), ("rubbish", "{}"), ('{"a": 1}', '{"a": 1}')],
    )
    async def test_arguments_are_an_object(self, written: str, sent: str) -> None:
        call = ToolCall(id="c", name="add", arguments=written)
        request = ModelRequest((Message.user("a"), Message.assistant("", (call,)), Message.tool("c", "5")))
        asked = await ask_twice("ok", request)
        assert asked.body["messages"][1]["tool_calls"][0]["function"]["arguments"] == sent

    async def test_an_assistant_that_said_nothing_is_not_sent(self) -> None:
        asked = await ask_twice("ok", ModelRequest((Message.user("a"), Message.assistant(""), Message.user("b"))))
        assert [each["content"] for each in asked.body["messages"]] == ["a", "b"]


class TestRoom:
    """A bound that does not fit beside the prompt is lowered for the call, and not remembered."""

    @pytest.mark.parametrize(
        "message",
        [
            "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens "
            "(1000 in the messages, "
            "4000 in the completion). Please reduce the length of the messages or completion.",
            "'max_tokens' or 'max_completion_tokens' is too large: 4000. This model's maximum context "
            "length is 4096 tokens "
            "and your request has 1000 input tokens (4000 > 4096 - 1000).",
            "Requested token count exceeds the model's maximum context length of 4096 tokens. You "
            "requested a total of 5000 "
            "tokens: 1000 tokens from the input messages and 4000 tokens for the completion.",
            "input length and `max_tokens` exceed context limit: 1000 + 4000 > 4096, decrease input "
            "length or `max_tokens` "
            "and try again",
            "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 1000 `inputs` tokens and 4000 `max_new_tokens`",
            "This endpoint's maximum context length is 4,096 tokens. However, you requested about "
            "5,000 tokens (1,000 of text "
            "input, 4,000 in the output).",
        ],
    )
    @pytest.mark.parametrize("stream", [False, True])
    async def test_it_is_lowered(self, message: str, stream: bool) -> None:
        def refuses(body: Mapping[str, Any]) -> Reply | None:
            return error(message, code=400) if body["max_tokens"] > 3096 else None

        asked = await ask_twice(unless(refuses), asking(ModelSettings(max_tokens=4000)), stream=stream)
        assert asked.body["max_tokens"] == 3096
        # Another prompt may leave more room.
        assert (asked.refused, asked.again) == (1, 1)
        assert asked.first.notes == ("the answer has at most 3096 tokens, as no more fit beside the prompt",)

    async def test_a_prompt_that_is_too_long_is_an_error(self) -> None:
        text = "This model's maximum context length is 4096 tokens. However, your messages resulted in 9000 tokens."
        with FaultyServer(error(text, code="context_length_exceeded")) as server:
            model = OpenAIModel("m", base_url=server.url)
            with pytest.raises(ModelRequestError):
                await model.request(asking())
            assert len(server.exchanges) == 1


class TestWhatTeachesNothing:
    @pytest.mark.parametrize(
        ("status", "message", "kind"),
        [
            (
                400,
                "The response was filtered due to the prompt triggering content management policy",
                ModelRequestError,
            ),
            (401, "Incorrect API key provided: temperature", ModelAuthError),
            (429, "seed is not supported: rate limit", ModelRateLimitError),
            (404, "The model `seed` does not exist", ModelRequestError),
            (400, "Your request was rejected by our safety system: stop is not supported", ModelRequestError),
            (400, "something is wrong", ModelRequestError),
            (500, "internal error", ModelError),
        ],
    )
    async def test_it_is_an_error_at_once(self, status: int, message: str, kind: type[ModelError]) -> None:
        with FaultyServer(HttpError(status, message)) as server:
            model = OpenAIModel("m", base_url=server.url)
            with pytest.raises(kind):
                await model.request(asking())
            assert len(server.exchanges) == 1
            assert model.profile == Profile()

    async def test_lessons_are_bounded(self) -> None:
        names = (f"x{number}" for number in range(100))
        extra: dict[str, Any] = dict.fromkeys(names, 1)

        def refuses(body: Mapping[str, Any]) -> Reply | None:
            return next((error(f"unknown parameter: '{name}'") for name in extra if name in body), None)

        with FaultyServer(unless(refuses)) as server:
            model = OpenAIModel("m", base_url=server.url)
            with pytest.raises(ModelRequestError):
                await model.request(asking(ModelSettings(extra=extra)))
            assert len(server.exchanges) == 9


class TestConcurrency:
    async def test_many_calls_learn_once(self) -> None:
        script = refusing({"seed": "mistral_text", "logprobs": "groq", "max_tokens": "openai"})
        with FaultyServer(script) as server:
            model = OpenAIModel("m", base_url=server.url)

            async def call() -> None:
                assert (await model.request(asking())).message.text == "ok"

            async with model.connect(), anyio.create_task_group() as group:
                for _ in range(20):
                    group.start_soon(call)
            refused = [each.fault for each in server.exchanges if each.fault]
            # Each of those that were sent before anything was known, and one more for each of the other lessons.
            assert len(refused) <= 22
            assert len([each for each in refused if each != "seed"]) == 2
            await model.request(asking())
            assert server.exchanges[-1].fault is None
            assert len([each for each in server.exchanges if each.fault]) == len(refused)

    async def test_another_object_for_the_same_model_knows(self) -> None:
        with FaultyServer(refusing({"seed": "gemini"})) as server:
            await OpenAIModel("m", base_url=server.url).request(asking())
            other = OpenAIModel("m", base_url=server.url)
            assert other.profile.left_out == {"seed"}
            await other.request(asking())
            assert len(server.exchanges) == 3
            assert OpenAIModel("n", base_url=server.url).profile == Profile()

    async def test_none_of_it_is_a_retry(self) -> None:
        with FaultyServer(refusing({"seed": "gemini", "stop": "vllm"})) as server:
            model = Retry(OpenAIModel("m", base_url=server.url), attempts=1)
            response = await model.request(asking())
        assert response.message.text == "ok"


class TestTheFile:
    @pytest.fixture(autouse=True)
    def _cache(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.delenv("CONTEMPLATE_NO_LESSONS")
        monkeypatch.setenv("CONTEMPLATE_CACHE", str(tmp_path / "cache"))
        forget_lessons()

    async def test_lessons_last(self, tmp_path: Path) -> None:
        path = tmp_path / "cache" / FILE
        with FaultyServer(refusing({"seed": "gemini"})) as server:
            key = "sk-secret-0123456789"
            await OpenAIModel("m", base_url=f"{server.url}?key={key}", api_key=key).request(asking())
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert key not in path.read_text("utf-8")
            forget_lessons()
            model = OpenAIModel("m", base_url=server.url)
            assert model.profile.left_out == {"seed"}
            response = await model.request(asking())
            assert response.notes == ("known from earlier: seed is not sent",)
            assert (await model.request(asking())).notes == ()
            assert len([each for each in server.exchanges if each.fault]) == 1

    async def test_nothing_is_written_where_that_is_switched_off(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("CONTEMPLATE_NO_LESSONS", "1")
        lesson_store.write_down(lesson_store.ModelLessons("http://127.0.0.1/v1#m"))
        assert not (tmp_path / "cache").exists()

    async def test_nobody_forgets_while_another_process_writes(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        page = lesson_store.ModelLessons("http://127.0.0.1/v1#m", (Lesson(changes={"streams": False}, words="slow"),))
        lesson_store.write_down(page)
        monkeypatch.setattr(lesson_store, "LOCK_SECONDS", 0)
        with FileLock(tmp_path / "cache" / f"{FILE}.lock"), pytest.raises(OSError, match="lock"):
            forget()
        assert forget() == {page.key: 1}

    async def test_they_are_dropped_when_they_are_old(self, tmp_path: Path) -> None:
        path = tmp_path / "cache" / FILE
        with FaultyServer(refusing({"seed": "gemini"})) as server:
            await OpenAIModel("m", base_url=server.url).request(asking())
            data = json.loads(path.read_text("utf-8"))
            for lessons in data["places"].values():
                lessons[0]["date"] = "2020-01-01"
            path.write_text(json.dumps(data), "utf-8")
            forget_lessons()
            assert OpenAIModel("m", base_url=server.url).profile == Profile()

    async def test_they_are_dropped_when_the_server_is_another_one(self) -> None:
        def refuses(body: Mapping[str, Any]) -> Reply | None:
            return None if "seed" in body else error("no")

        def is_another(exchange: Exchange) -> Reply | str:
            return unless(refuses)(exchange) if changed else refusing({"seed": "gemini"})(exchange)

        changed: list[bool] = []
        with FaultyServer(is_another) as server:
            await OpenAIModel("m", base_url=server.url).request(asking())
            changed.append(True)
            forget_lessons()
            model = OpenAIModel("m", base_url=server.url)
            assert (await model.request(asking())).message.text == "ok"
            assert model.profile == Profile()
            forget_lessons()
            assert OpenAIModel("m", base_url=server.url).profile == Profile()

    async def test_they_can_be_forgotten(self, tmp_path: Path) -> None:
        with FaultyServer(refusing({"seed": "gemini"})) as server:
            model = OpenAIModel("m", base_url=server.url)
            await model.request(asking())
            other = OpenAIModel("other", base_url=server.url)
            await other.request(asking())
            assert forget("#m") == {f"{server.url}#m": 1}
            assert model.profile == Profile()
            assert other.profile.left_out == {"seed"}
            assert list(json.loads((tmp_path / "cache" / FILE).read_text("utf-8"))["places"]) == [f"{server.url}#other"]
            assert forget() == {f"{server.url}#other": 1}
            assert forget() == {}

    @pytest.mark.parametrize("content", ["", "{", "[]", '{"places": 3}', '{"places": {"a": 3, "b": [{"date": 1}]}}'])
    async def test_a_damaged_file_teaches_nothing(self, tmp_path: Path, content: str) -> None:
        path = tmp_path / "cache" / FILE
        path.parent.mkdir()
        path.write_text(content, "utf-8")
        with FaultyServer(refusing({"seed": "gemini"})) as server:
            response = await OpenAIModel("m", base_url=server.url).request(asking())
        assert response.message.text == "ok"

    async def test_a_folder_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "cache").write_text("a file", "utf-8")
        with FaultyServer(refusing({"seed": "gemini"})) as server:
            response = await OpenAIModel("m", base_url=server.url).request(asking())
        assert response.message.text == "ok"


@pytest.mark.parametrize("mode", ["contemplating", "vote"])
async def test_modes_at_a_server_without_schemas_and_seeds(mode: Any) -> None:
    plan = '{"tasks": [{"title": "a", "prompt": "A?", "needs": []}, {"title": "b", "prompt": "B?", "needs": []}]}'

    def answer(exchange: Exchange) -> Reply | str:
        if "response_format" in exchange.body:
            exchange.fault = "response_format"
            return error("This response_format type is unavailable now")
        return plan if "JSON schema" in str(exchange.messages[0]) else "The answer is 4."

    with FaultyServer(refusing({"seed": "mistral_text", "stream_options": "fireworks"}, answer)) as server:
        mind = Contemplator(OpenAIModel("m", base_url=server.url), mode=mode)
        first = await mind.run("What is 2 + 2?")
        refused = [each.fault for each in server.exchanges if each.fault]
        assert "4" in first.text
        assert any("learnt from a refusal" in note for note in first.notes)
        second = await mind.run("What is 2 + 2?")
        assert second.text == first.text
        assert [each.fault for each in server.exchanges if each.fault] == refused
        assert not [note for note in second.notes if "learnt" in note]
