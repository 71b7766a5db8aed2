"""The imitations of providers: what they refuse, in whose words, and how they answer."""

from __future__ import annotations

import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from pydantic import BaseModel, TypeAdapter

from contemplate.testing import Provider, providers
from contemplate.testing.providers import AskedRequest, ProviderDialect, Said
from contemplate.testing.providers.schema_values import value_for

ALL = pytest.mark.parametrize("dialect", providers.ALL, ids=lambda dialect: dialect.name)
QUESTION = [{"role": "user", "content": "What is 6 times 7?"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Looks something up.",
        "parameters": {
            "type": "object",
            "properties": {"what": {"type": "string"}},
            "required": ["what"],
            "additionalProperties": False,
        },
    },
}


def post(server: Provider, body: dict[str, Any]) -> tuple[int, str]:
    data = json.dumps({"model": server.model, "messages": QUESTION, **body}).encode()
    request = urllib.request.Request(f"{server.url}/chat/completions", data, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def events(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        data = line.removeprefix("data: ")
        if line.startswith("data: {"):
            yield json.loads(data)


def said_in(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, list):
        content = "".join(part.get("text", "") for part in content)
    return re.sub(r"<think>.*?</think>", "", content, flags=re.DOTALL).strip()


@ALL
def test_each_row_is_documented(dialect: ProviderDialect) -> None:
    assert dialect.name
    assert dialect.model
    assert all(source.startswith("https://") for source in (*dialect.sources, "https://"))
    assert dialect.sources
    assert dialect.base_url.startswith(("https://", "http://127.0.0.1", "http://localhost"))


@ALL
def test_a_plain_question_is_answered_whole_and_as_a_stream(dialect: ProviderDialect) -> None:
    with Provider(dialect) as server:
        status, text = post(server, {})
        assert status == 200
        whole = json.loads(text)
        assert "Answer: 42" in said_in(whole["choices"][0]["message"])
        status, text = post(server, {"stream": True})
        assert status == 200
        assert text.rstrip().endswith("data: [DONE]") is dialect.answer.done
        deltas = [each["choices"][0]["delta"] for each in events(text) if each["choices"]]
        contents = [delta.get("content") or "" for delta in deltas]
        flat = "".join(
            each if isinstance(each, str) else "".join(part.get("text", "") for part in each) for each in contents
        )
        assert "Answer: 42" in said_in({"content": flat})
        assert server.billed.calls == 2
        assert server.refused == []


@ALL
@pytest.mark.parametrize("stream", [False, True])
def test_usage_is_reported_as_documented_and_as_billed(dialect: ProviderDialect, stream: bool) -> None:
    with Provider(dialect) as server:
        options = dialect.name not in ("Fireworks", providers.GATEWAY.name) and stream
        more = {"stream_options": {"include_usage": True}} if options else {}
        _, text = post(server, {"stream": stream, **more})
        if stream:
            form = dialect.answer.usage.place
            chunks = list(events(text))
            usages = [each["choices"][0].get("usage") for each in chunks if each["choices"]] if form == "choice" else []
            usages += [each.get("usage") for each in chunks]
            told = [each for each in usages if each][-1]
        else:
            told = json.loads(text)["usage"]
        billed = server.billed
        assert told["prompt_tokens"] == billed.input_tokens
        assert told["total_tokens"] == billed.total_tokens
        hidden = 0 if dialect.answer.usage.reasoning == "within" else billed.reasoning_tokens
        assert told["completion_tokens"] == billed.output_tokens - hidden
        assert bool(billed.reasoning_tokens) is dialect.answer.thinks


REFUSED: list[tuple[ProviderDialect, dict[str, Any], int, str]] = [
    (providers.OPENAI_REASONING, {"max_tokens": 5}, 400, "Use 'max_completion_tokens' instead."),
    (providers.OPENAI_REASONING, {"temperature": 0.7}, 400, "'temperature' does not support 0.7 with this model"),
    (providers.OPENAI_REASONING, {"logprobs": True}, 403, "You are not allowed to request logprobs from this model"),
    (providers.GEMINI, {"seed": 1}, 400, 'Unknown name \\"seed\\": Cannot find field.'),
    (providers.DEEPSEEK, {"response_format": {"type": "json_schema"}}, 400, "response_format type is unavailable now"),
    (providers.DEEPSEEK, {"response_format": {"type": "json_object"}}, 400, "Prompt must contain the word 'json'"),
    (providers.MISTRAL, {"seed": 1}, 422, '"loc":["body","seed"],"msg":"Extra inputs are not permitted","input":1'),
    (providers.XAI, {"stop": ["x"]}, 400, '"error":"Argument not supported on this model: stop"'),
    (providers.QWEN, {"tool_choice": "required"}, 400, "<400> InternalError.Algo.InvalidParameter: The tool_choice"),
    (providers.MOONSHOT, {"temperature": 0}, 400, "invalid temperature: only 1 is allowed for this model"),
    (providers.PERPLEXITY, {"tools": [TOOL]}, 400, "Tool calling is not supported for this model"),
    (providers.GROQ, {"logprobs": True}, 400, "property 'logprobs' is unsupported"),
    (providers.FIREWORKS, {"max_tokens": 5000}, 400, "Requests with max_tokens > 4096 must have stream=true"),
    (providers.NVIDIA, {"max_completion_tokens": 5}, 400, "Unsupported parameter(s): `max_completion_tokens`"),
    (providers.VLLM, {"max_tokens": 20_000}, 400, "This model's maximum context length is 16384 tokens."),
    (providers.SGLANG, {"max_tokens": 20_000}, 400, "Requested token count exceeds the model's maximum context"),
    (providers.LM_STUDIO, {"response_format": {"type": "json_object"}}, 400, '"error":"\'response_format.type\' must'),
    (providers.LITELLM, {"seed": 1}, 400, "anthropic does not support parameters: ['seed']"),
    (providers.GATEWAY, {"seed": 1, "temperature": 0}, 422, '"loc":["body","seed"]'),
]


@pytest.mark.parametrize(("dialect", "body", "status", "words"), REFUSED, ids=lambda each: str(each)[:24])
def test_what_is_refused_is_refused_in_its_words(
    dialect: ProviderDialect, body: dict[str, Any], status: int, words: str
) -> None:
    with Provider(dialect) as server:
        assert post(server, {})[0] == 200
        found, text = post(server, body)
        assert (found, words in text) == (status, True), text
        assert len(server.refused) == 1
        assert server.billed.calls == 1


def schema_of(schema: dict[str, Any], *, strict: bool = True) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "it", "strict": strict, "schema": schema}}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "object", "properties": {}}, "In context=(), 'additionalProperties' is required to be supplied"),
        (
            {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False},
            "'required' is required to be supplied and to be an array including every key in properties. Missing 'a'",
        ),
        (
            {
                "type": "object",
                "properties": {"a": {"oneOf": [{"type": "string"}]}},
                "required": ["a"],
                "additionalProperties": False,
            },
            "In context=('properties', 'a'), 'oneOf' is not permitted",
        ),
        ({"type": "string"}, "schema must be a JSON Schema of 'type: \\\"object\\\"'"),
    ],
)
def test_openais_rules_for_strict_schemas(schema: dict[str, Any], words: str) -> None:
    with Provider(providers.OPENAI) as server:
        status, text = post(server, {"response_format": schema_of(schema)})
        assert (status, words in text) == (400, True), text
        assert post(server, {"response_format": schema_of(schema, strict=False)})[0] == 200


