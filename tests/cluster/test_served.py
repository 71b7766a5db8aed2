"""A server whose runs workers carry out: clients see no difference, whichever server they ask."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletion
from pydantic import JsonValue

from contemplate import Budget, Contemplator, Returned, modes
from contemplate.cluster import Client
from contemplate.cluster.engine.run_queue import RunQueue
from contemplate.cluster.site import Site
from contemplate.errors import ConfigurationError
from contemplate.journal import Journal, open_journal
from contemplate.server import ClientKey, ServerSettings, create_app
from contemplate.testing import ScriptedModel
from contemplate.tools import external_tool

from ..patience import PATIENCE
from ..server.conftest import _awake, serving_app
from . import stage
from .stage import Stage, worker_in_thread

HERE = "tests.cluster.stage"
MINDS = {"voters": f"{HERE}:voters", "helper": f"{HERE}:helper", "careful": f"{HERE}:careful"}
SECRET = "secret-word"
USUAL = ServerSettings()
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine, a worker may seem to be dead."""
    monkeypatch.setattr("contemplate.server.workers_alive.NOBODY_SECONDS", PATIENCE)


@pytest.fixture(scope="module")
def served(url: str) -> Iterator[str]:
    """The database of a worker, which has the contemplators."""
    with worker_in_thread(url, {name: getattr(stage, served) for served, name in MINDS.items()}):
        yield url


@pytest.fixture(scope="module")
def journal(url: str) -> Iterator[Journal]:
    found = open_journal(url)
    yield found
    found.close()


