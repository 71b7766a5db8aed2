"""Each recipe as a program, as it stands, on a server that a variable names."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
import uvicorn
from fastapi import FastAPI

from contemplate.testing import FaultyServer
from contemplate.testing.faulty import ChatAnswer, Exchange, Reply

from .pages import RECIPES

Run = Callable[..., str]
SAID = {
    "plan": '{"tasks": [{"title": "Fees", "prompt": "What fees?"}]}',
    "Review": '{"clauses": [], "risks": [{"severity": "low", "why": "It is short.", "quote": "Sold as seen."}]}',
    "Ticket": '{"team": "technical"}',
}


def answer(exchange: Exchange) -> Reply | str:
    schema = exchange.schema or ""
    if "best" in json.dumps(exchange.body.get("response_format", {})):
        return '{"reason": "all the same", "best": "1"}'
    if exchange.body.get("tools") and exchange.messages[-1]["role"] == "user":
        return ChatAnswer("", tool_calls=[("delete_file", '{"path": "old.txt"}')])
    return SAID.get(schema, "So it is.")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """A function that runs a recipe with arguments in a folder of its own, and returns what it printed."""

    def program(name: str, *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(RECIPES / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out

    monkeypatch.chdir(tmp_path)
    with FaultyServer(answer) as server:
        monkeypatch.setenv("CONTEMPLATE_MODEL", f"{server.url}#model")
        yield program
    structlog.reset_defaults()


@pytest.mark.parametrize("name", ["streaming", "user_budgets", "database"])
def test_apps_are_served(name: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[FastAPI] = []
    monkeypatch.setattr(uvicorn, "run", lambda app, **_: served.append(app))
    run(name)
    assert [isinstance(app, FastAPI) for app in served] == [True]


def test_a_contract_is_reviewed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "contract.txt").write_text("Sold\nas seen.", encoding="utf-8")
    assert run("contract_review", "contract.txt") == "low: It is short.\n    'Sold as seen.'\n"


def test_the_house_style_answers(run: Run) -> None:
    assert run("house_style", "What does it cost?") == "So it is.\n"


def test_each_line_of_the_log_has_the_request_and_the_run(run: Run) -> None:
    *lines, ticket = run("triage", "It does not start.").splitlines()
    assert ticket == "team='technical'"
    logged = [json.loads(line) for line in lines]
    assert {line["request_id"] for line in logged} == {"r1"}
    assert len({line["run_id"] for line in logged}) == 1
    assert {"run_started", "model_called", "run_finished", "sorted"} <= {line["event"] for line in logged}
    assert "It does not start." not in "".join(lines)


def test_a_chat_goes_on_when_it_is_started_anew(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "old.txt").touch()

    def chat(*messages: str) -> str:
        said = iter((*messages, ""))
        monkeypatch.setattr("builtins.input", lambda _: next(said))
        return run("chat_approval")

    assert chat("Clean up.") == "May I call delete_file with {'path': 'old.txt'}? Yes, or no?\n"
    assert chat("Yes.") == "So it is.\n"
    assert not (tmp_path / "old.txt").exists()
