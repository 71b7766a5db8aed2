"""The suite of real clients, without the clients: its table, its page, and its scripted model behind the server."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from clients import features, minds, page
from clients.catalog import Client, clients
from clients.cells import Cell, applies
from clients.environments import Environment
from clients.features import FEATURES
from clients.scripts.given import IMAGE, MODEL
from clients.server_process import KEY, serving

from ..patience import PATIENCE
from .conftest import Serve

TEXT = page.PAGE.read_text("utf-8")
each_client = pytest.mark.parametrize("client", clients().values(), ids=lambda client: client.name)
PLACES = {'f"{URL}': '"http://127.0.0.1:8400', "`${URL}/v1`": '"http://127.0.0.1:8400/v1"'}


@each_client
def test_a_client_is_pinned_and_does_something(client: Client) -> None:
    assert bool(client.pip) != bool(client.npm)
    assert all("==" in package for package in client.pip)
    assert all(re.search(r".@\d", package) for package in client.npm)
    assert {feature.name for feature in FEATURES if applies(client, feature)} >= {"chat", "errors", "outage", "cancel"}


@each_client
def test_the_page_tells_the_settings_that_were_tried(client: Client) -> None:
    found = re.search(rf"^## {re.escape(client.title)}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None
    script = client.script.read_text("utf-8").replace("{MODEL}", MODEL).replace('f"openai/', '"openai/')
    script = re.sub(r"\bMODEL\b", f'"{MODEL}"', script)
    script = re.sub(r"\bKEY\b", '"none"', script)
    for theirs, told in PLACES.items():
        script = script.replace(theirs, told)
    script = re.sub(r"\bURL\b", '"http://127.0.0.1:8400"', script)
    code = re.findall(r"```(?:py|js)\n(.*?)```", found[1], re.DOTALL)
    # Clients that speak two APIs are told of once.
    if client.name.endswith("-responses") or not code:
        return
    first = code[0].splitlines()[0].replace("const ", "")
    assert re.sub(r"\s", "", first) in re.sub(r"\s", "", script.replace("base_url=URL", ""))


def test_the_table_keeps_what_was_not_run(tmp_path: Path) -> None:
    copy = tmp_path / "clients.md"
    copy.write_text(f"Before.\n{page.BEGIN}\n{page.END}\nAfter.\n", "utf-8")
    page.keep([Cell("codex", "chat", "passes"), Cell("codex", "images", "does not apply")], copy)
    page.keep([Cell("codex", "edit", "fails", ("it did not",))], copy)
    before, *table, after = copy.read_text("utf-8").replace(page.BEGIN, "").replace(page.END, "").strip().splitlines()
    assert (before, after) == ("Before.", "After.")
    (row,) = [line for line in table if line.startswith("| codex exec 0.")]
    names = [feature.name for feature in FEATURES]
    signs = dict(zip(names, row.strip("| ").split(" | ")[1:], strict=True))
    assert (signs["chat"], signs["images"], signs["edit"], signs["stream"]) == ("✓", "-", "✗", "?")


def test_the_page_has_a_row_for_each_client_in_its_version() -> None:
    for client in clients().values():
        assert f"| {client.title} {client.version}, {client.api} |" in TEXT


def test_variables_of_other_clients_stay_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-mine")
    monkeypatch.setenv("PATH", "/bin")
    variables = Environment(tmp_path, (tmp_path / "bin",)).variables()
    assert "OPENAI_API_KEY" not in variables
    assert variables["PATH"] == f"{tmp_path}/bin:/bin"


@pytest.fixture
def said() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def client(serve: Serve, said: list[dict[str, Any]]) -> Any:
    with openai.OpenAI(base_url=f"{serve(minds.minds(said.append))}/v1", api_key="none", timeout=PATIENCE) as made:
        yield made


def question(name: str) -> str:
    return next(feature.question for feature in FEATURES if feature.name == name)


def judged(name: str, had: dict[str, Any], said: list[dict[str, Any]]) -> list[str]:
    return next(feature for feature in FEATURES if feature.name == name).check(had, said)


def test_a_check_passes_what_is_well_and_names_what_is_not(client: Any, said: list[dict[str, Any]]) -> None:
    messages = [{"role": "user", "content": question("chat")}]
    done = client.chat.completions.create(model=MODEL, messages=messages)
    assert judged("chat", {"text": done.choices[0].message.content}, said) == []
    assert judged("chat", {"text": "Because."}, []) == [
        "the answer is 'Because.'",
        "the run made no call of its merge, part, plan",
    ]


def test_a_toy_repository_is_edited_by_several_subagents(client: Any, said: list[dict[str, Any]]) -> None:
    """As a coding client does it: the model's shell commands are run, and what they print goes back."""
    shell = {
        "type": "function",
        "function": {
            "name": "bash",
            "description": "Run a command.",
            "parameters": {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
        },
    }
    messages: list[Any] = [{"role": "user", "content": question("edit")}]
    first = client.chat.completions.create(model=MODEL, messages=messages, tools=[shell]).choices[0]
    assert first.finish_reason == "tool_calls"
    asked = [json.loads(call.function.arguments)["command"] for call in first.message.tool_calls]
    assert sorted(asked) == sorted(features.EDITS.values())
    messages.append(first.message)
    for number, call in enumerate(first.message.tool_calls):
        messages.append({"role": "tool", "tool_call_id": call.id, "content": f"done {number}"})
    last = client.chat.completions.create(model=MODEL, messages=messages, tools=[shell]).choices[0]
    assert (last.message.content, last.finish_reason) == (minds.DONE, "stop")
    calls = [each["call"] for each in said if "call" in each]
    assert sorted(calls) == ["merge", "part", "part", "part", "part", "plan"]
    (merged,) = [each["asked"] for each in said if each.get("call") == "merge"]
    assert "done 0" in merged
    assert "done 1" in merged


def test_the_image_is_one(tmp_path: Path) -> None:
    assert IMAGE.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(IMAGE) < 200


def test_the_server_of_the_suite_wants_a_key(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        for key, status in (("none", 401), (KEY, 200)):
            asked = httpx2.get(f"{server.url}/v1/models", headers={"authorization": f"Bearer {key}"}, timeout=PATIENCE)
            assert asked.status_code == status
