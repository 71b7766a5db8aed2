"""`Provider` with OpenAI's Responses API: all that the library does works there, too, streamed and whole."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.responses import Response

from benchmarks.capabilities import CAPABILITIES, Try
from contemplate.errors import ModelRequestError
from contemplate.messages import Message, ToolCall
from contemplate.models import Delta, ModelRequest, OpenAIModel, ToolSpec
from contemplate.settings import ModelSettings
from contemplate.testing import Provider, providers
from contemplate.testing.faulty import Exchange
from contemplate.testing.providers import AskedRequest, ProviderDialect, Said
from contemplate.testing.providers.responses import chat_body, responses_problems
from tests.models.responses_server import checked

pytestmark = pytest.mark.anyio

BOTH = pytest.mark.parametrize(
    "dialect", [providers.OPENAI, providers.OPENAI_REASONING], ids=lambda dialect: dialect.name
)
STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
ADD = ToolSpec("add", "Add.", {"type": "object", "properties": {"x": {"type": "integer"}}})
ASKED = ModelRequest((Message.user("add one"),), tools=(ADD,))


def model_at(server: Provider) -> OpenAIModel:
    return OpenAIModel(server.model, base_url=server.url, api_key="key", api="responses")


@BOTH
@pytest.mark.parametrize(("anyio_backend", "stream"), [("asyncio", True), ("trio", False)])
@pytest.mark.parametrize("capability", CAPABILITIES)
async def test_all_that_the_library_does(dialect: ProviderDialect, stream: bool, capability: str) -> None:
    with Provider(dialect) as server:
        refused: list[int] = []
        for _ in range(2):
            before = server.billed
            usage = await CAPABILITIES[capability](Try(model_at(server), stream))
            refused.append(len(server.refused))
            assert (usage.calls, usage.input_tokens) == (
                server.billed.calls - before.calls,
                server.billed.input_tokens - before.input_tokens,
            )
            assert usage.output_tokens == server.billed.output_tokens - before.output_tokens
        assert refused[0] == refused[1], server.refused[-1].message
        for body in server.requests:
            assert "input" in body
            checked(body)


@STREAMED
async def test_what_was_thought_goes_back(stream: bool) -> None:
    def script(asked: AskedRequest) -> Said | str:
        return "done" if asked.tool_results else Said(tool_calls=(("add", '{"x": 1}'), ("add", '{"x": 2}')))

    with Provider(providers.OPENAI_REASONING, script) as server:
        model, deltas = model_at(server), list[Delta]()
        sink = deltas.append if stream else None
        first = await model.request(ASKED, sink)
        assert [call.name for call in first.message.tool_calls] == ["add", "add"]
        results = [Message.tool(call.id, "3") for call in first.message.tool_calls]
        turn = ModelRequest((*ASKED.messages, first.message, *results), tools=(ADD,))
        assert (await model.request(turn, sink)).message.text == "done"
        kinds = [item["type"] for item in server.requests[-1]["input"]]
        assert kinds == ["message", "reasoning", *["function_call"] * 2, *["function_call_output"] * 2]
        # Who keeps the calls, and not the thought, is refused.
        broken: dict[str, Any] = {
            "input": [each for each in server.requests[-1]["input"] if each["type"] != "reasoning"]
        }
        (problem, _) = responses_problems(broken)
        assert "without its required 'reasoning' item: 'rs_0'" in problem.message


async def test_its_refusals() -> None:
    with Provider(providers.OPENAI) as server:
        model = model_at(server)
        stray = ModelRequest((Message.user("x"), Message.tool("nobody", "3")))
        with pytest.raises(ModelRequestError, match="No tool call found"):
            await model.request(stray)
        extra = ModelRequest(ASKED.messages, ModelSettings(extra={"seed": 3}))
        assert (await model.request(extra)).notes == ("learnt from a refusal: seed is not sent",)
    with Provider(providers.GROQ) as server, pytest.raises(ModelRequestError, match="Invalid URL"):
        await model_at(server).request(ASKED)


@BOTH
async def test_its_answers_are_those_of_the_package(dialect: ProviderDialect) -> None:
    with Provider(dialect, lambda _: Said("x", tool_calls=(("add", "{}"),))) as server:
        body = {"model": "m", "input": "hello", "include": ["reasoning.encrypted_content"]}
        reply: Any = server._reply_to(Exchange(0, body, {}, 0.0, path="/v1/responses"))
        Response.model_validate(reply.answer.whole())


async def test_cut_off() -> None:
    with Provider(providers.OPENAI, "a long answer, longer than it may be") as server:
        response = await model_at(server).request(ModelRequest(ASKED.messages, ModelSettings(max_tokens=2)))
    assert (response.message.text, response.finish) == ("a long a"[:8], "length")


def test_a_conversation_as_chat_completions_write_it() -> None:
    body = {
        "instructions": "rules",
        "input": [
            {
                "role": "user",
                "content": [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "u"}],
            },
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "b"}]},
            {"type": "function_call", "call_id": "c", "name": "add", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "3"},
        ],
        "reasoning": {"effort": "low"},
    }
    call = ToolCall(id="c", name="add", arguments="{}")
    assert chat_body(body) == {
        "messages": [
            {"role": "system", "content": "rules"},
            {
                "role": "user",
                "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "u"}}],
            },
            {
                "role": "assistant",
                "content": [{"type": "text", "text": "b"}],
                "tool_calls": [
                    {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                ],
            },
            {"role": "tool", "tool_call_id": "c", "content": "3"},
        ],
        "reasoning_effort": "low",
    }