def test_groq_wants_closed_objects_and_no_tools_beside_them() -> None:
    with Provider(providers.GROQ) as server:
        assert "must be set on every object" in post(server, {"response_format": schema_of({"type": "object"})})[1]
        closed = schema_of({"type": "object", "properties": {}, "additionalProperties": False})
        assert post(server, {"response_format": closed})[0] == 200
        assert "cannot be combined" in post(server, {"response_format": closed, "tools": [TOOL]})[1]


SIGNED = [providers.GEMINI, providers.OPENROUTER, providers.DEEPSEEK_REASONING, providers.MOONSHOT]


@pytest.mark.parametrize("dialect", SIGNED, ids=lambda dialect: dialect.name)
def test_what_must_come_back(dialect: ProviderDialect) -> None:
    with Provider(dialect) as server:
        message = json.loads(post(server, {"tools": [TOOL]})[1])["choices"][0]["message"]
        (call,) = message["tool_calls"]
        result = {"role": "tool", "tool_call_id": call["id"], "content": "42"}
        status, text = post(server, {"tools": [TOOL], "messages": [*QUESTION, message, result]})
        assert status == 200, text
        bare = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{name: call[name] for name in ("id", "type", "function")}],
        }
        status, text = post(server, {"tools": [TOOL], "messages": [*QUESTION, bare, result]})
        assert status == 400
        assert "missing" in text.lower()
        later = [*QUESTION, bare, result, {"role": "assistant", "content": "42"}, *QUESTION]
        assert post(server, {"tools": [TOOL], "messages": later})[0] == 200


