"""Watching a run: drawn in place in a notebook, in lines elsewhere, and never at the cost of the answer."""

from __future__ import annotations

import logging
import sys
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from contemplate import Approved, Contemplator, Limits, Task, planners, tool
from contemplate.errors import AggregationError, ConfigurationError
from contemplate.messages import Message, ToolCall
from contemplate.models import ModelRequest
from contemplate.notebook import watch, watch_sync
from contemplate.notebook.cell import CellView
from contemplate.testing import ScriptedModel

from ..still_clock import let_pass, on_a_still_clock
from ..support import cancelled_after, running, steps
from ..viewer.scenes import QUESTION, contemplating, large

pytestmark = pytest.mark.anyio


class Cell:
    """What a notebook's cell is given to display."""

    def __init__(self) -> None:
        self.data: list[dict[str, str]] = []
        self.ids: set[str] = set()
        self.updates: list[bool] = []
        self._changed = anyio.Event()

    def publish(self, data: dict[str, str], *, transient: dict[str, str], update: bool) -> None:
        self.data.append(data)
        self.ids.add(transient["display_id"])
        self.updates.append(update)
        self._changed.set()

    async def until(self, text: str) -> None:
        while not self.data or text not in self.html:
            self._changed = anyio.Event()
            await self._changed.wait()

    @property
    def html(self) -> str:
        return self.data[-1]["text/html"]


def shell_with(monkeypatch: pytest.MonkeyPatch, publisher: object, *types: str) -> None:
    shell = SimpleNamespace(display_pub=publisher, display_formatter=SimpleNamespace(active_types=list(types)))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Cell:
    shown = Cell()
    shell_with(monkeypatch, shown, "text/plain", "text/html")
    return shown


async def test_a_run_is_drawn_in_place_and_ends_as_its_result(cell: Cell) -> None:
    result = await watch(contemplating().stream(QUESTION))
    assert cell.data[-1] == {"text/html": result._repr_html_(), "text/plain": repr(result)}
    assert len(cell.ids) == 1
    assert cell.updates == [False, *[True] * (len(cell.updates) - 1)]
    assert result.run_id in cell.html


@on_a_still_clock
async def test_it_is_drawn_so_often_and_no_more(cell: Cell) -> None:
    async def answer(request: ModelRequest) -> str:
        let_pass(0.201)
        await steps(20)
        return "word " * 200

    mind = Contemplator(ScriptedModel(answer, chunk=1), planner=planners.sample(5), limits=Limits(concurrency=1))
    result = await watch(mind.stream("?"))
    assert result.usage.calls == 6
    # One at the beginning, one at the end, and one for each time that passed; not one for each of 6,000 pieces.
    assert len(cell.data) == 6 + 2
    assert len({each["text/html"] for each in cell.data}) == len(cell.data)


async def test_what_looks_as_it_did_is_not_sent_again(cell: Cell) -> None:
    view = CellView(cell)
    async with contemplating().stream(QUESTION) as run:
        async for event in run:
            view.add(event)
    view.finish(run.result)
    view.finish(run.result)
    assert len(cell.data) == 1


async def test_where_nothing_happens_the_tasks_and_what_they_do_are_seen(cell: Cell) -> None:
    async def answer(request: ModelRequest) -> str:
        await anyio.sleep_forever()
        return ""

    async with anyio.create_task_group() as group:
        group.start_soon(watch, Contemplator(ScriptedModel(answer), mode="vote").stream("?"))
        await cell.until("Sample 3")
        assert "mark running" in cell.html
        assert "Interrupted" not in cell.html
        group.cancel_scope.cancel()
    assert "Interrupted: " in cell.html
    assert "mark running" not in cell.html
    assert "3 tasks: 3 cancelled" in cell.html


@pytest.mark.parametrize("count", [1, 5, 20, 60, 120])
async def test_whoever_stops_it_sees_what_there_is_and_leaves_nothing_running(cell: Cell, count: int) -> None:
    before = running()
    over = await cancelled_after(count, lambda: watch(contemplating().stream(QUESTION)))
    assert running() <= before
    if cell.data:
        assert ("Interrupted: </b>nothing of the run goes on" in cell.html) != over


async def test_an_error_is_the_runs_own_and_is_shown_with_what_was_reached(cell: Cell) -> None:
    mind = Contemplator(ScriptedModel([LookupError("no ink"), "a", "b"]), mode="instant")
    with pytest.raises(AggregationError) as failed:
        await watch(mind.stream("?"))
    assert failed.value.partial is not None
    assert "AggregationError: " in cell.html
    assert "no ink" in cell.html
    assert cell.data[-1]["text/plain"].startswith("AggregationError: ")