@contextmanager
def asking(workers: str, settings: ServerSettings = USUAL) -> Iterator[openai.OpenAI]:
    with (
        serving_app(create_app(MINDS, settings, workers=workers)) as url,
        openai.OpenAI(base_url=f"{url}/v1", api_key=SECRET, max_retries=0) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def client(served: str) -> Iterator[openai.OpenAI]:
    with asking(served) as client:
        yield client


def user(text: str) -> Any:
    return [{"role": "user", "content": text}]


def call_of(said: ChatCompletion) -> Any:
    calls: Any = said.choices[0].message.tool_calls
    (call,) = calls
    return call


def soon(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


def runs_of(journal: Journal, question: str) -> list[Any]:
    found = [journal.load(each) for each in journal.run_ids()]
    return [each for each in found if each is not None and each.question == question]


@pytest.mark.anyio
async def test_tools_schemas_and_budgets_travel(served: str) -> None:
    budget = Budget("of all", calls=10, journal=served)
    left = budget.left().calls or 0
    async with Client(served) as client:
        tools = [external_tool("weather", parameters={"properties": {"city": {"type": "string"}}})]
        handle = await client.submit("How is it?", mind=MINDS["helper"], tools=tools, budget=budget)
        (call,) = (await handle.result()).pending
        assert (call.tool, call.arguments, call.kind) == ("weather", {"city": "Oslo"}, "external")
        resumed = await client.resume(handle.run_id, {call.id: Returned("warm")}, budget=budget)
        assert (await resumed.result()).output == "It is warm."
        assert budget.left().calls == left - 2
        schema: dict[str, JsonValue] = {"title": "place", "type": "object", "properties": {"city": {"type": "string"}}}
        placed = await client.submit("Where?", mind=MINDS["helper"], output_schema=schema)
        assert (await placed.result()).output == {"city": "Oslo"}


def test_an_answer_is_that_of_a_worker(client: openai.OpenAI, journal: Journal, on_stage: Stage) -> None:
    said = client.chat.completions.create(model="voters", messages=user("Which one?"), seed=1, user="me")
    (run,) = runs_of(journal, "Which one?")
    assert said.choices[0].message.content == run.result.text
    assert said.usage is not None
    assert said.usage.completion_tokens == run.result.usage.output_tokens > 0
    assert (run.labels["contemplator"], run.labels["user"]) == ("voters", "me")
    assert len(on_stage.asked()) == run.result.usage.calls


def test_progress_is_told_and_then_the_answer(client: openai.OpenAI, on_stage: Stage) -> None:
    on_stage.open()
    stream = client.chat.completions.create(model="voters", messages=user("How many?"), stream=True)
    deltas = [each.choices[0].delta.model_dump() for each in stream]
    assert "Votes: " in "".join(each.get("reasoning_content") or "" for each in deltas)
    assert [each["content"] for each in deltas if each.get("content")] == ["answer 0"]


@pytest.mark.parametrize("same", [True, False])
def test_a_run_goes_on_with_what_the_clients_tools_returned(
    served: str, client: openai.OpenAI, journal: Journal, same: bool
) -> None:
    messages = user(f"How is the weather, {same}?")
    said = client.chat.completions.create(model="helper", messages=messages, tools=[WEATHER])
    call = call_of(said)
    assert call.function.arguments == '{"city":"Oslo"}'
    messages += [said.choices[0].message.model_dump(exclude_none=True)]
    messages += [{"role": "tool", "tool_call_id": call.id, "content": "warm"}]
    with asking(served) as other:
        asked = client if same else other
        rest = asked.chat.completions.create(model="helper", messages=messages, tools=[WEATHER])
        told = httpx2.get(f"{str(other.base_url).removesuffix('/v1/')}/metrics").text
    # Another server counts what it has made, and not what it has found.
    assert ('contemplate_model_calls_total{key="",model="helper"} 1.0' in told) is not same
    assert rest.choices[0].message.content == "It is warm."
    assert said.usage is not None
    assert rest.usage is not None
    # It is one run, whose calls are in one of the two.
    (run,) = runs_of(journal, messages[0]["content"])
    assert said.usage.total_tokens + rest.usage.total_tokens == run.result.usage.total_tokens


def test_who_comes_twice_ends_nothing(served: str, client: openai.OpenAI, journal: Journal, on_stage: Stage) -> None:
    asked: Any = {"model": "helper", "tools": [WEATHER]}
    messages = user("What is it, twice?")
    said = client.chat.completions.create(messages=messages, **asked)
    messages += [said.choices[0].message.model_dump(exclude_none=True)]
    messages += [{"role": "tool", "tool_call_id": call_of(said).id, "content": "waiting"}]
    with asking(served) as other, ThreadPoolExecutor(1) as pool:
        first = pool.submit(lambda: client.chat.completions.create(messages=messages, **asked))
        soon(lambda: [each.status for each in runs_of(journal, "What is it, twice?")] == ["running"])
        with pytest.raises(openai.InternalServerError, match="is active"):
            other.chat.completions.create(messages=messages, **asked)
        on_stage.open()
        assert first.result(PATIENCE).choices[0].message.content == "It is waiting."


def test_schemas_and_forced_calls_travel(client: openai.OpenAI) -> None:
    schema: Any = {"name": "place", "schema": WEATHER["function"]["parameters"]}
    form: Any = {"type": "json_schema", "json_schema": schema}
    said = client.chat.completions.create(model="helper", messages=user("Where?"), response_format=form)
    assert said.choices[0].message.content == '{"city":"Oslo"}'
    forced = client.chat.completions.create(
        model="helper", messages=user("Call it."), tools=[WEATHER], tool_choice="required"
    )
    call = call_of(forced)
    assert (call.function.name, call.function.arguments) == ("weather", '{"city":"Oslo"}')


@pytest.mark.parametrize("background", [False, True])
def test_the_other_apis_are_answered_too(client: openai.OpenAI, on_stage: Stage, background: bool) -> None:
    told = list(client.responses.create(model="voters", input="Which?", stream=True, background=background))
    assert told[-1].type == "response.completed"
    assert told[-1].response.output_text == "answer 0"
    body = {"model": "voters", "max_tokens": 100, "messages": user("Which?")}
    said = httpx2.post(f"{client.base_url}messages", json=body, headers={"x-api-key": SECRET}, timeout=PATIENCE).json()
    assert [each["text"] for each in said["content"]] == ["answer 0"]
    assert said["usage"]["contemplate"]["calls"] == 5


def test_errors_have_the_status_that_they_have_here(client: openai.OpenAI, on_stage: Stage) -> None:
    with pytest.raises(openai.InternalServerError, match="it is down") as failed:
        client.chat.completions.create(model="voters", messages=user("fail at once"))
    assert failed.value.status_code == 502
    with pytest.raises(openai.APIStatusError) as waits:
        client.chat.completions.create(model="careful", messages=user("Delete it."))
    assert (waits.value.status_code, waits.value.code) == (501, "run_suspended")


def test_what_is_decided_in_a_browser_goes_on_at_a_worker(
    served: str, client: openai.OpenAI, journal: Journal, on_stage: Stage
) -> None:
    with pytest.raises(openai.APIStatusError):
        client.chat.completions.create(model="careful", messages=user("Delete it now."))
    (run,) = runs_of(journal, "Delete it now.")
    (call,) = run.result.pending
    decided = {"call": call.id, "decision": "approve"}
    url = f"{str(client.base_url).removesuffix('/v1/')}/viewer/runs/{run.run_id}"
    assert httpx2.post(f"{url}/decisions", json=decided, timeout=PATIENCE).status_code == 200
    with httpx2.stream("GET", f"{url}/events", timeout=PATIENCE) as events:
        kinds = [json.loads(line)["kind"] for line in events.iter_lines() if line]
    assert kinds[-1] == "run_finished"
    assert [each.status for each in runs_of(journal, "Delete it now.")] == ["answered"]


def test_a_client_that_goes_ends_its_run(client: openai.OpenAI, journal: Journal, on_stage: Stage) -> None:
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.5).chat.completions.create(model="voters", messages=user("wait 2 and go"))
    soon(lambda: [each.status for each in runs_of(journal, "wait 2 and go")] == ["interrupted"])


def test_a_client_does_not_notice_that_a_run_is_another_workers(
    served: str, client: openai.OpenAI, journal: Journal, on_stage: Stage
) -> None:
    with ThreadPoolExecutor(1) as pool, closing(RunQueue(Site.of(served))) as queue:
        asked = pool.submit(client.chat.completions.create, model="voters", messages=user("wait 2 to be moved"))
        soon(lambda: len(on_stage.asked()) >= 3)
        (run,) = runs_of(journal, "wait 2 to be moved")
        queue.give_back([run.run_id], MINDS["voters"])
        # A worker that is given its own run again may end it, or begin anew: as it looks before that, or after.
        soon(lambda: getattr(queue.run(run.run_id), "state", None) == "running")
        on_stage.open()
        assert asked.result(PATIENCE).choices[0].message.content == "answer 0"
    # What was answered is not asked again.
    assert [seed for _, seed, _ in on_stage.asked()].count(0) == 1


def test_a_response_in_the_background_is_found_by_any_server(served: str, on_stage: Stage) -> None:
    with asking(served) as other:
        with asking(served) as first:
            made = first.responses.create(model="voters", input="wait 2 there", background=True)
            soon(lambda: len(on_stage.asked()) >= 3)
            assert other.responses.retrieve(made.id).status in ("queued", "in_progress")
        # The first is gone, and has not cancelled it; nobody paid twice.
        on_stage.open()
        soon(lambda: other.responses.retrieve(made.id).status == "completed")
        assert other.responses.retrieve(made.id).output_text == "answer 0"
    assert len({seed for _, seed, _ in on_stage.asked()}) == len(on_stage.asked())


def test_a_response_in_the_background_is_cancelled_by_any_server(
    served: str, client: openai.OpenAI, journal: Journal, on_stage: Stage
) -> None:
    with asking(served) as other:
        for asked, through in ((client, client), (client, other)):
            made = asked.responses.create(model="voters", input="wait 2 to be cancelled", background=True)
            soon(lambda: len(on_stage.asked()) >= 3)
            through.responses.cancel(made.id)
            soon(lambda: asked.responses.retrieve(made.id).status == "cancelled")  # noqa: B023
            (on_stage.folder / "asked").unlink()
    soon(lambda: [each.status for each in runs_of(journal, "wait 2 to be cancelled")] == ["interrupted"] * 2)


def test_limits_and_budgets_of_a_key_hold_at_workers(served: str, on_stage: Stage) -> None:
    budget = Budget("ann", calls=5, per="day", journal=served)
    settings = ServerSettings(keys=(ClientKey("ann", SECRET, (budget,)),))
    with asking(served, settings) as client:
        headers = {"x-contemplate-limits": "calls=2"}
        short = client.chat.completions.create(model="voters", messages=user("My first?"), extra_headers=headers)
        assert short.choices[0].finish_reason == "length"
        assert (len(on_stage.asked()), budget.left().calls) == (2, 3)
        client.chat.completions.create(model="voters", messages=user("My second?"))
        assert (len(on_stage.asked()), budget.left().calls) == (5, 0)
        with pytest.raises(openai.RateLimitError, match="nothing left of its budget 'ann'"):
            client.chat.completions.create(model="voters", messages=user("My third?"))


def test_without_a_worker_that_is_said_soon(
    served: str, on_stage: Stage, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contemplate.server.workers_alive.NOBODY_SECONDS", 0.1)
    monkeypatch.setattr("contemplate.server.workers_alive.LOOK_SECONDS", 0.05)
    app = create_app({"m": f"{HERE}:idle"}, workers=served)
    with serving_app(app) as url:
        body = {"model": "m", "messages": user("Anybody?")}
        said = httpx2.post(f"{url}/v1/chat/completions", json=body, timeout=PATIENCE)
    assert (said.status_code, said.json()["error"]["code"]) == (503, "no_worker")
    assert "no worker with 'tests.cluster.stage:idle'" in said.json()["error"]["message"]


@pytest.mark.parametrize(
    ("minds", "options", "says"),
    [
        ({"m": Contemplator(ScriptedModel([]))}, {}, r"minds\['m'\] is a Contemplator.*by the name that workers"),
        ({"m": "nowhere:mind"}, {}, "contemplator 'nowhere:mind'"),
        (MINDS, {"efforts": {"high": modes.council()}}, "efforts: what answers 'high' cannot travel"),
        (MINDS, {"efforts": {"high": Contemplator(ScriptedModel([]))}}, "efforts: what answers 'high' cannot travel"),
        (MINDS, {"workers": "sqlite:///runs.db"}, "one machine only"),
    ],
)
def test_what_cannot_travel_is_refused_at_the_start(url: str, minds: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        create_app(minds, **{"workers": url, **options})


def test_a_budget_that_workers_cannot_find_is_refused_at_the_start(url: str) -> None:
    settings = ServerSettings(keys=(ClientKey("ann", SECRET, (Budget("ann", calls=1),)),))
    with pytest.raises(ConfigurationError, match=r"Budget\('ann', calls=1\) cannot travel.*journal=\"postgresql://"):
        create_app(MINDS, settings, workers=url)


__all__ = ["_awake"]