def test_the_order_of_messages() -> None:
    call = {"id": "c00000000", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
    turn = [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "c00000000", "content": "1"}]
    with Provider(providers.MISTRAL) as server:
        status, text = post(server, {"messages": [*QUESTION, *turn, *QUESTION]})
        assert (status, "Unexpected role 'user' after role 'tool'" in text) == (400, True)
        assert post(server, {"messages": [*QUESTION, {"role": "assistant", "content": ""}, *QUESTION]})[0] == 400
    with Provider(providers.PERPLEXITY) as server:
        assert "should alternate" in post(server, {"messages": [*QUESTION, *QUESTION]})[1]


def test_answers_are_cut_off_and_stopped() -> None:
    with Provider(providers.MISTRAL, "one two three four five") as server:
        choice = json.loads(post(server, {"max_tokens": 2})[1])["choices"][0]
        assert (choice["message"]["content"], choice["finish_reason"]) == ("one two ", "model_length")
        assert json.loads(post(server, {"stop": ["three"]})[1])["choices"][0]["message"]["content"] == "one two "


def test_a_script_sees_what_was_asked() -> None:
    def script(asked: AskedRequest) -> Said:
        assert not asked.tools
        return Said(f"You said: {asked.body['messages'][-1]['content']}", reasoning="hm")

    with Provider(providers.OLLAMA, script) as server:
        message = json.loads(post(server, {})[1])["choices"][0]["message"]
    assert message == {"role": "assistant", "content": "You said: What is 6 times 7?", "reasoning": "hm"}


def test_what_begins_alike_is_read_from_a_cache() -> None:
    long = [{"role": "user", "content": "word " * 2000}]
    with Provider(providers.OPENAI) as server:
        post(server, {"messages": long})
        told = json.loads(post(server, {"messages": [*long, {"role": "user", "content": "more"}]})[1])["usage"]
        assert told["prompt_tokens_details"]["cached_tokens"] == server.billed.cached_input_tokens > 2000


def test_a_wrong_key() -> None:
    with Provider(providers.OPENAI, key="right") as server:
        assert post(server, {})[0] == 401
        assert server.billed.calls == 0


def test_requests_in_flight_are_counted() -> None:
    gate = threading.Event()
    with Provider(providers.OPENAI, lambda _: Said("yes", gate=gate)) as server:
        threads = [threading.Thread(target=post, args=(server, {})) for _ in range(3)]
        for thread in threads:
            thread.start()
        assert server.wait_for(lambda: len(server.requests) == 3)
        gate.set()
        for thread in threads:
            thread.join()
        assert server.most_at_once >= 2


class Node(BaseModel):
    kind: Literal["leaf", "branch"]
    weight: float
    children: list[Node] = []
    named: dict[str, int]
    maybe: int | None


@pytest.mark.parametrize("kind", [Node, list[int], dict[str, Node], tuple[int, str], int | str])
def test_values_follow_their_schema(kind: Any) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    adapter.validate_python(value_for(adapter.json_schema(), "42"))