async def test_no_secret_is_shown_of_an_error(cell: Cell) -> None:
    def refuse(request: ModelRequest) -> str:
        raise ValueError("the key sk-0123456789abcdef is not known")

    with pytest.raises(AggregationError):
        await watch(Contemplator(ScriptedModel(refuse), mode="instant").stream("Why?"))
    assert [text.count("[secret]") > 0 for text in cell.data[-1].values()] == [True, True]
    assert "sk-0123" not in str(cell.data)


async def test_a_stream_is_used_once(cell: Cell) -> None:
    model = ScriptedModel("ok")
    stream = Contemplator(model, mode="instant").stream("Why?")
    await watch(stream)
    with pytest.raises(ConfigurationError, match=r"used before \(make one for each run"):
        await watch(stream)
    assert len(model.requests) == 1


async def test_a_view_that_fails_costs_no_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def publish(self, data: dict[str, str], **_: Any) -> None:
            raise OSError("the kernel is closed")

    shell_with(monkeypatch, Broken(), "text/html")
    with caplog.at_level(logging.WARNING, "contemplate"):
        assert (await watch(Contemplator(ScriptedModel("yes"), mode="instant").stream("?"))).text == "yes"
    assert [record.message for record in caplog.records if "cannot be shown" in record.message] == [
        "the run goes on, and cannot be shown: OSError('the kernel is closed')"
    ]


async def test_a_suspended_run_says_what_it_waits_for_and_goes_on(cell: Cell) -> None:
    @tool(approval=True)
    async def pay(usd: int) -> str:
        """Pay."""
        return "paid"

    def answer(request: ModelRequest) -> str | Message:
        if request.messages[-1].role == "tool":
            return "It is paid."
        return Message.assistant("", (ToolCall(id="c", name="pay", arguments='{"usd": 5}'),))

    mind = Contemplator(ScriptedModel(answer), mode="instant", tools=[pay])
    waiting = await watch(mind.stream("?"))
    assert "waits for:" in cell.html
    assert "pay({&quot;usd&quot;:5})" in cell.html
    done = await watch(mind.resume_stream(waiting.run_id, {waiting.pending[0].id: Approved()}))
    assert done.text == "It is paid."
    assert "It is paid." in cell.html
    assert len(cell.ids) == 2


# What is drawn is the same on both event loops, and is much here.
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_thousand_tasks_are_a_page_of_a_hundred(cell: Cell) -> None:
    result = await watch(large(1000).stream("?"))
    assert len(result.tasks) == 1000
    assert max(len(each["text/html"]) for each in cell.data) < 200_000
    assert "and 900 more; 1,000 of 1,000 are done" in cell.html


@pytest.mark.parametrize("shell", [None, "text/plain"])
async def test_elsewhere_it_is_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], shell: str | None
) -> None:
    if shell is None:
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    else:
        shell_with(monkeypatch, None, shell)
    await watch(contemplating().stream(QUESTION))
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert "Ink and paper: started" in lines
    assert lines[-1].startswith("8 calls · ")


async def test_lines_say_what_a_run_cost_that_failed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AggregationError):
        await watch(Contemplator(ScriptedModel([LookupError("no\x1b[2J ink")]), mode="instant").stream("?"))
    said = capsys.readouterr().err
    assert "1 call" in said
    assert "\x1b" not in said


async def test_lines_say_what_a_run_cost_that_was_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    async def answer(request: ModelRequest) -> str:
        if len(model.requests) == 1:
            return "1"
        group.cancel_scope.cancel()
        await anyio.sleep_forever()
        return ""

    model = ScriptedModel(answer)
    mind = Contemplator(model, planner=planners.sample(2), limits=Limits(concurrency=1))
    async with anyio.create_task_group() as group:
        await watch(mind.stream("?"))
    assert capsys.readouterr().err.splitlines()[-1].startswith("2 calls · ")


async def test_from_synchronous_code_within_an_event_loop(cell: Cell) -> None:
    result = watch_sync(Contemplator(ScriptedModel("yes"), mode="instant").stream("?"))
    assert (result.text, "yes" in cell.html) == ("yes", True)


@pytest.mark.parametrize("given", ["?", None, Task(id="a", prompt="?"), Contemplator(ScriptedModel("yes"))])
async def test_what_is_no_run_is_refused(cell: Cell, given: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"is a {type(given).__name__}.*watch\(mind.stream\(question\)\)"):
        await watch(given)
    with pytest.raises(ConfigurationError, match="is a "):
        watch_sync(given)
    assert cell.data == []


async def test_a_run_that_was_not_asked_to_stream_is_refused_unpaid() -> None:
    model = ScriptedModel("yes")
    coroutine: Any = Contemplator(model).run("?")
    with pytest.raises(ConfigurationError, match="is a coroutine"):
        await watch(coroutine)
    assert not model.requests


def test_from_synchronous_code(cell: Cell) -> None:
    assert watch_sync(Contemplator(ScriptedModel("yes"), mode="instant").stream("?")).text == "yes"
    assert "yes" in cell.html
