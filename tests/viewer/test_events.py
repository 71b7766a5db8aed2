"""What is told of runs: events as lines, those of recorded runs, and those that are kept while a run goes on."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contemplate import Contemplator, Limits, Message, planners, tool
from contemplate.decisions import Approved, Decision, Denied
from contemplate.errors import ConfigurationError, ModelConnectionError
from contemplate.events import (
    CallName,
    CallRepeated,
    CallStarted,
    CallWaiting,
    Event,
    ModelCalled,
    PlanDelta,
    RunFinished,
    RunStarted,
    RunSuspended,
    StandingsChanged,
    TaskDelta,
    TaskFinished,
    TaskStarted,
    ToolFinished,
    ToolStarted,
    VoteCounted,
)
from contemplate.journal import Journal, RunRecord
from contemplate.journal.overview import RunFilter
from contemplate.messages import ToolCall
from contemplate.models import Fallback, ModelRequest
from contemplate.run.listeners import Listener
from contemplate.server.viewer.event_lines import lines_of, read_events
from contemplate.server.viewer.live_runs import LiveRun, LiveRuns
from contemplate.server.viewer.shown_runs import KILLED_LINE, RESET, ShownRuns
from contemplate.testing import ScriptedModel
from contemplate.views.recorded_events import events_of

from .scenes import compared, contemplating, events_of_run, hostile, large, nested, voting

pytestmark = pytest.mark.anyio
TEXTS = st.text(st.characters(codec="utf-8"), max_size=5)
PIECES = st.lists(st.tuples(st.sampled_from(["1", "2", "plan", "start"]), TEXTS, st.booleans()), max_size=30)


def said(events: list[Event]) -> dict[str, str]:
    """What each task has written, after all restarts."""
    texts: dict[str, str] = {}
    for event in events:
        match event:
            case TaskDelta():
                before = "" if event.restart else texts.get(event.task_id, "")
                texts[event.task_id] = before + event.text + event.reasoning
            case PlanDelta():
                texts["plan"] = texts.get("plan", "") + event.text
            case _:
                pass
    return texts


@given(PIECES)
def test_joined_pieces_say_the_same(pieces: list[tuple[str, str, bool]]) -> None:
    events: list[Event] = []
    for who, text, restart in pieces:
        if who == "start":
            events.append(TaskStarted(task_id="1", model="m"))
        elif who == "plan":
            events.append(PlanDelta(text=text))
        else:
            events.append(TaskDelta(task_id=who, text=text, restart=restart))
    lines = lines_of(events)
    assert said(list(read_events(lines))) == said(events)
    assert len(lines) <= len(events)


@pytest.mark.parametrize("make", [contemplating, voting, nested, hostile])
async def test_lines_are_events_again(make: Any) -> None:
    events = await events_of_run(make())
    again = list(read_events(lines_of(events)))
    assert said(again) == said(events)
    kinds = ("task_delta", "plan_delta", "output_delta")
    assert sorted((e.kind, e.at) for e in again if e.kind not in kinds) == sorted(
        (e.kind, e.at) for e in events if e.kind not in kinds
    )


def test_a_line_that_is_no_event_is_told() -> None:
    with pytest.raises(ConfigurationError, match="line 2") as caught:
        list(read_events(['{"kind": "noted", "message": "m"}', '{"kind": "nothing"}']))
    assert "contemplate ask --events" in str(caught.value), "how such a file is made"


async def test_times_do_not_go_back_and_calls_have_a_course() -> None:
    events = await events_of_run(contemplating())
    assert [event.at for event in events] == sorted(event.at for event in events)
    started = [event for event in events if isinstance(event, CallStarted)]
    called = [event for event in events if isinstance(event, ModelCalled)]
    assert len(started) == len(called) == 8
    for event in called:
        assert event.queued >= 0
        assert event.first is not None
        assert 0 <= event.first <= event.seconds
    (again,) = [event for event in events if isinstance(event, CallRepeated)]
    assert (again.name.task, again.reason) == ("2", "retried")
    assert "reset" in again.message
    (tool_started,) = [event for event in events if isinstance(event, ToolStarted)]
    (tool_finished,) = [event for event in events if isinstance(event, ToolFinished)]
    assert json.loads(tool_started.arguments) == {"query": "peace of 1648"}
    assert "Inventory" in tool_finished.text
    finished = events[-1]
    assert isinstance(finished, RunFinished)
    assert finished.support == ("1", "2", "3", "4", "5")


async def test_another_model_is_told() -> None:
    down = ScriptedModel([ModelConnectionError("down", model="one")], name="one")
    model = Fallback([down, ScriptedModel("yes", name="two")])
    events = await events_of_run(Contemplator(model, mode="instant"))
    (again,) = [event for event in events if isinstance(event, CallRepeated)]
    assert (again.reason, "down" in again.message) == ("replaced", True)
    assert [event.model for event in events if isinstance(event, ModelCalled)] == ["two"]


async def test_a_call_that_a_limit_refused_was_not_made() -> None:
    journal, limits = Journal(), Limits(calls=2)
    mind = Contemplator(ScriptedModel("4"), planner=planners.sample(4), mode="vote", journal=journal, limits=limits)
    live = await events_of_run(mind)
    record = journal.load(live[0].run_id)
    assert record is not None
    for events in (live, events_of(journal, record)):
        called = [event.name.task for event in events if isinstance(event, ModelCalled)]
        assert called == ["sample-1", "sample-2"]


@pytest.mark.parametrize("make", [contemplating, voting, compared, nested, hostile])
async def test_a_recorded_run_tells_what_the_run_told(make: Any, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "runs.db")
    live = await events_of_run(make(journal))
    assert isinstance(live[0], RunStarted)
    record = journal.load(live[0].run_id)
    assert record is not None
    told = events_of(journal, record)
    assert [event.at for event in told] == sorted(event.at for event in told)

    def calls(events: list[Event]) -> list[tuple[Any, ...]]:
        found = [event for event in events if isinstance(event, ModelCalled)]
        return sorted((e.path, e.name.role, e.name.task or "", e.name.turn, e.usage.output_tokens) for e in found)

    assert calls(told) == calls(live)
    assert [e.reason for e in told if isinstance(e, CallRepeated)] == [
        e.reason for e in live if isinstance(e, CallRepeated)
    ]
    # What was over when another call began is so in the record, too; times are rounded.
    starts = {e.name: e.at for e in told if isinstance(e, CallStarted)}
    ends = {e.name: e.at for e in told if isinstance(e, ModelCalled)}
    over_before: list[CallName] = []
    for event in live:
        if isinstance(event, CallStarted):
            assert all(ends[name] <= starts[event.name] + 1e-3 for name in over_before)
        elif isinstance(event, ModelCalled):
            over_before.append(event.name)
    # Its task ends after it.
    for event in told:
        if isinstance(event, ModelCalled):
            before = told[: told.index(event)]
            assert any(isinstance(e, CallStarted) and e.name == event.name for e in before)
            over = [e for e in before if isinstance(e, TaskFinished) and e.path == event.path]
            assert event.name.task not in [e.result.id for e in over]
    # Of the tasks of inner runs, the journal has the calls only: one may be cancelled after its last call was answered.
    outcomes = {(e.path, e.result.id): e.result.outcome for e in live if isinstance(e, TaskFinished)}
    for event in told:
        if isinstance(event, TaskFinished):
            assert outcomes[event.path, event.result.id] in (event.result.outcome, "cancelled")
    last, end = live[-1], told[-1]
    assert isinstance(last, RunFinished)
    assert isinstance(end, RunFinished)
    assert end.model_copy(update={"at": 0}) == last.model_copy(update={"at": 0})
    votes = [sum(event.votes.values()) for event in told if isinstance(event, VoteCounted) and not event.path]
    assert votes == list(range(1, len(votes) + 1))
    # Of a tournament, only its end is written down.
    standings = [event for event in told if isinstance(event, StandingsChanged)]
    lasts = [event for event in live if isinstance(event, StandingsChanged)][-1:]
    assert [(one.points, one.decided) for one in standings] == [(last.points, True) for last in lasts]


async def test_a_recorded_run_that_waits_says_for_what(tmp_path: Path) -> None:
    @tool(approval=True)
    async def mail(to: str) -> str:
        """Send a mail."""
        return to

    def script(request: ModelRequest) -> str | Message:
        if request.messages[-1].role == "tool":
            return "done"
        return Message.assistant("", (ToolCall(id="c", name="mail", arguments='{"to": "ann"}'),))

    journal = Journal(tmp_path / "runs.db")
    mind = Contemplator(ScriptedModel(script), mode="thinking", tools=[mail], journal=journal)
    result = await mind.run("?", run_id="waits")
    record = journal.load("waits")
    assert record is not None
    told = events_of(journal, record)
    assert [event.call.id for event in told if isinstance(event, CallWaiting)] == [result.pending[0].id]
    assert isinstance(told[-1], RunSuspended)
    await mind.resume("waits", {result.pending[0].id: True})
    record = journal.load("waits")
    assert record is not None
    assert not any(isinstance(event, CallWaiting) for event in events_of(journal, record))


async def test_who_follows_is_told_all_and_then_what_comes() -> None:
    events = await events_of_run(large(30))
    run = LiveRun("r", "m", None)
    half = len(events) // 2
    for event in events[:half]:
        run.put(event)
    heard: list[bytes] = []

    async def follow() -> None:
        async for batch in run.follow(0):
            heard.extend(batch.splitlines(keepends=True))

    async with anyio.create_task_group() as group:
        group.start_soon(follow)
        await anyio.wait_all_tasks_blocked()
        for event in events[half:]:
            run.put(event)
    assert heard == run.lines
    assert said(list(read_events(heard))) == said(events)
    rest = b"".join([batch async for batch in run.follow(len(heard) - 2)])
    assert rest == b"".join(heard[-2:])


async def test_a_run_at_a_glance_says_what_it_took() -> None:
    events = await events_of_run(contemplating())
    run = LiveRun("r", "m", None)
    for event in events[:-1]:
        run.put(event)
    assert (run.overview.status, run.overview.calls) == ("running", 8), "also while it goes on"
    run.put(events[-1])
    last, seen = events[-1], run.overview
    assert isinstance(last, RunFinished)
    assert (seen.status, seen.calls, seen.cost_usd) == ("answered", last.usage.calls, last.usage.cost_usd)
    assert (seen.input_tokens, seen.output_tokens) == (last.usage.input_tokens, last.usage.output_tokens)


async def test_a_run_that_another_process_makes_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contemplate.server.viewer.shown_runs.LOOK_SECONDS", 0.01)
    journal, gate = Journal(tmp_path / "runs.db"), anyio.Event()

    async def script(request: ModelRequest) -> str:
        await gate.wait()
        return "yes"

    mind = Contemplator(ScriptedModel(script), mode="thinking", journal=Journal(tmp_path / "runs.db"))
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: mind.run("?", run_id="theirs"))
        while journal.load("theirs") is None:
            await anyio.lowlevel.checkpoint()
        lines = await ShownRuns((journal,), LiveRuns()).lines("theirs", None)
        assert lines is not None
        batches = []
        async for batch in lines:
            batches.append(batch.splitlines(keepends=True))
            gate.set()
    assert json.loads(batches[0][0])["kind"] == "run_started"
    assert all(batch[0] == RESET for batch in batches[1:])
    assert isinstance(list(read_events(batches[-1][1:]))[-1], RunFinished)


async def test_a_run_whose_process_was_killed_is_told_from_one_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contemplate.server.viewer.shown_runs.LOOK_SECONDS", 0.01)
    journal = Journal(tmp_path / "runs.db")
    journal.save(RunRecord(run_id="theirs", question="?", model="m"))
    shown = ShownRuns((journal,), LiveRuns())

    async def status() -> str:
        (run,) = (await shown.page(RunFilter(), 0, 1)).runs
        return run.status

    lines = await shown.lines("theirs", None)
    assert isinstance(lines, AsyncGenerator)
    async with aclosing(lines):
        with journal.hold("theirs"):
            assert await status() == "running"
            assert KILLED_LINE not in await anext(lines)
        assert await status() == "killed"
        assert (await anext(lines)).endswith(KILLED_LINE)
        whole = await shown.whole("theirs", None)
        assert whole is not None
        assert whole[1][-1] == KILLED_LINE
        with journal.hold("theirs"):
            again = await anext(lines)
        assert again.startswith(RESET)
        assert KILLED_LINE not in again


async def test_a_run_goes_on_as_it_was_decided(tmp_path: Path) -> None:
    @tool(approval=True)
    async def mail(to: str) -> str:
        """Send a mail."""
        return to

    def script(request: ModelRequest) -> str | Message:
        if request.messages[-1].role == "tool":
            return request.messages[-1].text
        return Message.assistant("", (ToolCall(id="c", name="mail", arguments='{"to": "ann"}'),))

    journal = Journal(tmp_path / "runs.db")
    mind = Contemplator(ScriptedModel(script), mode="thinking", tools=[mail], journal=journal)
    call = (await mind.run("?", run_id="waits")).pending[0]

    async def resume(
        record: RunRecord | None, run_id: str, decisions: Mapping[str, Decision], listener: Listener, _: object
    ) -> object:
        return await mind.resume(run_id, decisions, on_event=listener)

    shown = ShownRuns((journal,), LiveRuns(), resume)
    assert await shown.decide("nothing", None, {call.id: Approved()}) is not None
    watched = await shown.lines("waits", None)
    assert watched is not None
    before = list(read_events((await anext(watched)).splitlines()))
    assert isinstance(before[-1], RunSuspended)
    assert "no call 'other'" in (await shown.decide("waits", None, {"other": Approved()}) or "")
    assert await shown.decide("waits", None, {call.id: Denied("not now")}) is None
    lines = await shown.lines("waits", None)
    assert lines is not None
    told = list(read_events(b"".join([batch async for batch in lines]).splitlines()))
    assert isinstance(told[-1], RunFinished)
    # Who has watched it wait sees it go on.
    reset, *rest = b"".join([batch async for batch in watched]).splitlines(keepends=True)
    assert reset == RESET
    assert list(read_events(rest)) == told
    assert "not now" in told[-1].text
    # What was told before it went on is told first, once.
    assert told[0].at == 0
    assert sum(isinstance(event, RunSuspended) for event in told) == 1
    assert (await shown.page(RunFilter(), 0, 9)).runs[0].status == "answered"
    await shown.end()


async def test_what_cannot_be_shown_costs_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(event: Event) -> bytes:
        raise ValueError("no line")

    run = LiveRun("r", "m", None)
    run.put(RunStarted(run_id="r", question="?", model="m"))
    monkeypatch.setattr("contemplate.server.viewer.event_lines.line_of", fail)
    for _ in range(3):
        run.put(TaskStarted(task_id="1", model="m"))
    assert run.over
    assert len(run.lines) == 1
    assert [record.message for record in caplog.records] == ["run r cannot be shown"]


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contemplate.server.viewer.live_runs.MOST_OF_ONE", 10_000)
    monkeypatch.setattr("contemplate.server.viewer.live_runs.MOST_RUNS", 3)
    runs = LiveRuns()
    run = runs.begin("0", "m")
    run.put(RunStarted(run_id="0", question="?", model="m"))
    for _ in range(5000):
        run.put(TaskDelta(task_id="1", text="word " * 10))
    run.put(TaskStarted(task_id="1", model="m"))
    assert sum(map(len, run.lines)) < 40_000
    # That a task began is told, however much was written.
    assert isinstance(list(read_events(run.lines))[-1], TaskStarted)
    for number in range(1, 9):
        runs.begin(str(number), "m").close()
    assert runs.get("0") is run
    assert runs.get("1") is None
    runs.close()
    assert [batch async for batch in run.follow(0)]
