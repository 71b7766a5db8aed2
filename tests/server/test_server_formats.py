"""Forms of the answer that a client asks for, with the official client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from contemplate import Contemplator, aggregators, planners
from contemplate.messages import Message
from contemplate.models import ModelRequest
from contemplate.testing import ScriptedModel

from .conftest import Serve

PLAN = '{"tasks": [{"title": "A", "prompt": "Do A"}, {"title": "B", "prompt": "Do B"}]}'


class City(BaseModel):
    name: str
    people: int


@pytest.fixture
def api(serve: Serve) -> Iterator[Any]:
    clients: list[openai.OpenAI] = []

    def connect(mind: Contemplator[Any]) -> openai.OpenAI:
        clients.append(openai.OpenAI(base_url=f"{serve({'m': mind})}/v1", api_key="k", max_retries=0))
        return clients[-1]

    yield connect
    for each in clients:
        each.close()


def instant(model: ScriptedModel) -> Contemplator[Any]:
    return Contemplator(model, mode="instant")


def merged(request: ModelRequest) -> str:
    text = request.messages[0].text
    return (
        PLAN if "final answer" not in text and request.output_schema else "a part" if "one of several" in text else "x"
    )


def ask(client: openai.OpenAI, **options: Any) -> Any:
    return client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Oslo?"}], **options)


def test_a_schema_is_followed_checked_and_repaired(api: Any) -> None:
    model = ScriptedModel(['```json\n{"name": "Oslo"}\n```', 'Sure: {"name": "Oslo", "people": 700000}'])
    parsed = api(instant(model)).chat.completions.parse(
        model="m", messages=[{"role": "user", "content": "Oslo?"}], response_format=City
    )
    assert parsed.choices[0].message.parsed == City(name="Oslo", people=700000)
    assert json.loads(parsed.choices[0].message.content) == {"name": "Oslo", "people": 700000}
    assert "people" in model.requests[1].messages[-1].text


def test_a_typed_answer_is_streamed_as_json_alone(api: Any) -> None:
    client = api(instant(ScriptedModel('```json\n{"a": [1, 2]}\n```')))
    chunks = list(ask(client, response_format={"type": "json_object"}, stream=True))
    said = "".join(each.choices[0].delta.content or "" for each in chunks if each.choices)
    assert json.loads(said) == {"a": [1, 2]}


def test_text_is_a_format_too(api: Any) -> None:
    assert ask(api(instant(ScriptedModel("yes"))), response_format={"type": "text"}).choices[0].message.content == "yes"


def test_what_is_no_schema_is_refused(api: Any) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "strange"}}}
    with pytest.raises(openai.BadRequestError, match="no JSON schema") as caught:
        ask(api(instant(ScriptedModel("x"))), response_format=wanted)
    assert caught.value.param == "response_format.json_schema.schema"


def test_an_answer_that_never_fits_is_an_error(api: Any) -> None:
    with pytest.raises(openai.InternalServerError):
        ask(api(instant(ScriptedModel("no"))), response_format={"type": "json_object"})


def test_settings_reach_the_answer_and_not_the_plan(api: Any) -> None:
    model = ScriptedModel(merged)
    mind = Contemplator(model, planner=planners.model(), aggregator=aggregators.synthesize())
    ask(api(mind), max_completion_tokens=77, stop="END", temperature=0.5, top_p=0, seed=3)
    *others, answer = model.requests
    assert len(others) == 3
    said = answer.settings
    assert (said.max_tokens, said.stop, said.temperature, said.top_p) == (77, ("END",), 0.5, None)
    assert all(each.settings.max_tokens is None and each.settings.stop is None for each in others)


def test_every_candidate_of_a_vote_is_an_answer(api: Any) -> None:
    model = ScriptedModel("yes")
    ask(api(Contemplator(model, mode="vote")), max_tokens=50, seed=9)
    assert {each.settings.max_tokens for each in model.requests} == {50}
    seeds = [each.settings.seed for each in model.requests]
    assert len(set(seeds)) == len(seeds)
    ask(api(Contemplator(model, mode="vote")), seed=9)
    assert [each.settings.seed for each in model.requests[len(seeds) :]] == seeds


def test_the_callers_instructions_have_the_last_word(api: Any) -> None:
    model = ScriptedModel(merged)
    mind = Contemplator(model, planner=planners.model(), aggregator=aggregators.synthesize())
    api(mind).chat.completions.create(
        model="m",
        messages=[
            {"role": "system", "content": "Answer in SEARCH/REPLACE blocks."},
            {"role": "user", "content": "Oslo?"},
        ],
    )
    assert model.requests[-1].messages[-1].text.rstrip().endswith("Answer in SEARCH/REPLACE blocks.")
    assert all("SEARCH/REPLACE" in "".join(map(_text, each.messages)) for each in model.requests)


def _text(message: Message) -> str:
    return message.text
