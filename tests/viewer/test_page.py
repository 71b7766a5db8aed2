"""The viewer's page in a real Chromium: live and recorded runs, approvals, exports, large runs and hostile ones."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import anyio
import httpx2
import pytest

from contemplate import Contemplator, Limits, Message, RunContext, Task, aggregators, planners, tool
from contemplate.journal import Journal, RunRecord
from contemplate.messages import ToolCall
from contemplate.models import Delta, DeltaSink, Hedge, ModelRequest, ModelResponse
from contemplate.models.wrappers.hedge import OBSERVATIONS_NEEDED
from contemplate.server import ClientKey, ServerSettings
from contemplate.server.viewer.live_runs import LiveRuns
from contemplate.server.viewer.shown_runs import ShownRuns
from contemplate.testing import ScriptedModel

from ..browser import Page, chromium
from ..server.conftest import Serve
from .conftest import KEY, Show, needs_chromium
from .scenes import ANSWER, QUESTION, SCRIPT, TITLES, Scholar, compared, contemplating, hostile, large, nested, voting

pytestmark = [pytest.mark.anyio, needs_chromium]
CHAT = "/v1/chat/completions"


@pytest.fixture
def anyio_backend() -> str:
    """The browser is spoken to through aiohttp, which needs asyncio."""
    return "asyncio"


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "runs.db")


async def opened(page: Page, url: str, place: str) -> None:
    await page.open(f"{url}/#key={KEY}&to={place}")


async def lanes(page: Page) -> list[str]:
    found: list[str] = await page.run("[...document.querySelectorAll('.name .title')].map(e => e.textContent)")
    return found


async def well(page: Page) -> None:
    assert page.problems == []
    assert await page.violations() == []


async def test_a_live_run_is_watched_from_plan_to_answer(serve: Serve) -> None:
    gates = {name: threading.Event() for name in ("plan", "parts", "merge")}
    scholar = Scholar()
    scholar.failed = True

    async def script(request: ModelRequest) -> str | Message | Exception:
        planning = request.output_schema is not None and request.output_schema.name == "plan"
        reply = scholar(request)
        gate = "plan" if planning else "merge" if reply == ANSWER else "parts"
        await anyio.to_thread.run_sync(gates[gate].wait)
        return reply

    url = serve({"contemplate": Contemplator(ScriptedModel(script))})
    body = {"model": "contemplate", "messages": [{"role": "user", "content": QUESTION}], "stream": True}
    asking = asyncio.create_task(asyncio.to_thread(httpx2.post, url + CHAT, json=body, timeout=60))
    try:
        async with chromium() as page:
            await page.open(url)
            await page.wait("document.querySelector('.question a')")
            await page.click(".question a")
            await page.wait("document.querySelector('.chip.running')")
            gates["plan"].set()
            await page.wait(f"document.querySelectorAll('.name').length === {len(TITLES) + 1}")
            assert (await lanes(page))[1:] == [*TITLES]
            assert await page.run("document.querySelectorAll('.dot.running').length >= 3")
            gates["parts"].set()
            await page.click("[id='lane-1']")
            await page.wait("document.querySelector('.task .text')")
            await page.wait("document.querySelector('.task').innerText.includes('Two inventories name it')")
            await page.wait("document.querySelector('.head').innerText.includes('5 of 5 tasks')")
            gates["merge"].set()
            await page.key("Escape")
            await page.wait(f"document.querySelector('.answer').innerText.includes({json.dumps(ANSWER)})")
            await page.wait("document.querySelector('.head .chip.answered')")
            await well(page)
    finally:
        for gate in gates.values():
            gate.set()
        assert (await asking).status_code == 200


async def marked(page: Page, tone: str) -> bool:
    """Whether anything in the timeline is drawn in a color of the page, by its name."""
    drawn = f"""(() => {{
        const probe = document.createElement('canvas').getContext('2d');
        probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue('--{tone}').trim();
        probe.fillRect(0, 0, 1, 1);
        const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
        const field = document.querySelector('.field canvas');
        const all = field.getContext('2d').getImageData(0, 0, field.width, field.height).data;
        for (let i = 0; i < all.length; i += 4) if (all[i] === r && all[i + 1] === g && all[i + 2] === b) return true;
    }})()"""
    return bool(await page.wait(drawn))


class _Late:
    """A model whose second call of a question writes at once, and whose first not before it may."""

    name = "late"

    def __init__(self) -> None:
        self.calls = 0

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Answer."""
        self.calls += 1
        if self.calls == OBSERVATIONS_NEEDED + 1:
            await anyio.sleep_forever()
        response = await ScriptedModel("yes").request(request)
        if on_delta is not None:
            on_delta(Delta("yes"))
        return response


