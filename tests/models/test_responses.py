"""OpenAI's Responses API as a client, against an imitation that checks requests by the `openai` package's types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from contemplate import Contemplator, Message, ModelSettings
from contemplate.errors import ModelConnectionError, ModelError, ModelRateLimitError, ModelRequestError
from contemplate.models import Delta, ModelRequest, ModelResponse, OpenAIModel, OutputSchema, ToolSpec
from contemplate.models.openai.hosts import profile_at
from contemplate.models.openai.responses.collector import ResponsesCollector
from contemplate.testing import FaultyServer
from contemplate.testing.faulty import Exchange, HttpError, Reply

from .responses_server import ResponsesAnswer, called, declined, said, thought

pytestmark = pytest.mark.anyio

OPENAI = profile_at("https://api.openai.com/v1", "gpt-5")
TOOL = ToolSpec("depth", "The depth of a fjord.", {"type": "object", "properties": {"fjord": {"type": "string"}}})
ASKED = ModelRequest((Message.system("Be brief."), Message.user("How deep?")), tools=(TOOL,))


@pytest.fixture(params=[True, False], ids=["streamed", "whole"])
def streamed(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def ask(
    script: Reply | Callable[[Exchange], Reply | str], request: ModelRequest, *, streamed: bool, **options: Any
) -> tuple[ModelResponse, list[Delta], FaultyServer]:
    heard: list[Delta] = []
    with FaultyServer(script) as server:
        model = OpenAIModel("gpt-5", base_url=server.url, api_key="k", **{"profile": OPENAI} | options)
        response = await model.request(request, heard.append if streamed else None)
    return response, heard, server


async def test_text_thoughts_and_usage(streamed: bool) -> None:
    answer = ResponsesAnswer([thought("Fjords are deep.", "secret"), said("1,308 metres.")])
    response, heard, server = await ask(answer, ASKED, streamed=streamed)
    assert response.message.text == "1,308 metres."
    assert response.reasoning == "Fjords are deep."
    assert response.finish == "stop"
    assert (response.usage.input_tokens, response.usage.cached_input_tokens) == (100, 40)
    assert (response.usage.output_tokens, response.usage.reasoning_tokens) == (30, 20)
    if streamed:
        assert len(heard) > 2
        assert "".join(delta.text for delta in heard) == response.message.text
        assert "".join(delta.reasoning for delta in heard) == response.reasoning
    body = server.exchanges[0].body
    assert body["store"] is False
    assert body["input"][0] == {
        "type": "message",
        "role": "system",
        "content": [{"type": "input_text", "text": "Be brief."}],
    }


async def test_what_was_thought_goes_back_with_the_result_of_a_tool(streamed: bool) -> None:
    def script(exchange: Exchange) -> Reply:
        items = exchange.body["input"]
        results = [item for item in items if item["type"] == "function_call_output"]
        if not results:
            return ResponsesAnswer([thought("", "secret"), called("depth", '{"fjord": "Sogne"}', "c7")])
        if not any(item.get("encrypted_content") == "secret" for item in items):
            return HttpError(400, "an item of type 'function_call' was provided without its required 'reasoning' item")
        return ResponsesAnswer([said(results[0]["output"])])

    first, _, _ = await ask(script, ASKED, streamed=streamed)
    (call,) = first.message.tool_calls
    assert (first.finish, call.id, call.name) == ("tool_calls", "c7", "depth")
    with FaultyServer(script) as server:
        model = OpenAIModel("gpt-5", base_url=server.url, api_key="k", profile=OPENAI)
        response = await model.request(ASKED)
        # Through JSON, as from a journal.
        kept = Message.model_validate_json(response.message.model_dump_json())
        again = ModelRequest((*ASKED.messages, kept, Message.tool("c7", "1308 m")), tools=(TOOL,))
        assert (await model.request(again)).message.text == "1308 m"
    with FaultyServer(script) as elsewhere:
        other = OpenAIModel("gpt-5", base_url=elsewhere.url, api_key="k", api="responses")
        with pytest.raises(ModelRequestError, match="without its required"):
            await other.request(again)
        changed = kept.model_copy(update={"provider_data": None})
        assert "secret" not in str(elsewhere.exchanges[0].body), "it is another provider's"
        assert changed.tool_calls


async def test_runs_with_tools_and_types(streamed: bool) -> None:
    class Depth(BaseModel):
        metres: int

    async def depth(fjord: str) -> str:
        return f"{fjord}: 1308 m"

    def script(exchange: Exchange) -> Reply:
        if not any(item["type"] == "function_call_output" for item in exchange.body["input"]):
            return ResponsesAnswer([thought("", "s"), called("depth", '{"fjord": "Sogne"}')])
        assert exchange.body["text"]["format"]["strict"] is True
        return ResponsesAnswer([said('{"metres": 1308}')])

    with FaultyServer(script) as server:
        model = OpenAIModel("gpt-5", base_url=server.url, api_key="k", profile=OPENAI)
        mind = Contemplator(model, mode="instant", tools=[depth], output_type=Depth, stream=streamed, journal="memory:")
        result = await mind.run("How deep is it?", run_id="r")
        assert result.output == Depth(metres=1308)
        assert result.usage.output_tokens == 60
        assert (await mind.replay("r")).output == result.output


@pytest.mark.parametrize(
    ("answer", "finish", "text"),
    [
        (ResponsesAnswer([declined("I cannot help.")]), "refusal", "I cannot help."),
        (ResponsesAnswer([said("Half")], status="incomplete", reason="max_output_tokens"), "length", "Half"),
        (ResponsesAnswer([said("Ha")], status="incomplete", reason="content_filter"), "content_filter", "Ha"),
        (ResponsesAnswer([said("all of it")], whole_output=False), "stop", "all of it"),
    ],
)
async def test_how_it_ends(answer: ResponsesAnswer, finish: str, text: str, streamed: bool) -> None:
    if not answer.whole_output and not streamed:
        pytest.skip("only events say it twice")
    response, _, _ = await ask(answer, ASKED, streamed=streamed)
    assert (response.finish, response.message.text) == (finish, text)


async def test_failures_are_typed(streamed: bool) -> None:
    busy = {"code": "rate_limit_exceeded", "message": "Please try again in 2s."}
    with pytest.raises(ModelRateLimitError, match="try again") as caught:
        await ask(ResponsesAnswer([], status="failed", error=busy), ASKED, streamed=streamed)
    assert caught.value.code == "rate_limit_exceeded"
    assert caught.value.retry_after == 2


async def test_a_stream_without_an_end_is_cut_off() -> None:
    heard: list[Delta] = []
    with FaultyServer(ResponsesAnswer([said("half of it")], ends=False)) as server:
        model = OpenAIModel("gpt-5", base_url=server.url, api_key="k", profile=OPENAI)
        with pytest.raises(ModelConnectionError):
            await model.request(ASKED, heard.append)
    assert "".join(delta.text for delta in heard) == "half of it"


async def test_settings_have_other_names() -> None:
    settings = ModelSettings(max_tokens=50, reasoning_effort="high", stop=("x",), seed=3, temperature=0.5)
    schema = OutputSchema("n", {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
    request = ModelRequest(ASKED.messages, settings, ASKED.tools, "required", schema)
    response, _, server = await ask(ResponsesAnswer([said('{"n": 1}')]), request, streamed=False)
    body = server.exchanges[0].body
    assert body["max_output_tokens"] == 50
    assert body["reasoning"] == {"effort": "high"}
    assert body["tool_choice"] == "required"
    assert body["text"]["format"]["name"] == "n"
    assert body["text"]["format"]["schema"]["additionalProperties"] is False
    assert not {"stop", "seed", "messages", "max_tokens"} & body.keys()
    assert any("stop" in note for note in response.notes), "who asked for it is told"


async def test_log_probabilities() -> None:
    entry = {
        "token": "4",
        "logprob": -0.1,
        "bytes": [52],
        "top_logprobs": [{"token": "5", "logprob": -2.5, "bytes": [53]}],
    }
    item = said("4")
    item["content"][0]["logprobs"] = [entry]
    request = ModelRequest(ASKED.messages, ModelSettings(logprobs=1))
    response, _, server = await ask(ResponsesAnswer([item]), request, streamed=False, profile=None, api="responses")
    assert server.exchanges[0].body["top_logprobs"] == 1
    assert "message.output_text.logprobs" in server.exchanges[0].body["include"]
    assert response.logprobs is not None
    assert response.logprobs[0].top == {"5": -2.5}


async def test_thoughts_and_calls_in_the_text(streamed: bool) -> None:
    """A server of open models may leave both in the text."""
    fjords: list[str] = []

    async def depth(fjord: str) -> str:
        fjords.append(fjord)
        return "1308 m"

    def script(exchange: Exchange) -> Reply:
        if not any(item["type"] == "function_call_output" for item in exchange.body["input"]):
            call = "<tool_call>\n<function=depth>\n<parameter=fjord>\nSogne\n</parameter>\n</function>\n</tool_call>"
            return ResponsesAnswer([said(f"<think>\nI look.\n</think>\n{call}")])
        return ResponsesAnswer([said("It may be 1307.</think>It is 1308 m deep.")])

    with FaultyServer(script) as server:
        model = OpenAIModel("gpt-oss", base_url=server.url, api_key="k", api="responses")
        result = await Contemplator(model, mode="instant", tools=[depth], stream=streamed).run("How deep?")
        items = server.exchanges[-1].body["input"]
    assert (result.text, fjords) == ("It is 1308 m deep.", ["Sogne"])
    assert [item["type"] for item in items[-2:]] == ["function_call", "function_call_output"]
    assert items[-2]["call_id"] == items[-1]["call_id"]


async def test_what_was_heard_of_an_orphaned_thought_is_taken_back() -> None:
    answer = ResponsesAnswer([thought("First.", "s"), said("Hm, hm, hm.</think>Deep.")])
    response, heard, _ = await ask(answer, ASKED, streamed=True)
    assert (response.message.text, response.reasoning) == ("Deep.", "First.\n\nHm, hm, hm.")
    restart = max(place for place, delta in enumerate(heard) if delta.restart)
    assert "".join(delta.text for delta in heard[restart:]) == "Deep."
    assert "".join(delta.reasoning for delta in heard[restart:]) == "First.Hm, hm, hm."


async def test_thoughts_that_do_not_end_are_no_answer(streamed: bool) -> None:
    response, _, _ = await ask(ResponsesAnswer([said("<think>Deep, but")]), ASKED, streamed=streamed)
    assert (response.message.text, response.reasoning) == ("", "Deep, but")
    assert response.notes == ("the model's thoughts did not end, so that there is no answer",)


async def test_a_model_that_only_has_responses_is_learnt(streamed: bool) -> None:
    words = "This model is only supported in v1/responses and not in v1/chat/completions."

    def script(exchange: Exchange) -> Reply:
        return ResponsesAnswer([said("yes")]) if exchange.path == "/v1/responses" else HttpError(404, words)

    with FaultyServer(script) as server:
        model = OpenAIModel("o9-pro", base_url=server.url, api_key="k")
        for _ in range(2):
            assert (await model.request(ASKED, print if streamed else None)).message.text == "yes"
        assert [exchange.path for exchange in server.exchanges].count("/v1/chat/completions") == 1
        forced = OpenAIModel("o9-pro", base_url=server.url, api_key="k", api="chat")
        with pytest.raises(ModelError, match="only supported in v1/responses"):
            await forced.request(ASKED)


async def test_a_server_without_responses_is_learnt() -> None:
    def script(exchange: Exchange) -> Reply | str:
        return "yes" if exchange.path == "/v1/chat/completions" else HttpError(404, "Not Found")

    with FaultyServer(script) as server:
        model = OpenAIModel("gpt-5", base_url=server.url, api_key="k", profile=OPENAI)
        assert (await model.request(ASKED)).message.text == "yes"
        assert model.profile.api == "chat"


async def test_an_unsupported_field_is_learnt_there_too() -> None:
    def script(exchange: Exchange) -> Reply:
        if "temperature" in exchange.body:
            return HttpError(400, "Unsupported parameter: 'temperature' is not supported with this model.")
        if "include" in exchange.body:
            return HttpError(400, "Encrypted content is not supported with this model: include.")
        return ResponsesAnswer([said("yes")])

    request = ModelRequest(ASKED.messages, ModelSettings(temperature=0.1))
    response, _, server = await ask(script, request, streamed=False, profile=None, api="responses")
    assert response.message.text == "yes"
    assert len(server.exchanges) == 3


@pytest.mark.parametrize(
    ("model", "api"),
    [
        *[
            ("gpt-5-mini", "responses"),
            ("o3-pro", "responses"),
            ("gpt-5.1-codex", "responses"),
            ("o4-mini", "responses"),
        ],
        *[
            ("gpt-4.1", "chat"),
            ("gpt-4o-mini", "chat"),
            ("gpt-5-chat-latest", "chat"),
            ("o4-mini-deep-research", "responses"),
        ],
    ],
)
def test_which_api_openai_is_asked_in(model: str, api: str) -> None:
    assert profile_at("https://api.openai.com/v1", model).api == api
    assert profile_at("https://gateway.example/v1", model).api == "chat"


@pytest.mark.parametrize(("told", "heard"), [("logprobs", [("It", {"It": -0.25, "He": -1.5})]), ("else", [])])
def test_log_probabilities_come_with_the_pieces(told: str, heard: list[Any]) -> None:
    others = [{"token": token, "logprob": logprob} for token, logprob in (("It", -0.25), ("He", -1.5))]
    entry = {"token": "It", "logprob": -0.25, "top_logprobs": others} if told == "logprobs" else {"odd": True}
    event = {"type": "response.output_text.delta", "delta": "It", "logprobs": [entry]}
    collector = ResponsesCollector(ModelRequest((Message.user("q"),)), model="m")
    deltas = list(collector.add_value(event))
    assert "".join(delta.text for delta in deltas) == "It"
    assert [(token.token, token.top) for delta in deltas for token in delta.logprobs] == heard
