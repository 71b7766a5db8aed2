"""The multi-agent beta: the tasks of a run as agents, for clients that ask for it, and for no others."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx2
import openai
import pytest
from pydantic import TypeAdapter

from contemplate import Answer, Contemplator, RunContext, Task, TaskContext, aggregators, planners
from contemplate.errors import ModelServerError
from contemplate.models import ModelRequest
from contemplate.server.responses import items
from contemplate.server.responses.agents import AGENT_ITEMS, BETA
from contemplate.server.responses.parts import Api
from contemplate.testing import ScriptedModel

from ...patience import PATIENCE
from ..conftest import Minds, Serve
from .conftest import MERGED, expert, reader_of


@pytest.fixture
def minds() -> Minds:
    return {"m": Contemplator(ScriptedModel(expert))}


def read(told: str | bytes, *, event: bool = False) -> Any:
    """Read a response or an event of the beta, whose types take longer to import than anything here takes."""
    from openai.types.beta import BetaResponse, BetaResponseStreamEvent

    return (reader_of(BetaResponseStreamEvent) if event else TypeAdapter(BetaResponse)).validate_json(told, strict=True)


def post(url: str, *, beta: bool = True, **body: Any) -> httpx2.Response:
    headers = {"OpenAI-Beta": BETA} if beta else {}
    given = {"model": "m", "input": "Why?"} | body
    return httpx2.post(f"{url}/v1/responses", json=given, headers=headers, timeout=PATIENCE)


def shown(output: list[Any]) -> list[Any]:
    return [(each["type"], each.get("action"), each["agent"]["agent_name"]) for each in output]


def test_tasks_are_agents(serve: Serve, minds: Minds) -> None:
    sent = post(serve(minds))
    read(sent.content)
    output = sent.json()["output"]
    spawned = [("multi_agent_call", "spawn_agent", "/root"), ("multi_agent_call_output", "spawn_agent", "/root")]
    waited = [("multi_agent_call", "wait_agent", "/root"), ("multi_agent_call_output", "wait_agent", "/root")]
    assert shown(output) == [
        ("reasoning", None, "/root"),
        *spawned,
        *[waited[0], ("agent_message", None, "/root/cost"), waited[1]],
        *spawned,
        *[waited[0], ("agent_message", None, "/root/risk"), waited[1]],
        ("message", None, "/root"),
    ]
    assert json.loads(output[1]["arguments"]) == {"task_name": "cost", "message": "cost?"}
    assert output[1]["call_id"] == output[2]["call_id"] != output[3]["call_id"] == output[5]["call_id"]
    assert output[4]["content"][0]["text"] == "A finding."
    assert output[-1]["phase"] == "final_answer"
    assert len({each["id"] for each in output}) == len(output)


def test_events_say_whose_they_are(serve: Serve, minds: Minds) -> None:
    *frames, done, _ = post(serve(minds), stream=True).text.split("\n\n")
    assert done == "data: [DONE]"
    events = [read(each.partition("data: ")[2], event=True) for each in frames]
    assert {each.agent.agent_name for each in events} == {"/root", "/root/cost", "/root/risk"}
    added = [each.item for each in events if each.type == "response.output_item.added"]
    ended = [each.item for each in events if each.type == "response.output_item.done"]
    assert [each.id for each in added] == [each.id for each in ended]


def test_the_official_client(serve: Serve, minds: Minds) -> None:
    from openai.types.beta import BetaResponse

    with openai.OpenAI(base_url=f"{serve(minds)}/v1", api_key="k", max_retries=0) as api:
        made = api.beta.responses.create(
            model="m", input="Why?", betas=["responses_multi_agent=v1"], multi_agent={"enabled": True}
        )
        assert isinstance(made, BetaResponse)
        assert api.beta.responses.retrieve(made.id, betas=["responses_multi_agent=v1"]).output == made.output
        plain = api.responses.retrieve(made.id)
        assert not AGENT_ITEMS & {each.type for each in plain.output}
        assert plain.output_text == MERGED
        following = api.responses.create(model="m", input="And?", previous_response_id=made.id)
        assert not AGENT_ITEMS & {each.type for each in api.responses.input_items.list(following.id, limit=50)}


@pytest.mark.parametrize(("beta", "body"), [(False, {}), (True, {"multi_agent": {"enabled": False}})])
def test_nobody_else_is_told(serve: Serve, minds: Minds, beta: bool, body: Any) -> None:
    sent = post(serve(minds), beta=beta, **body)
    assert [each["type"] for each in sent.json()["output"]] == ["reasoning", "message"]
    assert '"agent"' not in sent.text


def test_the_field_asks_as_well(serve: Serve, minds: Minds) -> None:
    assert post(serve(minds), beta=False, multi_agent={"enabled": True}).json()["output"][1]["type"] in AGENT_ITEMS


def test_candidates_that_fail_or_are_not_needed(serve: Serve) -> None:
    def once(request: ModelRequest) -> str:
        if not model.requests[1:]:
            raise ModelServerError("it fell over", model="x")
        return "yes"

    model = ScriptedModel(once)
    mind = Contemplator(model, planner=planners.sample(3), aggregator=aggregators.vote())
    output = post(serve({"m": mind})).json()["output"]
    told = [each["content"][0]["text"] for each in output if each["type"] == "agent_message"]
    assert len(told) >= 2
    assert any("it fell over" in each for each in told)
    assert len({each["author"] for each in output if each["type"] == "agent_message"}) == len(told)


def test_a_message_to_an_agent_is_told(serve: Serve) -> None:
    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        ctx.tell("a", "unheard, as the task is not running")
        yield Task(id="a", title="Length", prompt="How long is it?")
        await running.wait()
        ctx.tell("a", "in metres")
        told.set()

    async def answer(task: Task, ctx: TaskContext) -> Answer:
        running.set()
        await told.wait()
        return Answer(" ".join(ctx.messages_from_others()))

    running, told = anyio.Event(), anyio.Event()
    mind = Contemplator(ScriptedModel(expert), planner=plan, agent=answer, aggregator=aggregators.first())
    sent = post(serve({"m": mind}))
    read(sent.content)
    output = sent.json()["output"]
    (place,) = [place for place, each in enumerate(output) if each.get("action") == "send_message"][::2]
    call, message, result = output[place : place + 3]
    assert json.loads(call["arguments"]) == {"target": "/root/length", "message": "in metres"}
    assert (message["author"], message["recipient"]) == ("/root", "/root/length")
    assert (message["content"][0]["text"], result["call_id"]) == ("in metres", call["call_id"])
    assert output[-1]["content"][0]["text"] == "in metres"


def test_what_agents_did_may_be_sent_back(serve: Serve, minds: Minds) -> None:
    url = serve(minds)
    first = post(url, store=False).json()
    said = [{"role": "user", "content": "Why?"}, *first["output"], {"role": "user", "content": "And?"}]
    assert post(url, input=said).json()["status"] == "completed"


def test_an_item_of_no_agent_names_none() -> None:
    kinds = [each for each in vars(items).values() if isinstance(each, type) and issubclass(each, Api)]
    of_agents = [each for each in kinds if "agent" in each.model_fields]
    assert len(of_agents) > 5
    assert all("agent" not in each.model_construct().model_dump(warnings=False) for each in of_agents)