async def test_calls_that_wait_and_calls_that_are_hedged_are_seen_live_and_recorded(
    serve: Serve, journal: Journal, show: Show
) -> None:
    gate, hedge = threading.Event(), Hedge(_Late())
    for _ in range(OBSERVATIONS_NEEDED):
        await hedge.request(ModelRequest((Message.user("?"),)))

    class Gated:
        name = "gated"

        async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
            response = await hedge.request(request, on_delta)
            await anyio.to_thread.run_sync(gate.wait)
            return response

    mind = Contemplator(
        Gated(),
        planner=planners.sample(2),
        aggregator=aggregators.vote(),
        limits=Limits(concurrency=1),
        journal=journal,
    )
    url = serve({"m": mind})
    body = {"model": "m", "messages": [{"role": "user", "content": "Why?"}]}
    asking = asyncio.create_task(asyncio.to_thread(httpx2.post, url + CHAT, json=body, timeout=60))
    try:
        async with chromium() as page:
            await page.open(url)
            await page.click(".question a")
            await page.wait("document.querySelector('[aria-label*=\"hedged\"]')")
            await page.wait("document.querySelector('[aria-label*=\"waits for other calls of the run\"]')")
            assert await marked(page, "hedge")
            await page.click("[aria-label*='waits for other calls']")
            assert "waits for other calls of the run" in await page.wait("document.querySelector('.waits').innerText")
            gate.set()
            await page.wait("document.querySelector('.head .chip.answered')")
            assert await page.run("document.querySelector('.waits') === null")
            assert "queued" in await page.text(".task .call")
            await well(page)
            # And once more, as it was written down.
            (run,) = await asyncio.to_thread(lambda: httpx2.get(f"{url}/viewer/runs").json()["runs"])
            await opened(page, show(ShownRuns((journal,), LiveRuns())), f"/runs/{run['run_id']}")
            await page.wait("document.querySelector('[aria-label*=\"hedged\"]')")
            assert await marked(page, "hedge")
            await page.click("[aria-label*='hedged']")
            await page.wait("document.querySelector('.again').innerText.includes('no token came')")
            await well(page)
    finally:
        gate.set()
        assert (await asking).status_code == 200


async def test_a_recorded_run_shows_its_tools_votes_and_costs(journal: Journal, show: Show) -> None:
    await contemplating(journal).run(QUESTION, run_id="treaty")
    await voting(journal).run("What is 6 * 7?", run_id="vote")
    await nested(journal).run("And in two steps?", run_id="nested")
    await compared(journal).run("Is it so?", run_id="compared")
    url = show(ShownRuns((journal,), LiveRuns()))
    async with chromium() as page:
        await opened(page, url, "/runs/treaty/tasks/1/calls/1")
        await page.wait("document.querySelector('.call.chosen')")
        told = await page.text(".task")
        assert "peace of 1648" in told
        assert "Inventory of 1702" in told
        assert await page.run("!location.href.includes('key')")
        await page.click(".tabs a:nth-child(2)")
        await page.wait("document.querySelectorAll('.node').length === 5")
        assert await page.run("document.querySelectorAll('.edge').length") == 4
        await page.click(".tabs a:nth-child(4)")
        await page.wait("document.querySelector('.roles')")
        assert "Whole run" in await page.text(".roles")
        await page.run("location.hash = '#/runs/vote'")
        await page.wait("document.querySelector('.votes')")
        assert "decided" in await page.text(".votes")
        await page.run("location.hash = '#/runs/compared'")
        await page.wait("document.querySelector('.standings')")
        assert "Tournament decided" in (await page.text(".standings")).replace("\n", " ")
        assert await page.run("document.querySelectorAll('.standings .bars li').length") == 4
        await page.run("location.hash = '#/runs/nested'")
        await page.wait("document.querySelectorAll('.name').length === 2")
        await page.click(".fold")
        await page.wait("document.querySelectorAll('[aria-level=\"2\"]').length === 3")
        await page.run("location.hash = '#/compare/treaty/vote'")
        await page.wait("document.querySelectorAll('.compare .answer').length === 2")
        await page.wait("document.querySelectorAll('.compare .name').length === 10")
        await well(page)


async def test_a_run_whose_process_was_killed_says_how_it_goes_on(journal: Journal, show: Show) -> None:
    journal.save(RunRecord(run_id="nobodys", question=QUESTION, model="m"))
    url = show(ShownRuns((journal,), LiveRuns()))
    async with chromium() as page:
        await opened(page, url, "/")
        await page.wait("document.querySelector('.chip.killed')")
        await page.run("location.hash = '#/runs/nobodys'")
        await page.wait("document.querySelector('.head .chip.killed')")
        assert "contemplate resume nobodys" in await page.text(".answer")
        assert not await page.run("document.querySelectorAll('progress').length")
        await well(page)


