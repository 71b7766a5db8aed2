"""Refusals and answers that are not there: they abstain, are not repaired, and show in the result."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel

from contemplate import Contemplator, Message, Usage, aggregators, planners
from contemplate.errors import AggregationError
from contemplate.messages import ProviderData
from contemplate.models import ModelRequest, ModelResponse, OpenAIModel
from contemplate.testing import FaultyServer, ScriptedModel
from contemplate.testing.faulty import ChatAnswer
from contemplate.tools.tool import tool
from contemplate.views.event_lines import EventLines

pytestmark = pytest.mark.anyio

WORDS = "I cannot help with that."


def said(text: str, finish: Any = "stop") -> ModelResponse:
    return ModelResponse(message=Message.assistant(text), finish=finish, usage=Usage(calls=1), model="m")


async def test_a_refusal_abstains_from_a_vote() -> None:
    model = ScriptedModel([said(WORDS, "refusal"), said("Answer: 4"), said(WORDS, "refusal"), said("Answer: 4")])
    mind = Contemplator(model, planner=planners.sample(4), aggregator=aggregators.vote(stop=None))
    result = await mind.run("What is 2 + 2?")
    assert (result.answer, result.votes, result.complete) == ("4", {"4": 2}, True)
    refused = [each for each in result.tasks if each.outcome == "failed"]
    assert [each.text for each in refused] == [WORDS, WORDS]
    assert all(each.error is not None and each.error.kind == "ModelRefusalError" for each in refused)
    assert all(each.error is not None and WORDS in each.error.message for each in refused)


async def test_where_all_refuse_there_is_no_answer() -> None:
    model = ScriptedModel(lambda _: said(WORDS, "refusal"))
    mind = Contemplator(model, planner=planners.sample(3), aggregator=aggregators.vote())
    with pytest.raises(AggregationError, match=WORDS):
        await mind.run("What is 2 + 2?")


class Point(BaseModel):
    x: int


async def test_a_refusal_is_not_repaired() -> None:
    model = ScriptedModel(lambda _: said(WORDS, "refusal"))
    mind = Contemplator(model, planner=planners.direct(), aggregator=aggregators.first(), output_type=Point)
    with pytest.raises(AggregationError, match="declined to answer: I cannot"):
        await mind.run("Where is it?")
    assert len(model.requests) == 1


async def test_a_refusal_of_a_repair_is_not_repaired() -> None:
    model = ScriptedModel([said("no JSON"), said(WORDS, "refusal")])
    mind = Contemplator(model, planner=planners.direct(), aggregator=aggregators.first(), output_type=Point)
    with pytest.raises(AggregationError, match="declined to answer"):
        await mind.run("Where is it?")


async def test_a_plan_that_is_refused_is_not_repaired() -> None:
    model = ScriptedModel([said(WORDS, "refusal"), said("4")])
    mind = Contemplator(model, planner=planners.model(), aggregator=aggregators.first())
    result = await mind.run("What is 2 + 2?")
    assert result.text == "4"
    assert any("declined" in note for note in result.notes)


async def test_a_judge_that_refuses_names_nobody() -> None:
    def answer(request: ModelRequest) -> ModelResponse:
        if request.output_schema is not None:
            return said(WORDS, "refusal")
        return said(f"answer {len(model.requests)}")

    model = ScriptedModel(answer)
    mind = Contemplator(model, planner=planners.sample(2), aggregator=aggregators.judge())
    result = await mind.run("What is it?")
    assert result.text.startswith("answer")
    assert not result.complete
    assert sum(request.output_schema is not None for request in model.requests) == 1


async def test_a_refusal_is_shown_in_its_words() -> None:
    shown: list[str] = []
    lines = EventLines()
    model = ScriptedModel([said(WORDS, "refusal"), said("Answer: 4"), said("Answer: 4")])
    mind = Contemplator(
        model,
        planner=planners.sample(3),
        aggregator=aggregators.vote(stop=None),
        on_event=lambda event: shown.extend(filter(None, [lines.line(event)])),
    )
    await mind.run("What is 2 + 2?")
    assert any(WORDS in line for line in shown)


@pytest.mark.parametrize("thought", ["<think>Paris, I think", "Paris it is\n</think>\n\n"])
async def test_a_thought_is_no_vote(thought: str) -> None:
    answers = [thought, "<think>Rome? No.</think>Answer: Paris", "It may be Rome.</think>\n\nAnswer: Paris"]
    numbers = iter(range(100))
    with FaultyServer(lambda _: ChatAnswer(answers[next(numbers) % 3])) as server:
        model = OpenAIModel("m", base_url=server.url, api_key="none")
        mind = Contemplator(model, planner=planners.sample(6), aggregator=aggregators.vote(stop=None))
        result = await mind.run("What is the capital of France?")
    assert list(result.votes.values()) == [4]
    assert result.text.endswith("Paris")
    assert [each.outcome for each in result.tasks].count("failed") == 2


async def test_what_belongs_to_a_provider_travels_with_tool_results() -> None:
    @tool
    def now() -> str:
        """Tell the time."""
        return "noon"

    signed: Any = {"google": {"thought_signature": "abc"}}
    call = {"id": "a", "type": "function", "function": {"name": "now", "arguments": "{}"}, "extra_content": signed}
    turns = [
        ChatAnswer("", finish="tool_calls", extra={"tool_calls": [call], "reasoning_content": "the time?"}),
        ChatAnswer("noon"),
    ]
    replies = iter(turns)
    with FaultyServer(lambda _: next(replies)) as server:
        model = OpenAIModel("m", base_url=server.url, api_key="none")
        mind = Contemplator(model, tools=[now], planner=planners.direct(), aggregator=aggregators.first())
        result = await mind.run("What time is it?")
        host = server.url.split("/")[2]
    (said,) = [message for message in result.tasks[0].messages if message.tool_calls]
    assert said.provider_data == ProviderData(provider=host, fields={"reasoning_content": "the time?"})
    assert said.tool_calls[0].provider_data == ProviderData(provider=host, fields={"extra_content": signed})
    assert json.loads(result.model_dump_json())["tasks"][0]["messages"]
    assert type(result).model_validate_json(result.model_dump_json()).tasks == result.tasks
