"""All that is tried on the small real model, in one file: it is loaded once, and what it read is not read again.

What llama.cpp does with any model, known or not: models/test_local.py.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import openai
import pytest
from pydantic import BaseModel, Field

from contemplate import (
    Agent,
    Contemplator,
    Limits,
    ModelSettings,
    Prompts,
    RunContext,
    Task,
    aggregators,
    answers,
    planners,
    tool,
)
from contemplate.events import Event, PlanReady, RunFinished, TaskFinished, TaskStarted
from contemplate.models import DeltaSink, LocalModel, Model, ModelRequest, ModelResponse
from contemplate.models.wrappers.base import Wrapper

from .browser import Page, chromium
from .local_model import SHORT_QUESTION, on_one_thread
from .patience import PATIENCE
from .server.conftest import Serve, serve
from .viewer.conftest import needs_chromium

__all__ = ["serve"]

pytestmark = pytest.mark.anyio

GREEDY = ModelSettings(temperature=0)
BRIEF = ModelSettings(temperature=0, max_tokens=30)
BRIEFER = ModelSettings(temperature=0, max_tokens=12)
# Room for the longest plan that the schema allows.
PLANNED = planners.model(2, settings=ModelSettings(temperature=0, max_tokens=1000))
QUESTION: Any = [{"role": "user", "content": SHORT_QUESTION}]
FOLLOW_UP: Any = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "My dog is called Bruno."},
    {"role": "assistant", "content": "A good name."},
    {"role": "user", "content": "What is my dog called?"},
]
# A model that may write little may be cut short.
OVER = ".head .chip.answered, .head .chip.partial"


@pytest.fixture
def anyio_backend() -> str:
    """A real model takes long, and what these try is the same on both event loops; the browser's client has one."""
    return "asyncio"


@pytest.fixture(scope="module")
def model() -> LocalModel:
    return on_one_thread(ModelSettings(max_tokens=60))


async def test_a_vote(model: LocalModel) -> None:
    vote = aggregators.vote(key=answers.math)
    # Else it explains at length, and may not reach the line that counts.
    samples = planners.sample(3, instructions='Write "Answer: " and the number.')
    brief = Prompts(solver="You answer in one line.")
    settings = ModelSettings(max_tokens=100)
    mind = Contemplator(model, planner=samples, aggregator=vote, prompts=brief, settings=settings)
    result = await mind.run("What is 7 + 5?")
    # So small a model may be wrong; that the vote counts what it said is what is tried.
    said = {each.id: answers.math(each.text) for each in result.tasks}
    assert result.support
    assert {said[each] for each in result.support} == {answers.math(result.output)}


async def test_a_tool_call(model: LocalModel) -> None:
    calls: list[tuple[int, int]] = []

    @tool
    def multiply(a: int, b: int) -> int:
        """Multiply two whole numbers."""
        calls.append((a, b))
        return a * b

    mind = Contemplator(model, mode="instant", tools=[multiply], settings=GREEDY)
    result = await mind.run("What is 123 * 456? Use the multiply tool.")
    assert (123, 456) in calls
    assert "56088" in result.output.replace(",", "")
    assert result.usage.cached_input_tokens > 100, "the second turn read the first one's prompt again"


class City(BaseModel):
    name: str = Field(max_length=40)
    country: str = Field(max_length=40)


async def test_typed_output(model: LocalModel) -> None:
    mind = Contemplator(model, mode="instant", output_type=City, settings=GREEDY)
    result = await mind.run("Which city is the capital of France?")
    assert result.output == City(name="Paris", country="France")


@pytest.fixture
def told() -> list[Event]:
    """The events of the runs."""
    return []