async def test_each_sentence_leads_to_the_tasks_on_which_it_rests(journal: Journal, show: Show) -> None:
    parts = [Task(id=each, prompt=f"What of {each}?", title=each.title()) for each in ("rent", "buy")]

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        for each in parts:
            yield each

    answer = f"🚲 {SCRIPT} Rent it [1]. Both are fine [1, 2]. So be it."
    mind = Contemplator(
        ScriptedModel(["r", "b", answer]),
        planner=plan,
        aggregator=aggregators.synthesize(cite=True),
        journal=journal,
    )
    await mind.run("Rent or buy?", run_id="cited")
    url = show(ShownRuns((journal,), LiveRuns()))
    async with chromium() as page:
        await opened(page, url, "/runs/cited")
        await page.wait("document.querySelectorAll('.cite').length === 3")
        passages = await page.run("[...document.querySelectorAll('.passage')].map(e => e.textContent)")
        assert passages == [f"🚲 {SCRIPT} Rent it", "Both are fine"]
        assert "[1" not in await page.text(".cited")
        assert (await page.text(".cited")).endswith("So be it.")
        await page.click(".cite:last-of-type")
        await page.wait("location.hash === '#/runs/cited/tasks/buy'")
        await page.wait("document.querySelector('.task h2').innerText === 'Buy'")
        await well(page)


async def test_an_approval_is_clicked_and_the_run_goes_on(serve: Serve, journal: Journal) -> None:
    sent: list[str] = []

    @tool(approval=True)
    async def mail(to: str) -> str:
        """Send a mail."""
        sent.append(to)
        return "sent"

    def script(request: ModelRequest) -> str | Message:
        if request.messages[-1].role == "tool":
            return f"The mail is {request.messages[-1].text}."
        return Message.assistant("", (ToolCall(id="c", name="mail", arguments='{"to": "ann"}'),))

    mind = Contemplator(ScriptedModel(script), mode="thinking", tools=[mail], journal=journal)
    url = serve({"contemplate": mind}, ServerSettings(keys=(ClientKey("ann", KEY),)))
    body = {"model": "contemplate", "messages": [{"role": "user", "content": "Write to Ann."}]}
    key = {"authorization": f"Bearer {KEY}"}
    asked = await asyncio.to_thread(lambda: httpx2.post(url + CHAT, json=body, headers=key, timeout=60))
    assert asked.status_code == 501
    async with chromium() as page:
        await page.open(url)
        await page.wait("document.querySelector('.lock input')")
        await page.run("document.querySelector('.lock input').focus()")
        await page.type(KEY)
        await page.key("Enter")
        await page.click(".question a")
        await page.wait("document.querySelector('.approval')")
        assert '"to": "ann"' in await page.text(".approval")
        assert sent == []
        await page.click(".approval .yes")
        await page.wait("document.querySelector('.head .chip.answered')")
        await page.wait("document.querySelector('.answer').innerText.includes('The mail is sent.')")
        assert sent == ["ann"]
        # What was remembered is not shown twice.
        await page.click(".name")
        await page.wait("document.querySelectorAll('.task .call').length === 2")
        assert await page.run("document.querySelectorAll('.task .tool').length") == 1
        await page.click(".back")
        assert await page.run("document.querySelector('.approval') === null")
        assert await page.run("!location.href.includes('key') && sessionStorage.length === 1")
        await well(page)


async def test_an_export_opens_alone_from_disk(journal: Journal, show: Show, tmp_path: Path) -> None:
    await hostile(journal).run(SCRIPT + QUESTION, run_id="hostile")
    url = show(ShownRuns((journal,), LiveRuns()))
    key = {"authorization": f"Bearer {KEY}"}
    answer = await asyncio.to_thread(lambda: httpx2.get(f"{url}/viewer/runs/hostile/page", headers=key))
    path = tmp_path / "run.html"
    path.write_text(answer.text, encoding="utf-8")
    async with chromium() as page:
        await page.open(path.as_uri())
        await page.wait("document.querySelectorAll('.name').length === 2")
        assert SCRIPT in await page.text("h1")
        await page.run("location.hash = '#/runs/run/tasks/1'")
        await page.wait("document.querySelector('.tool')")
        await well(page)


