"""A run that a browser watches: to its answer, to its Cancel button, and to the end of its tab."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import httpx2
import pytest
from fastapi import FastAPI

from contemplate import Contemplator
from contemplate.journal import Journal
from contemplate.testing import ScriptedModel
from examples.recipes.streaming import create_app

from ..browser import Page, chromium
from ..patience import PATIENCE
from ..server.conftest import serving_app
from ..viewer.conftest import needs_chromium
from .conftest import ON_ASYNCIO, Serve, Stuck, until

pytestmark = ON_ASYNCIO
PLAN = '{"tasks": [{"title": "Rent", "prompt": "Rent?"}, {"title": "Buy", "prompt": "Buy?"}]}'
ASKED = {"question": "Rent or buy?", "run_id": "of-this-test"}


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "runs.db")


def events(text: str) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for block in filter(None, text.strip().split("\n\n")):
        kind, data = block.splitlines()
        found.append((kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def ask(url: str, asked: Mapping[str, str] = MappingProxyType({})) -> list[tuple[str, object]]:
    answer = httpx2.get(f"{url}/ask", params={**ASKED, **asked}, timeout=PATIENCE)
    assert answer.headers["content-type"].startswith("text/event-stream")
    return events(answer.text)


def answered(journal: Journal) -> int:
    """How many calls are in the journal of the only run, with their answers."""
    return sum(entry.outcome == "answered" for run in journal.runs() for entry in journal.entries(run.run_id))


async def half_way(stuck: Stuck, journal: Journal) -> None:
    """The plan is written, one part answered, and the other one waits for its answer."""
    await until(lambda: stuck.waiting and answered(journal) == 2)


async def kept(stuck: Stuck, journal: Journal) -> None:
    """The run is over, and what was answered in the journal; what was cancelled may be billed as well."""
    await until(lambda: stuck.cancelled and [run.status for run in journal.runs()] == ["interrupted"])
    assert answered(journal) == 2
    (run,) = journal.runs()
    result = (journal.load(run.run_id) or run).result
    assert result is not None
    assert result.usage.calls == 3
    assert [task.outcome for task in result.tasks] == ["answered", "cancelled"]


async def asks(page: Page, url: str) -> None:
    await page.open(url)
    await page.run("document.querySelector('[name=question]').focus()")
    await page.type("Rent or buy?")
    await page.click("form button")


async def test_progress_text_and_answer_are_streamed(serve: Serve, journal: Journal) -> None:
    stuck = Stuck(PLAN)
    stuck.stuck = False
    url = serve(create_app(Contemplator(stuck.model, journal=journal)))
    told = await asyncio.to_thread(ask, url)
    assert {said for kind, said in told if kind == "progress"} == {
        *("planned: Rent", "planned: Buy", "answered: Rent", "answered: Buy")
    }
    assert {"text": "Yes.", "restart": False} in [said for kind, said in told if kind == "text"]
    assert told[-1] == ("answer", "Yes.")


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({}, "the script has only 0 replies"),
        ({"question": " "}, "the question is empty"),
        ({"run_id": "../runs"}, "run_id"),
    ],
)
async def test_what_fails_is_told(asked: dict[str, str], why: str, serve: Serve, journal: Journal) -> None:
    url = serve(create_app(Contemplator(ScriptedModel([]), journal=journal)))
    ((kind, told),) = await asyncio.to_thread(ask, url, asked)
    assert kind == "failed"
    assert why in str(told)


async def test_a_client_that_leaves_ends_the_run_and_one_that_comes_back_pays_for_nothing_twice(
    serve: Serve, journal: Journal
) -> None:
    stuck = Stuck(PLAN)
    url = serve(create_app(Contemplator(stuck.model, journal=journal)))
    async with httpx2.AsyncClient(timeout=PATIENCE) as client, client.stream("GET", f"{url}/ask", params=ASKED):
        await half_way(stuck, journal)
    await kept(stuck, journal)
    stuck.stuck, before = False, len(stuck.asked)
    told = await asyncio.to_thread(ask, url)
    assert told[-1] == ("answer", "Yes.")
    # The part that was cancelled, and the merge.
    assert len(stuck.asked) - before == 2


async def test_who_comes_back_too_early_is_to_ask_again(serve: Serve, journal: Journal) -> None:
    """As a browser does by itself when a stream ends, unless the page closed it."""
    stuck = Stuck(PLAN)
    url = serve(create_app(Contemplator(stuck.model, journal=journal)))
    async with httpx2.AsyncClient(timeout=PATIENCE) as client, client.stream("GET", f"{url}/ask", params=ASKED):
        await half_way(stuck, journal)
        assert await asyncio.to_thread(ask, url) == []
        assert stuck.waiting == 1


@needs_chromium
@pytest.mark.parametrize("how", ["its button", "another page", "its tab closed"])
async def test_a_browser_ends_it(how: str, serve: Serve, journal: Journal) -> None:
    stuck = Stuck(PLAN)
    url = serve(create_app(Contemplator(stuck.model, journal=journal)))
    async with chromium() as page:
        await asks(page, url)
        await page.wait("document.querySelector('#progress').innerText.includes('answered: Rent')")
        await half_way(stuck, journal)
        assert page.problems == []
        if how == "its button":
            await page.click("#cancel")
        elif how == "another page":
            await page.open("about:blank")
        else:
            await page.call("Page.close")
        await kept(stuck, journal)


@needs_chromium
async def test_a_browser_asks_again_by_itself_when_the_server_is_there_again(tmp_path: Path) -> None:
    stuck, path = Stuck(PLAN), tmp_path / "runs.db"

    def app() -> FastAPI:
        return create_app(Contemplator(stuck.model, journal=Journal(path)))

    async with chromium() as page:
        with serving_app(app(), "auto") as url:
            await asks(page, url)
            await half_way(stuck, Journal(path))
        stuck.stuck, before = False, len(stuck.asked)
        with serving_app(app(), "auto", int(url.rpartition(":")[2])):
            await page.wait("document.querySelector('#cancel').disabled && document.querySelector('#answer').innerText")
            assert await page.text("#answer") == "Yes."
        assert len(stuck.asked) - before == 2
        assert page.problems == []


@needs_chromium
async def test_a_browser_shows_the_answer(serve: Serve, journal: Journal) -> None:
    stuck = Stuck(PLAN)
    stuck.stuck = False
    url = serve(create_app(Contemplator(stuck.model, journal=journal)))
    async with chromium() as page:
        await asks(page, url)
        await page.wait("document.querySelector('#cancel').disabled && document.querySelector('#answer').innerText")
        assert await page.text("#answer") == "Yes."
        assert "planned: Buy" in await page.text("#progress")
        # Once: the browser does not ask again by itself when the stream has ended.
        assert [run.status for run in journal.runs()] == ["answered"]
        assert page.problems == []
