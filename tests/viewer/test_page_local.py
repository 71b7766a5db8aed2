"""A run of a real model in a real Chromium: watched from plan to answer, approved by a click, exported, opened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import httpx2
import pytest

from contemplate import Contemplator, ModelSettings, RunContext, Task, aggregators, planners, tool

from ..browser import PATIENCE, Page, chromium
from ..local_model import alone, on_one_thread
from ..patience import PATIENCE as LONG
from ..server.conftest import Serve
from .conftest import needs_chromium

pytestmark = [pytest.mark.anyio, needs_chromium, alone]
QUESTION = "Compare cats and dogs as pets for a small flat. Be brief."
BRIEF = ModelSettings(temperature=0, max_tokens=40)


@pytest.fixture
def anyio_backend() -> str:
    """The browser is spoken to through aiohttp, which needs asyncio."""
    return "asyncio"


async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
    """What the model plans, and one task for which it needs a tool."""
    written = planners.model(max_tasks=2, settings=ModelSettings(temperature=0, max_tokens=300))
    async for task in written(question, ctx):
        yield task
    yield Task(id="sum", title="Multiply", prompt="What is 123 * 456? Use the multiply tool.")


async def until(page: Page, script: str) -> None:
    """Wait for what a slow model may take long for."""
    with anyio.fail_after(LONG):
        while not await page.run(f"Boolean({script})"):
            await page.run("new Promise((done) => setTimeout(done, 50))")


async def exported(page: Page, folder: Path) -> Path:
    """Click on "Export", and return the file that comes of it."""
    await page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    await page.click(".export")
    with anyio.fail_after(PATIENCE):
        while not (found := [each async for each in anyio.Path(folder).glob("*.html")]):
            await page.run("new Promise((done) => setTimeout(done, 20))")
    return Path(found[0])


async def test_a_run_is_watched_approved_exported_and_opened_alone(serve: Serve, tmp_path: Path) -> None:
    multiplied: list[int] = []

    @tool(approval=True)
    async def multiply(a: int, b: int) -> int:
        """Multiply two integers."""
        multiplied.append(a * b)
        return a * b

    mind = Contemplator(
        on_one_thread(BRIEF),
        planner=plan,
        aggregator=aggregators.synthesize(settings=BRIEF),
        tools=[multiply],
        settings=BRIEF,
    )
    url = serve({"m": mind})
    body = {"model": "m", "messages": [{"role": "user", "content": QUESTION}]}
    asking = asyncio.create_task(asyncio.to_thread(httpx2.post, f"{url}/v1/chat/completions", json=body, timeout=LONG))
    async with chromium() as page:
        await page.open(url)
        await page.wait("document.querySelector('.question a')")
        await page.click(".question a")
        # The plan is read as it is written, then the tasks, then what one of them says.
        await until(page, "document.querySelector('.answer .text.live')?.innerText.includes('tasks')")
        await until(page, "document.querySelectorAll('.name').length > 2")
        await page.click("[id='lane-sum']")
        await until(page, "document.querySelector('.task .call')")
        assert (await asking).status_code == 501
        assert multiplied == []
        await page.key("Escape")
        while await page.run("document.querySelector('.head .chip.answered') === null"):
            await until(page, "document.querySelector('.approval .yes')")
            assert '"a"' in await page.text(".approval")
            await page.click(".approval .yes")
            await until(page, "document.querySelector('.head .chip.running, .head .chip.answered')")
            await until(page, "!document.querySelector('.head .chip.running')")
        assert multiplied
        answer = await page.run("document.querySelector('.answer section .text').textContent")
        lanes = await page.run("document.querySelectorAll('.name').length")
        assert answer.strip()
        path = await exported(page, tmp_path)
        assert (page.problems, await page.violations()) == ([], [])
    async with chromium() as page:
        await page.open(path.as_uri())
        await page.wait(f"document.querySelectorAll('.name').length === {lanes}")
        assert await page.run("document.querySelector('.answer section .text').textContent") == answer
        await page.click("[id='lane-sum']")
        assert "123" in await page.wait("document.querySelector('.task .tool .args').textContent")
        assert (page.problems, await page.violations()) == ([], [])