async def test_a_hostile_run_shows_as_text(journal: Journal, show: Show) -> None:
    await hostile(journal).run(SCRIPT + QUESTION, run_id="hostile")
    url = show(ShownRuns((journal,), LiveRuns()))
    async with chromium() as page:
        await opened(page, url, "/")
        await page.wait("document.querySelector('.question a')")
        odd = quote("</script><script>alert(4)</script>", safe="")
        views = ["", "?view=plan", "?view=calls", "?view=costs", "/tasks/1", f"/tasks/{odd}", "/tasks/1/calls/0"]
        for view in views:
            await page.run(f"location.hash = '#/runs/hostile{view}'")
            await page.wait("document.querySelector('h1').innerText.includes('<script>')")
            await page.wait("document.querySelector('.task, .answer').innerText.includes('onerror')")
            assert (
                await page.run("document.querySelectorAll('img, script:not([src]), a[href^=javascript]').length") == 0
            )
        await page.run("location.hash = '#/compare/hostile/hostile'")
        await page.wait("document.querySelectorAll('.compare .answer').length === 2")
        await well(page)


async def test_a_thousand_tasks_are_never_all_in_the_page(journal: Journal, show: Show) -> None:
    await large(1000, journal).run(QUESTION, run_id="large")
    url = show(ShownRuns((journal,), LiveRuns()))
    async with chromium() as page:
        await opened(page, url, "/runs/large/tasks/700")
        await page.wait("document.querySelector('.head').innerText.includes('1,000 of 1,000 tasks')")
        # A link to a task leads to it, wherever it is.
        await page.wait("document.querySelector('.name.chosen')?.innerText.includes('Part 701')")
        for view in ("", "?view=plan", "?view=calls", "?view=costs"):
            await page.run(f"location.hash = '#/runs/large{view}'")
            await page.wait("document.querySelector('.name, .node, .body .row')")
            for place in (0, 9000, 26000, 500):
                await page.run(f"document.querySelector('.lanes, .plan, .body').scrollTop = {place}")
                await page.run("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")
                assert await page.run("document.querySelectorAll('*').length") < 2500, view
                assert (
                    await page.run("Math.max(...[...document.querySelectorAll('canvas')].map(e => e.height), 0)") < 3000
                )
        await well(page)


async def test_every_task_is_reached_by_keys(journal: Journal, show: Show) -> None:
    await contemplating(journal).run(QUESTION, run_id="treaty")
    url = show(ShownRuns((journal,), LiveRuns()))
    async with chromium() as page:
        await opened(page, url, "/runs/treaty")
        await page.wait("document.querySelectorAll('.name').length === 7")
        for _ in range(20):
            if await page.run("document.activeElement.getAttribute('role') === 'tree'"):
                break
            await page.key("Tab")
        reached = []
        for _ in range(7):
            await page.key("ArrowDown")
            reached.append(await page.wait("document.querySelector('[aria-selected=true]').getAttribute('aria-label')"))
        assert [each.split(",")[0] for each in reached] == [
            "Planner",
            *TITLES,
            "Aggregator",
        ]
        assert all("answered" in each for each in reached)
        assert await page.run(
            "document.getElementById(document.activeElement.getAttribute('aria-activedescendant')).ariaSelected"
        )
        await page.key("Home")
        await page.key("ArrowDown")
        await page.key("]")
        await page.key("]")
        await page.wait("location.hash.endsWith('/tasks/1/calls/1')")
        await page.key("Enter")
        await page.wait("document.activeElement.classList.contains('details')")
        await page.key("Escape")
        await page.wait("document.activeElement.getAttribute('role') === 'tree' && location.hash === '#/runs/treaty'")
        await page.key("+")
        await page.wait("!document.querySelector('.zoom button:last-child').disabled")
        await page.key("0")
        await page.wait("document.querySelector('.zoom button:last-child').disabled")
        await well(page)


async def test_a_phone_needs_no_scrolling_sideways(journal: Journal, show: Show) -> None:
    await hostile(journal).run(SCRIPT + QUESTION, run_id="hostile")
    await contemplating(journal).run(QUESTION, run_id="treaty")
    url = show(ShownRuns((journal,), LiveRuns()))
    async with chromium() as page:
        await page.resize(360, 740, phone=True)
        await opened(page, url, "/")
        await page.wait("document.querySelector('.question a')")
        parts = ("", "/tasks/1", "?view=calls")
        places = ["/", *(f"/runs/{run}{part}" for run in ("hostile", "treaty") for part in parts)]
        for place in [*places, "/runs/treaty?view=costs", "/compare/treaty/hostile"]:
            await page.run(f"location.hash = '#{place}'")
            await page.wait("document.querySelector('h1')?.innerText && document.querySelector('.row, .name')")
            assert await page.run("document.documentElement.scrollWidth <= innerWidth"), place
            wide = """[...document.querySelectorAll('main, main *')].filter(e => e.clientWidth
                && e.scrollWidth > e.clientWidth + 1 && ['auto', 'scroll'].includes(getComputedStyle(e).overflowX))
                .map(e => e.className)"""
            assert await page.run(wide) == [], place
        await well(page)
