"""Several keys: what one has made is not there for another one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from contemplate import Contemplator, Message
from contemplate.journal import Journal
from contemplate.messages import ToolCall
from contemplate.models import ModelRequest
from contemplate.server import ClientKey, ServerSettings
from contemplate.server.waiting_runs import OWNER
from contemplate.testing import ScriptedModel

from ..patience import PATIENCE
from .conftest import Serve, serving
from .test_server_clients import StepByStep

ANN, BOB = "sk-ann-0123456789", "sk-bob-0123456789"
SETTINGS = ServerSettings(keys=(ClientKey("ann", ANN), ClientKey("bob", BOB)))
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CALL = Message.assistant("", (ToolCall(id="c", name="weather", arguments='{"city": "Rome"}'),))

Ask = Callable[..., httpx2.Response]


@contextmanager
def asking(url: str, secret: str) -> Iterator[Ask]:
    with httpx2.Client(base_url=f"{url}/v1", headers={"x-api-key": secret}, timeout=PATIENCE) as client:
        yield lambda method, path, **options: client.request(method, path, **options)


@pytest.fixture(params=["memory", "journal"])
def mind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[Any], Contemplator[str]]]:
    journal = Journal(tmp_path / "runs.db") if request.param == "journal" else None
    yield lambda model: Contemplator(model, mode="instant", journal=journal, stream=True)
    if journal is not None:
        journal.close()


def test_a_stored_response_is_there_for_its_own_key_only(serve: Serve, mind: Any) -> None:
    url = serve({"m": mind(ScriptedModel("yes"))}, SETTINGS)
    with asking(url, ANN) as ann, asking(url, BOB) as bob:
        made = ann("POST", "/responses", json={"model": "m", "input": "Why?"}).json()
        one = f"/responses/{made['id']}"
        for method, path in [("GET", one), ("DELETE", one), ("POST", f"{one}/cancel"), ("GET", f"{one}/input_items")]:
            refused = bob(method, path)
            assert refused.status_code == 404
            assert refused.json() == bob(method, path.replace(made["id"], "resp_0")).json() | {
                "error": refused.json()["error"]
            }
        after = {"model": "m", "input": "And?", "previous_response_id": made["id"]}
        referring = {"model": "m", "input": [{"type": "item_reference", "id": made["output"][-1]["id"]}]}
        for path in ("/responses", "/responses/input_tokens"):
            assert bob("POST", path, json=after).json()["error"]["code"] == "previous_response_not_found"
            assert "there is no item" in bob("POST", path, json=referring).json()["error"]["message"]
        assert ann("POST", "/responses", json=after).status_code == ann("GET", one).status_code == 200


def test_a_conversation_is_there_for_its_own_key_only(serve: Serve, mind: Any) -> None:
    url = serve({"m": mind(ScriptedModel("yes"))}, SETTINGS)
    said = {"items": [{"role": "user", "content": "My name is Ada."}]}
    with asking(url, ANN) as ann, asking(url, BOB) as bob:
        one = f"/conversations/{ann('POST', '/conversations', json=said).json()['id']}"
        item = f"{one}/items/{ann('GET', f'{one}/items').json()['data'][0]['id']}"
        for method, path in [
            ("GET", one),
            ("POST", one),
            ("DELETE", one),
            ("GET", f"{one}/items"),
            ("POST", f"{one}/items"),
            ("GET", item),
            ("DELETE", item),
        ]:
            assert bob(method, path, json=said).status_code == 404
        asked = {"model": "m", "input": "Who am I?", "conversation": one.rpartition("/")[2]}
        assert bob("POST", "/responses", json=asked).status_code == 404
        assert ann("POST", "/responses", json=asked).status_code == 200
        assert len(ann("GET", f"{one}/items").json()["data"]) == 3


def test_a_run_in_the_background_is_there_for_its_own_key_only(serve: Serve, mind: Any) -> None:
    gate = threading.Event()
    url = serve({"m": mind(StepByStep(["The ", gate, "answer"]))}, SETTINGS)
    with asking(url, ANN) as ann, asking(url, BOB) as bob:
        made = ann("POST", "/responses", json={"model": "m", "input": "Why?", "background": True}).json()
        one = f"/responses/{made['id']}"
        for method, path in [("GET", one), ("GET", f"{one}?stream=true"), ("DELETE", one), ("POST", f"{one}/cancel")]:
            assert bob(method, path).status_code == 404
        gate.set()
        assert '"text":"The answer"' in ann("GET", f"{one}?stream=true").text
        assert ann("GET", one).json()["status"] == "completed"


def weather(request: ModelRequest) -> Message | str:
    told = [each.text for each in request.messages if each.role == "tool"]
    return f"It is {told[-1]}." if told else CALL


def chat(ask: Ask, told: tuple[str, str] | None = None) -> tuple[str | None, str | None]:
    """Ask about the weather, or go on with what the tool returned; return the call, or the answer."""
    said: list[Any] = [{"role": "user", "content": "What is the weather?"}]
    if told is not None:
        call = {"id": told[0], "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
        said += [{"role": "assistant", "content": None, "tool_calls": [call]}]
        said += [{"role": "tool", "tool_call_id": told[0], "content": told[1]}]
    body = {
        "model": "m",
        "messages": said,
        "tools": [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}],
        "metadata": {"contemplate:key": "ann"},
    }
    message = ask("POST", "/chat/completions", json=body).json()["choices"][0]["message"]
    return (message["tool_calls"][0]["id"], None) if message.get("tool_calls") else (None, message["content"])


def messages(ask: Ask, told: tuple[str, str] | None = None) -> tuple[str | None, str | None]:
    said: list[Any] = [{"role": "user", "content": "What is the weather?"}]
    if told is not None:
        use = {"type": "tool_use", "id": told[0], "name": "weather", "input": {"city": "Rome"}}
        result = {"type": "tool_result", "tool_use_id": told[0], "content": told[1]}
        said += [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    tools = [{"name": "weather", "input_schema": SCHEMA}]
    answer = ask("POST", "/messages", json={"model": "m", "max_tokens": 99, "messages": said, "tools": tools}).json()
    last = answer["content"][-1]
    return (last["id"], None) if last["type"] == "tool_use" else (None, last["text"])


def responses(ask: Ask, told: tuple[str, str] | None = None) -> tuple[str | None, str | None]:
    said: list[Any] = [{"role": "user", "content": "What is the weather?"}]
    if told is not None:
        said += [{"type": "function_call", "call_id": told[0], "name": "weather", "arguments": '{"city": "Rome"}'}]
        said += [{"type": "function_call_output", "call_id": told[0], "output": told[1]}]
    tools = [{"type": "function", "name": "weather", "parameters": SCHEMA}]
    answer = ask("POST", "/responses", json={"model": "m", "input": said, "tools": tools}).json()
    last = answer["output"][-1]
    return (last["call_id"], None) if last["type"] == "function_call" else (None, last["content"][0]["text"])


def goes_on(request: ModelRequest) -> bool:
    """Whether a subagent goes on after its tool's result; a run that is made anew is asked to go on."""
    return request.messages[-1].role == "tool"