@pytest.fixture
def api(model: LocalModel, serve: Serve, told: list[Event]) -> Iterator[openai.OpenAI]:
    """A client of contemplators on the small local model."""
    contemplating = Contemplator(
        model,
        planner=PLANNED,
        aggregator=aggregators.synthesize(settings=BRIEFER),
        settings=BRIEF,
        limits=Limits(calls=8),
        on_event=told.append,
    )
    instant = Contemplator(model, mode="instant", settings=GREEDY)
    url = serve({"contemplate": contemplating, "contemplate-instant": instant})
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", timeout=PATIENCE, max_retries=0) as client:
        yield client


def test_a_contemplated_answer_streams(api: openai.OpenAI, told: list[Event]) -> None:
    options: Any = {"include_usage": True}
    content, reasoning, finish, usage = "", "", None, None
    pieces = 0
    for chunk in api.chat.completions.create(
        model="contemplate", messages=QUESTION, stream=True, stream_options=options
    ):
        usage = chunk.usage
        for choice in chunk.choices:
            content += choice.delta.content or ""
            pieces += bool(choice.delta.content)
            reasoning += getattr(choice.delta, "reasoning_content", "")
            finish = choice.finish_reason or finish
    assert reasoning.startswith("Planning\n")
    assert ": planned\n" in reasoning
    assert ": started\n" in reasoning
    assert pieces > 5, "the answer came in one piece"
    assert content.strip()
    assert finish in ("stop", "length")
    assert usage is not None
    assert usage.prompt_tokens > 100
    assert usage.completion_tokens >= pieces
    _is_whole(told)


def _is_whole(told: list[Event]) -> None:
    """Assert that parts of the plan were worked on while it was written, and merged."""
    order = [each.kind for each in told if isinstance(each, PlanReady | TaskStarted)]
    assert order.index("task_started") < order.index("plan_ready"), "work begins while the plan is being written"
    (plan,) = [each.plan for each in told if isinstance(each, PlanReady)]
    assert len(plan.tasks) >= 2
    outcomes = [each.result.outcome for each in told if isinstance(each, TaskFinished)]
    assert sum(outcome in ("answered", "capped") for outcome in outcomes) >= 2
    (finished,) = [each for each in told if isinstance(each, RunFinished)]
    assert finished.text.strip()
    assert finished.usage.calls >= 4
    assert finished.usage.output_tokens > 50


def test_a_conversation_is_answered_whole(api: openai.OpenAI) -> None:
    completion = api.chat.completions.create(model="contemplate-instant", messages=FOLLOW_UP)
    assert "Bruno" in (completion.choices[0].message.content or "")
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.completion_tokens > 0


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
    """What the model plans, for which it needs no tool, and one task for which it does."""
    async for task in PLANNED(question, ctx):
        ctx.assign(task.id, Agent(settings=BRIEF))
        yield task
    yield Task(id="sum", title="Multiply", prompt="What is 123 * 456? Use the multiply tool.")


async def until(page: Page, script: str) -> None:
    """Wait for what a slow model may take long for."""
    with anyio.move_on_after(PATIENCE) as waiting:
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


@needs_chromium
async def test_a_run_is_watched_approved_exported_and_opened_alone(
    model: LocalModel, serve: Serve, tmp_path: Path
) -> None:
    multiplied: list[int] = []

    @tool(approval=True)
    async def multiply(a: int, b: int) -> int:
        """Multiply two integers."""
        multiplied.append(a * b)
        return a * b

    watched = threading.Event()
    mind = Contemplator(
        Held(model, watched),
        planner=plan,
        aggregator=aggregators.synthesize(settings=BRIEFER),
        # A small model does not tire of a tool by itself.
        agent=Agent(tools=[multiply], max_turns=2, settings=BRIEF),
        # What it is told at length it need not read here.
        prompts=Prompts(subagent="The question is: $question", synthesis="You write the final answer."),
    )
    url = serve({"m": mind})
    body = {"model": "m", "messages": QUESTION}
    asking = asyncio.create_task(
        asyncio.to_thread(httpx2.post, f"{url}/v1/chat/completions", json=body, timeout=PATIENCE)
    )
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
