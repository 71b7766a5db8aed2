"""A run of a real model in a real Chromium: watched from plan to answer, approved by a click, exported, opened."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import httpx2
import pytest

from contemplate import Agent, Contemplator, ModelSettings, RunContext, Task, aggregators, planners, tool
from contemplate.models import DeltaSink, Model, ModelRequest, ModelResponse
from contemplate.models.wrappers.base import Wrapper

from ..browser import PATIENCE, Page, chromium
from ..local_model import alone, on_one_thread
from ..patience import PATIENCE as LONG
from ..server.conftest import Serve
from .conftest import needs_chromium

pytestmark = [pytest.mark.anyio, needs_chromium, alone]
QUESTION = "Compare cats and dogs as pets for a small flat. Be brief."
BRIEF = ModelSettings(temperature=0, max_tokens=30)
# A model that may write little may be cut short.
OVER = ".head .chip.answered, .head .chip.partial"


@pytest.fixture
def anyio_backend() -> str:
    """The browser is spoken to through aiohttp, which needs asyncio."""
    return "asyncio"


class Held(Wrapper):
    """A model that begins when somebody watches."""

    def __init__(self, inner: Model, watched: threading.Event) -> None:
        super().__init__(inner)
        self._watched = watched

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Answer."""
        await anyio.to_thread.run_sync(self._watched.wait)
        return await self.inner.request(request, on_delta)


async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
    """What the model plans, and one task for which it needs a tool."""
    written = planners.model(max_tasks=2, settings=ModelSettings(temperature=0, max_tokens=200))
    async for task in written(question, ctx):
        yield task
    yield Task(id="sum", title="Multiply", prompt="What is 123 * 456? Use the multiply tool.")


async def until(page: Page, script: str) -> None:
    """Wait for what a slow model may take long for."""
    with anyio.move_on_after(LONG) as waiting:
        while not await page.run(f"Boolean({script})"):
            await page.run("new Promise((done) => setTimeout(done, 50))")
    assert not waiting.cancelled_caught, f"{script} did not come true; the page says:\n{await page.text()}"


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

    watched = threading.Event()
    mind = Contemplator(
        Held(on_one_thread(BRIEF), watched),
        planner=plan,
        aggregator=aggregators.synthesize(settings=BRIEF),
        # A small model does not tire of a tool by itself.
        agent=Agent(tools=[multiply], max_turns=2, settings=BRIEF),
    )
    url = serve({"m": mind})
    body = {"model": "m", "messages": [{"role": "user", "content": QUESTION}]}
    asking = asyncio.create_task(asyncio.to_thread(httpx2.post, f"{url}/v1/chat/completions", json=body, timeout=LONG))
    async with chromium() as page:
        await page.open(url)
        await page.wait("document.querySelector('.question a')")
        await page.click(".question a")
        await page.wait("document.querySelector('.head .chip.running')")
        watched.set()
        # The plan is read as it is written, then the tasks, then what one of them says.
        await until(page, "document.querySelector('.answer .text.live')?.innerText.includes('tasks')")
        await until(page, "document.querySelectorAll('.name').length > 2")
        await page.click("[id='lane-sum']")
        await until(page, "document.querySelector('.task .call')")
        assert (await asking).status_code == 501
        assert multiplied == []
        await page.key("Escape")
        while await page.run(f"document.querySelector('{OVER}') === null"):
            await until(page, "document.querySelector('.approval .yes')")
            assert '"a"' in await page.text(".approval")
            await page.click(".approval .yes")
            await until(page, f"document.querySelector('.head .chip.running, {OVER}')")
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
