"""Anthropic's official client against a real server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import anyio
import httpx2
import pytest
from pydantic import BaseModel

from contemplate import Contemplator, Limits, Message, Usage
from contemplate.models import Delta, ModelResponse
from contemplate.server.messages import replies
from contemplate.testing import ScriptedModel

from ..patience import PATIENCE
from .conftest import Minds, Serve
from .messages_client import events_of, message_of, post, texts
from .test_server_clients import MERGED, StepByStep, expert, instant

if TYPE_CHECKING:
    import anthropic
    from anthropic.types import MessageParam

QUESTION: list[MessageParam] = [{"role": "user", "content": "Why is the sea salty?"}]
BODY = {"model": "m", "max_tokens": 500, "messages": QUESTION}
ADAPTIVE = {"thinking": {"type": "adaptive"}}


@pytest.fixture
def client(serve: Serve) -> Iterator[Any]:
    """Makes a client of contemplators."""
    clients: list[anthropic.Anthropic] = []

    def connect(minds: Minds) -> anthropic.Anthropic:
        import anthropic

        made = anthropic.Anthropic(base_url=serve(minds), api_key="none", timeout=PATIENCE)
        clients.append(made)
        return made

    yield connect
    for each in clients:
        each.close()


def test_a_whole_message_and_a_stream_say_the_same(serve: Serve) -> None:
    url = serve({"m": Contemplator(ScriptedModel(expert))})
    whole = message_of(post(url, BODY | ADAPTIVE))
    thought, said = whole.content
    assert said.type == "text"
    assert (whole.model, whole.role, whole.stop_reason, whole.stop_sequence) == ("m", "assistant", "end_turn", None)
    assert thought.type == "thinking"
    assert thought.thinking.splitlines()[:3] == ["Planning", "Cost: planned", "Cost: started"]
    assert thought.signature
    assert (said.type, said.text) == ("text", MERGED)
    events = events_of(post(url, BODY | ADAPTIVE | {"stream": True}))
    assert texts(events) == MERGED
    lines = texts(events, "thinking").splitlines()
    assert lines[0] == "Planning"
    assert lines[-1].startswith("Risk: answered after ")
    assert texts(events, "signature") == thought.signature
    assert [each.content_block.type for each in events if each.type == "content_block_start"] == ["thinking", "text"]
    start, end = events[0].message, events[-2]
    assert (start.model, start.stop_reason, end.delta.stop_reason) == ("m", None, "end_turn")
    assert start.id != whole.id
    assert end.usage.output_tokens == whole.usage.output_tokens > 0
    assert end.usage.input_tokens == whole.usage.input_tokens == start.usage.input_tokens


@pytest.mark.parametrize(
    "thinking", [{}, {"thinking": {"type": "disabled"}}, {"thinking": {"type": "adaptive", "display": "omitted"}}]
)
def test_who_wants_no_thoughts_gets_none(serve: Serve, thinking: dict[str, Any]) -> None:
    url = serve({"m": Contemplator(ScriptedModel(expert))})
    assert [each.type for each in message_of(post(url, BODY | thinking)).content] == ["text"]
    events = events_of(post(url, BODY | thinking | {"stream": True}))
    assert [each.content_block.type for each in events if each.type == "content_block_start"] == ["text"]


def test_usage_is_that_of_the_conversation_and_beside_it_that_of_all_calls(serve: Serve) -> None:
    model = ScriptedModel(expert)
    url = serve({"m": Contemplator(model)})
    usage = message_of(post(url, BODY)).usage
    count = post(url, {"model": "m", "messages": QUESTION}, "/v1/messages/count_tokens").json()
    assert usage.input_tokens == count["input_tokens"] > 5
    spent = (usage.model_extra or {})["contemplate"]
    assert spent["calls"] == len(model.requests) == 4
    assert spent["input_tokens"] > usage.input_tokens
    assert spent["output_tokens"] == usage.output_tokens


def test_one_call_is_counted_as_its_server_did(serve: Serve) -> None:
    used = Usage(calls=1, input_tokens=2000, cached_input_tokens=1920, output_tokens=5)
    said = ModelResponse(message=Message.assistant("ok"), finish="stop", usage=used, model="m")
    usage = message_of(post(serve(instant(ScriptedModel(lambda _: said))), BODY)).usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (80, 1920, 5)


def test_the_official_client_streams(client: Any) -> None:
    api = client(instant(StepByStep([Delta(reasoning="Hmm."), "Rivers."])))
    with api.messages.stream(**BODY, **ADAPTIVE) as stream:
        kinds = [each.type for each in stream]
        final = stream.get_final_message()
    assert [each.to_dict() for each in final.content] == [
        {"type": "thinking", "thinking": "Hmm.", "signature": final.content[0].signature},
        {"type": "text", "text": "Rivers.", "citations": None},
    ]
    assert {"thinking", "signature", "text"} <= set(kinds)
    assert stream.request_id.startswith("req_")
    assert api.messages.create(**BODY).content[0].text == "Rivers."


def test_tokens_arrive_while_the_model_is_still_writing(client: Any) -> None:
    seen = threading.Event()
    api = client(instant(StepByStep(["Rivers ", seen, "bring it."])))
    read = []
    with api.messages.stream(**BODY) as stream:
        for text in stream.text_stream:
            read.append(text)
            seen.set()
    assert read == ["Rivers ", "bring it."]


def test_texts_come_through_as_they_are(serve: Serve) -> None:
    said = '"Salt"\n\t\\ \u2028\u0000 \U0001f30a é'
    url = serve(instant(StepByStep([Delta(reasoning=said), said, said])))
    events = events_of(post(url, BODY | ADAPTIVE | {"stream": True}))
    assert (texts(events, "thinking"), texts(events)) == (said, said * 2)


def test_silence_is_filled_with_pings(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "KEEP_ALIVE_SECONDS", 0.01)
    pinged = threading.Event()
    url = serve(instant(StepByStep([pinged, "Rivers."])))
    lines = []
    with httpx2.stream("POST", f"{url}/v1/messages", json=BODY | {"stream": True}, timeout=PATIENCE) as response:
        for line in response.iter_lines():
            lines.append(line)
            if line == 'data: {"type":"ping"}':
                pinged.set()
    assert lines[0] == "event: message_start"
    assert 'data: {"type":"message_stop"}' in lines[-2:]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_async_client_has_many_answers_at_once(serve: Serve) -> None:
    import anthropic

    url = serve(instant(StepByStep([threading.Barrier(10), "Rivers."])))
    answers: list[str] = []
    async with anthropic.AsyncAnthropic(base_url=url, api_key="none", timeout=PATIENCE) as api:

        async def ask(stream: bool) -> None:
            if stream:
                async with api.messages.stream(model="m", max_tokens=9, messages=QUESTION) as reply:
                    answers.append(await reply.get_final_text())
            else:
                whole = await api.messages.create(model="m", max_tokens=9, messages=QUESTION)
                answers.append("".join(each.text for each in whole.content if each.type == "text"))

        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(ask, number % 2 == 0)
    assert answers == ["Rivers."] * 10


def test_conversation_settings_and_images_reach_the_model(client: Any) -> None:
    model = ScriptedModel("A blue square.")
    api = client(instant(model))
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    api.messages.create(
        model="m",
        max_tokens=77,
        stop_sequences=["END"],
        metadata={"user_id": "ann"},
        service_tier="auto",
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        tools=[{"type": "web_search_20250305", "name": "web_search"}],
        messages=[
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": [{"type": "text", "text": "Hi!"}]},
            {"role": "user", "content": [{"type": "image", "source": source}, {"type": "text", "text": "What is it?"}]},
        ],
        extra_body={"temperature": 0.5, "top_p": 0.9, "top_k": 5, "a_field_of_next_year": {"x": [1]}},
    )
    (request,) = model.requests
    assert [(each.role, each.text) for each in request.messages] == [
        ("system", "Be brief."),
        ("user", "Hello"),
        ("assistant", "Hi!"),
        ("user", "What is it?"),
    ]
    assert [each.as_url() for each in request.messages[-1].images] == ["data:image/png;base64,iVBORw0KGgo="]
    said = request.settings
    assert (said.max_tokens, said.temperature, said.top_p, said.stop) == (77, 0.5, 0.9, ("END",))
    assert request.tools == ()


class Sea(BaseModel):
    salty: bool
    why: str


def test_structured_output(client: Any) -> None:
    model = ScriptedModel('{"salty": true, "why": "rivers"}')
    api = client(instant(model))
    parsed = api.messages.parse(**BODY, output_format=Sea)
    assert parsed.parsed_output == Sea(salty=True, why="rivers")
    with api.messages.stream(**BODY, output_format=Sea) as stream:
        assert stream.get_final_message().parsed_output == Sea(salty=True, why="rivers")
    beta = api.beta.messages.parse(**BODY, output_format=Sea)
    assert beta.parsed_output == Sea(salty=True, why="rivers")
    older = {"output_format": {"type": "json_schema", "schema": Sea.model_json_schema()}}
    assert Sea.model_validate_json(api.messages.create(**BODY, extra_body=older).content[0].text).salty
    assert all(each.output_schema is not None for each in model.requests)


def test_why_an_answer_ends(serve: Serve) -> None:
    cut = ModelResponse(message=Message.assistant("Riv"), finish="length", usage=Usage(calls=1), model="m")
    assert message_of(post(serve(instant(ScriptedModel(lambda _: cut))), BODY)).stop_reason == "max_tokens"
    # What a limit of the contemplator's ended is not the client's to raise.
    mind = Contemplator(ScriptedModel(expert), limits=Limits(calls=3))
    assert message_of(post(serve({"m": mind}), BODY)).stop_reason == "end_turn"


def test_models_are_listed_in_the_form_of_who_asks(client: Any) -> None:
    import anthropic

    mind = Contemplator(ScriptedModel("Yes."))
    api = client({"contemplate": mind, "team/deep": mind, "claude-*": mind})
    assert [(each.id, each.type, each.lifecycle) for each in api.models.list()] == [
        ("contemplate", "model", "active"),
        ("team/deep", "model", "active"),
    ]
    assert api.models.retrieve("team/deep").display_name == "team/deep"
    with pytest.raises(anthropic.NotFoundError, match="there are: contemplate, team/deep"):
        api.models.retrieve("gpt-5")


def test_names_of_other_models_may_stand_for_contemplators(client: Any) -> None:
    import anthropic

    small, large = Contemplator(ScriptedModel("small")), Contemplator(ScriptedModel("large"), mode="instant")
    api = client({"claude-*haiku*": small, "claude-*": large, "claude-x": small})

    def answer(model: str) -> str:
        message = api.messages.create(model=model, max_tokens=9, messages=QUESTION)
        assert message.model == model
        return str(message.content[0].text)

    assert answer("claude-haiku-4-5-20251001") == "small"
    assert answer("claude-opus-5[1m]") == "large"
    assert answer("claude-x") == "small"
    with pytest.raises(anthropic.NotFoundError):
        answer("my-claude-opus")


def test_tokens_are_counted(client: Any) -> None:
    api = client(instant(ScriptedModel("Yes.")))
    tool = {"name": "f", "description": "d" * 300, "input_schema": {"type": "object"}}
    plain = api.messages.count_tokens(model="m", messages=QUESTION).input_tokens
    more = api.messages.count_tokens(model="m", messages=QUESTION, tools=[tool], system="s" * 300).input_tokens
    assert 0 < plain < 30
    assert 200 < more - plain < 260


def test_small_calls_and_those_of_little_effort_take_one_call(serve: Serve) -> None:
    model = ScriptedModel(expert)
    url = serve({"m": Contemplator(model), "claude-*": Contemplator(model)})
    title = "Generate a concise, sentence-case title (3-7 words) that captures the main topic."
    for change in (
        {"max_tokens": 1},
        {"system": [{"type": "text", "text": "You are an agent."}, {"type": "text", "text": title}]},
        {"output_config": {"effort": "low"}, "model": "claude-x"},
        {"model": "m-instant"},
    ):
        model.requests.clear()
        message_of(post(url, BODY | change))
        assert len(model.requests) == 1, change
    model.requests.clear()
    message_of(post(url, BODY | {"model": "claude-x", "output_config": {"effort": "high"}}))
    assert len(model.requests) == 4