APIS = [chat, messages, responses]


@pytest.mark.parametrize("api", APIS)
def test_a_run_that_waits_goes_on_for_its_own_key_only(serve: Serve, mind: Any, api: Any) -> None:
    model = ScriptedModel(weather)
    url = serve({"m": mind(model)}, SETTINGS)
    with asking(url, ANN) as ann, asking(url, BOB) as bob:
        call, _ = api(ann)
        assert api(bob, (call, "stolen")) == (None, "It is stolen.")
        assert api(ann, (call, "sunny")) == (None, "It is sunny.")
    assert list(map(goes_on, model.requests[1:])) == [False, True]


@pytest.mark.parametrize("api", APIS)
def test_so_it_is_after_a_restart(tmp_path: Path, api: Any) -> None:
    def minds(model: ScriptedModel) -> dict[str, Contemplator[str]]:
        return {"m": Contemplator(model, mode="instant", journal=f"sqlite:///{tmp_path / 'runs.db'}")}

    models = [ScriptedModel(weather) for _ in range(3)]
    with serving(minds(models[0]), SETTINGS) as url, asking(url, ANN) as ann, asking(url, BOB) as bob:
        (call, _), (of_bob, _) = api(ann), api(bob)
    for model, known, is_own in [(models[1], call, False), (models[2], of_bob, True)]:
        with serving(minds(model), SETTINGS) as url, asking(url, BOB) as bob:
            assert api(bob, (known, "fine")) == (None, "It is fine.")
        assert list(map(goes_on, model.requests)) == [is_own]


@pytest.mark.parametrize(("settings", "owner"), [(SETTINGS, {OWNER: "bob"}), (ServerSettings(), {})])
def test_a_client_labels_its_run_but_says_of_nobody_that_it_is_theirs(
    serve: Serve, tmp_path: Path, settings: ServerSettings, owner: dict[str, str]
) -> None:
    mind = Contemplator(ScriptedModel("yes"), mode="instant", journal=f"sqlite:///{tmp_path / 'runs.db'}")
    url = serve({"m": mind}, settings)
    body = {"model": "m", "messages": [{"role": "user", "content": "Why?"}], "user": "eve"}
    with asking(url, BOB) as bob:
        bob("POST", "/chat/completions", json=body | {"metadata": {"topic": "trees", OWNER: "ann"}})
    (run,) = Journal(tmp_path / "runs.db").runs()
    assert run.labels == {"topic": "trees", "user": "eve", "contemplator": "m"} | owner


def test_without_keys_all_is_everybodys(serve: Serve, mind: Any) -> None:
    url = serve({"m": mind(ScriptedModel(weather))})
    with asking(url, ANN) as ann, asking(url, BOB) as bob:
        call, _ = chat(ann)
        assert chat(bob, (str(call), "sunny")) == (None, "It is sunny.")
        made = ann("POST", "/responses", json={"model": "m", "input": "Why?"}).json()
        assert bob("GET", f"/responses/{made['id']}").status_code == 200
