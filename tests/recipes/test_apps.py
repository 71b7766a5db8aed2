"""Apps in which each request has a user: with a budget of his, and with a connection to the database."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import aiosqlite
import anyio
import httpx2
import pytest
from fastapi import FastAPI

from contemplate import Budget, Contemplator, Message, ToolContext, Usage
from contemplate.messages import ToolCall
from contemplate.models import ModelRequest, ModelResponse
from contemplate.testing import ScriptedModel
from examples.recipes import database, user_budgets

from .conftest import ON_ASYNCIO

pytestmark = ON_ASYNCIO
NOON = 1_800_014_400.0  # 2027-01-15, 12:00 UTC


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


async def ask(app: FastAPI, headers: dict[str, str]) -> httpx2.Response:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://app") as client:
        return await client.post("/ask", json={"question": "What did I buy in 2026?"}, headers=headers)


class TestBudgets:
    @pytest.fixture
    def app_of(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., FastAPI]:
        monkeypatch.setattr("contemplate.budget.time", SimpleNamespace(time=lambda: NOON))
        usage = Usage(calls=1, input_tokens=150_000, output_tokens=100_000, cost_usd=0.0)
        dear = ModelResponse(message=Message.assistant("Much."), finish="stop", usage=usage, model="dear")
        mind = Contemplator(ScriptedModel(lambda request: dear), mode="instant")
        return lambda *budget_of: user_budgets.create_app(mind, *budget_of)

    async def test_who_has_spent_it_is_told_when_there_is_more_and_others_are_not_concerned(
        self, app_of: Callable[..., FastAPI]
    ) -> None:
        alice, bob = {"x-api-key": "key-of-alice"}, {"x-api-key": "key-of-bob"}
        first = await ask(app_of(), alice)
        assert first.json() == {"answer": "Much.", "complete": True, "tokens_left": 0}
        # Another app, as another worker of the server would have: the file is what they share.
        app = app_of()
        again = await ask(app, alice)
        assert again.status_code == 429
        assert again.headers["retry-after"] == "Sat, 16 Jan 2027 00:00:00 GMT"
        assert "budget 'user alice'" in again.json()["detail"]
        assert "there is more at 00:00 UTC" in again.json()["detail"]
        assert (await ask(app, bob)).json()["answer"] == "Much."

    async def test_what_is_spent_for_good_is_to_be_paid_for(self, app_of: Callable[..., FastAPI]) -> None:
        budgets = {"alice": Budget("user alice", tokens=1_000)}
        app = app_of(budgets.__getitem__)
        assert (await ask(app, {"x-api-key": "key-of-alice"})).status_code == 200
        refused = await ask(app, {"x-api-key": "key-of-alice"})
        assert refused.status_code == 402
        assert "retry-after" not in refused.headers

    async def test_what_is_spent_in_the_middle_of_a_run_loses_no_answer(self) -> None:
        mind = Contemplator(ScriptedModel("So it is."), mode="council")
        app = user_budgets.create_app(mind, lambda user: Budget(user, calls=3))
        answer = await ask(app, {"x-api-key": "key-of-alice"})
        assert answer.status_code == 200
        assert "So it is." in answer.json()["answer"]
        assert answer.json()["complete"] is False

    async def test_who_has_no_key_is_not_asked_for(self, app_of: Callable[..., FastAPI]) -> None:
        assert [(await ask(app_of(), headers)).status_code for headers in ({}, {"x-api-key": "no"})] == [401, 401]


class TestDatabase:
    @pytest.fixture(autouse=True)
    def _orders(self) -> None:
        with sqlite3.connect(database.DATABASE) as db:
            db.execute("CREATE TABLE orders (user, year, item)")
            db.executemany("INSERT INTO orders VALUES (?, ?, ?)", [("ann", 2026, "a kite"), ("bob", 2026, "a drum")])
        db.close()

    @pytest.fixture
    def connections(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """What became of connections."""
        seen: list[str] = []
        connect = aiosqlite.connect

        def watched(path: str) -> object:
            seen.append("opened")
            opened = connect(path)
            close = opened.close

            async def closed() -> None:
                await close()
                seen.append("closed")

            monkeypatch.setattr(opened, "close", closed)
            return opened

        monkeypatch.setattr(aiosqlite, "connect", watched)
        return seen

    async def test_the_tool_sees_the_rows_of_the_requests_user_only(self, connections: list[str]) -> None:
        app = database.create_app(Contemplator(ScriptedModel(looks_up), mode="thinking", tools=[database.orders]))
        said: dict[str, str] = {}

        async def of(user: str) -> None:
            said[user] = (await ask(app, {"user": user})).json()

        async with anyio.create_task_group() as group:
            for user in ("ann", "bob"):
                group.start_soon(of, user)
        assert said == {"ann": 'You bought ["a kite"].', "bob": 'You bought ["a drum"].'}
        assert sorted(connections) == ["closed", "closed", "opened", "opened"]

    async def test_the_connection_is_closed_when_the_request_fails(self, connections: list[str]) -> None:
        app = database.create_app(Contemplator(ScriptedModel([]), mode="thinking", tools=[database.orders]))
        failed = await ask(app, {"user": "ann"})
        assert failed.status_code == 502
        assert "the script has only 0 replies" in failed.json()["detail"]
        assert connections == ["opened", "closed"]

    async def test_the_tool_alone(self) -> None:
        async with aiosqlite.connect(database.DATABASE) as db:
            assert await database.orders(ToolContext.of(database.Deps("bob", db)), 2026) == ["a drum"]


def looks_up(request: ModelRequest) -> str | Message:
    if request.messages[-1].role == "tool":
        return f"You bought {request.messages[-1].text}."
    return Message.assistant("", (ToolCall(id="c", name="orders", arguments='{"year": 2026}'),))
