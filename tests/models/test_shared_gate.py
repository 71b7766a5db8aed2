"""The gate of a shared account: what its thread tells, and whom it wakes, with a journal that does as it is told."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace
from math import inf
from typing import Any

import anyio
import pytest

from contemplate import Message, Usage
from contemplate.boot_clock import boot_clock
from contemplate.errors import JournalBusy, JournalError, RunTaken
from contemplate.models import ModelRequest, ModelResponse, RunMark
from contemplate.models.wrappers.rate_limit import (
    LATE_START,
    Allowed,
    End,
    Exchanged,
    Granted,
    News,
    Pass,
    Turns,
    exchange_thread,
    shared_gate,
)
from contemplate.models.wrappers.rate_limit.shared_gate import SharedGate

from ..patience import PATIENCE

pytestmark = pytest.mark.anyio


class Told:
    """An account that lets in as many as it may, and keeps what it was told."""

    lease = 9.0

    def __init__(self, room: int = 0) -> None:
        self.room = room
        self.news: list[News] = []
        self.gates: list[str] = []
        self.looks = 0
        self.joined: dict[str, str] = {}
        self.granted: list[str] = []
        self.forgotten: set[str] = set()
        self.problem: Callable[[], Exception | None] = lambda: None
        self.due = inf
        self.first = True
        self.seconds = 0.0

    @property
    def key(self) -> Hashable:
        return self

    @property
    def ends(self) -> list[End]:
        return [end for news in self.news for end in news.ends]

    def exchange(self, account: str, gate: str, news: News, patience: float) -> Exchanged:
        if (problem := self.problem()) is not None:
            raise problem
        self.gates.append(gate)
        self.joined |= {join.call: join.run for join in news.joins}
        self.news.append(news)
        return Exchanged(self._turns(news.waiting), len(self.granted), 1)

    def look(self, account: str, gate: str, waiting: Sequence[str], patience: float) -> Turns:
        if (problem := self.problem()) is not None:
            raise problem
        self.looks += 1
        return self._turns(waiting)

    def _turns(self, waiting: Sequence[str]) -> Turns:
        lost = [call for call in waiting if call in self.forgotten]
        self.forgotten.clear()
        there = [call for call in waiting if call in self.joined and call not in lost]
        while self.room and (new := [call for call in there if call not in self.granted]):
            self.room -= 1
            self.granted.append(new[0])
        granted = {call: Granted(Pass(1, 1, False, 0.0, call), self.seconds) for call in there if call in self.granted}
        return Turns(granted, lost, self.due, self.first)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is waited for that need not be, and no thread is left."""
    for name in ("PAUSE", "SHORTEST_LOOK", "LATE"):
        monkeypatch.setattr(exchange_thread, name, 0.001)
    yield
    for thread in threading.enumerate():
        if thread.name == "contemplate limits":
            thread.join(PATIENCE)
            assert not thread.is_alive()


def gate_of(told: Told) -> SharedGate:
    return SharedGate(told, "us", Allowed(concurrency=1))


def asking(waits: list[object] | None = None) -> ModelRequest:
    return ModelRequest((Message.user("?"),), on_queue=(lambda _: None) if waits is None else waits.append)


async def until(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(PATIENCE):
        while not holds():
            await anyio.sleep(0.001)


def answer(tokens: int = 5) -> ModelResponse:
    usage = Usage(calls=1, input_tokens=tokens)
    return ModelResponse(message=Message.assistant("!"), finish="stop", usage=usage, model="m")


async def test_a_call_enters_and_its_end_is_told_without_being_waited_for() -> None:
    told, waits = Told(room=1), list[object]()
    gate = gate_of(told)
    permit = await gate.enter(None, asking(waits))
    assert waits == []
    assert told.news[0].says_so
    gate.heard(permit)
    gate.answered(permit, answer())
    await until(lambda: len(told.ends) == 2)
    assert [(end.how, end.tokens) for end in told.ends] == [("heard", 0), ("answered", 5)]
    assert not told.news[-1].says_so


async def test_who_waits_is_told_so_and_finds_out_that_others_let_it_in() -> None:
    told, waits = Told(), list[object]()
    gate = gate_of(told)
    async with anyio.create_task_group() as group:
        group.start_soon(gate.enter, None, asking(waits))
        await until(lambda: waits == ["rate"])
        before = len(told.news)
        await until(lambda: told.looks > 3)
        # Looking is enough, as nothing is due.
        assert len(told.news) == before
        told.room = 1
    assert waits == ["rate", None]
    gate.ended(Pass(1, 1, False, 0.0, told.granted[0]))


@pytest.mark.parametrize("first", [True, False])
async def test_what_is_due_is_done_by_others_too_if_the_first_does_not(first: bool) -> None:
    told = Told()
    told.due, told.first = -1.0, first
    gate = gate_of(told)
    async with anyio.create_task_group() as group:
        group.start_soon(gate.enter, None, asking())
        await until(lambda: len(told.news) > 3)
        group.cancel_scope.cancel()
    await until(lambda: [end.how for end in told.ends] == ["unused"])


async def test_calls_that_were_forgotten_join_again() -> None:
    told = Told()
    gate = gate_of(told)
    async with anyio.create_task_group() as group:
        group.start_soon(gate.enter, None, asking())
        await until(lambda: len(told.joined) == 1)
        told.forgotten = set(told.joined)
        await until(lambda: sum(len(news.joins) for news in told.news) == 2)
        told.room = 1
    gate.ended(Pass(1, 1, False, 0.0, told.granted[0]))


async def test_few_of_many_wait_in_the_journal_and_runs_take_turns_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_thread, "KNOWN", 2)
    told = Told()
    gate = gate_of(told)
    large, small = RunMark(), RunMark()
    done: list[RunMark] = []

    async def call(run: RunMark, scope: anyio.CancelScope) -> None:
        waits: list[object] = []
        with scope:
            permit = await gate.enter(run, asking(waits))
            assert waits == ["rate", None]
            done.append(run)
            gate.ended(permit)

    async with anyio.create_task_group() as group:
        scopes = [anyio.CancelScope() for _ in range(7)]
        for scope in scopes[:6]:
            group.start_soon(call, large, scope)
        await until(lambda: len(told.joined) == 2)
        group.start_soon(call, small, scopes[6])
        await anyio.wait_all_tasks_blocked()
        # One that is not known to the journal yet leaves no trace.
        scopes[5].cancel()
        await anyio.wait_all_tasks_blocked()
        assert len(told.joined) == 2
        told.room = 6
    assert done.index(small) <= 3
    assert len(done) == 6
    await until(lambda: len(told.ends) == 6)
    assert len(set(told.joined.values())) == 2


async def test_a_call_that_is_cancelled_when_its_turn_has_come_is_told() -> None:
    told = Told()
    gate = gate_of(told)
    async with anyio.create_task_group() as group:
        group.start_soon(gate.enter, None, asking())
        await until(lambda: len(told.joined) == 1)
        # What is granted meanwhile is given back.
        group.cancel_scope.cancel()
        told.room = 1
    await until(lambda: [(end.call, end.how) for end in told.ends] == [(next(iter(told.joined)), "unused")])


async def test_a_refusal_is_one_too_many_if_others_are_in_flight() -> None:
    told = Told(room=2)
    gate = gate_of(told)
    one, other = [await gate.enter(None, asking()) for _ in range(2)]
    assert gate.refused(one, 1.0)
    assert not gate.refused(other, None)
    await until(lambda: len(told.ends) == 2)
    assert [end.retry_after for end in told.ends] == [1.0, None]


async def test_a_long_pause_is_no_reason_to_wait() -> None:
    told = Told(room=2)
    gate = gate_of(told)
    one, other = [await gate.enter(None, asking()) for _ in range(2)]
    assert not gate.refused(one, 3600.0)
    gate.ended(other)


@pytest.mark.parametrize("problem", [JournalError("it is broken", hint="mend it"), ZeroDivisionError("oh")])
async def test_a_broken_journal_is_the_error_of_all_that_wait(
    problem: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    told = Told(room=1)
    gate = gate_of(told)
    permit = await gate.enter(None, asking())
    told.problem = lambda: problem
    with pytest.raises(JournalError, match=r"limits of account 'us': .*(broken \(mend it\)|ZeroDivisionError: oh)"):
        await gate.enter(None, asking())
    with caplog.at_level(logging.WARNING, "contemplate"):
        gate.ended(permit)
        await until(lambda: "not told of calls of account 'us'" in caplog.text)
    # Others take what was not told for that of a gate that is dead.
    told.problem, told.room = (lambda: None), 1
    gate.ended(await gate.enter(None, asking()))
    assert len(set(told.gates)) == 2


async def test_a_journal_that_is_away_is_waited_for() -> None:
    told = Told(room=1)
    gate = gate_of(told)
    away = [True]
    told.problem = lambda: JournalBusy("nobody answers") if away[0] else None
    async with anyio.create_task_group() as group:
        group.start_soon(gate.enter, None, asking())
        await anyio.sleep(0.01)
        away[0] = False
    # What ended while it was away is told afterwards.
    away[0] = True
    gate.ended(Pass(1, 1, False, 0.0, told.granted[0]))
    await anyio.sleep(0.01)
    assert told.ends == []
    away[0] = False
    await until(lambda: [end.how for end in told.ends] == ["ended"])


async def test_a_journal_that_stays_away_is_an_error_and_costs_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_thread, "PATIENCE", 0.01)
    told = Told(room=1)
    gate = gate_of(told)
    permit = await gate.enter(None, asking())
    told.problem = lambda: JournalBusy("nobody answers")
    with pytest.raises(JournalBusy, match="limits of account 'us': nobody answers"):
        await gate.enter(None, asking())
    gate.answered(permit, answer())
    assert told.ends == []
    told.problem = lambda: None
    # The one that gave up may have been told, although nobody said so.
    await until(lambda: sorted(end.how for end in told.ends) == ["answered", "unused"])


async def test_a_process_says_that_it_lives_while_a_call_is_in_flight() -> None:
    told = Told(room=1)
    told.lease = 0.01
    gate = gate_of(told)
    permit = await gate.enter(None, asking())
    await until(lambda: len(told.news) > 3)
    assert not any(news.joins or news.ends for news in told.news[1:])
    gate.ended(permit)


async def test_a_process_that_ends_waits_until_what_ended_is_told() -> None:
    told = Told(room=1)
    gate = gate_of(told)
    permit = await gate.enter(None, asking())
    gate._thread.settle(PATIENCE)
    assert told.ends == []
    gate.ended(permit)
    await anyio.to_thread.run_sync(gate._thread.settle, PATIENCE)
    assert [end.how for end in told.ends] == ["ended"]


@pytest.mark.parametrize(
    ("window", "late", "again"), [(True, 2 * LATE_START, 1), (False, 2 * LATE_START, 0), (False, Told.lease + 1, 1)]
)
async def test_a_turn_that_is_long_over_is_given_back_where_it_may_be_lost(
    window: bool, late: float, again: int
) -> None:
    """Where what starts in any minute is counted, it is soon; else when others may have been given the place."""
    told = Told(room=2)
    told.seconds = -late
    gate = SharedGate(told, "us", Allowed(requests=5, window=window))
    permit = await gate.enter(None, asking())
    assert permit.call == told.granted[-1]
    assert len(told.granted) == 1 + again
    gate.ended(permit)
    await until(lambda: [end.how for end in told.ends] == ["unused"] * again + ["ended"])


async def test_whoever_may_not_send_any_more_gives_his_place_back() -> None:
    told = Told(room=1)

    async def taken() -> None:
        raise RunTaken("run 'r' was taken")

    gate = gate_of(told)
    with pytest.raises(RunTaken):
        await gate.enter(None, replace(asking(), before_sending=taken))
    await until(lambda: [end.how for end in told.ends] == ["unused"])


async def test_who_stood_still_while_he_was_told_takes_his_turn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    told, stood_still = Told(room=2), 0.0
    exchange = told.exchange

    def stands_still(*given: Any) -> Exchanged:
        nonlocal stood_still
        exchanged = exchange(*given)
        stood_still = 2 * told.lease
        return exchanged

    monkeypatch.setattr(told, "exchange", stands_still)
    # By a clock that goes on then, as while a machine sleeps.
    for module in exchange_thread, shared_gate:
        monkeypatch.setattr(module, "boot_clock", lambda: boot_clock() + stood_still)
    gate = gate_of(told)
    permit = await gate.enter(None, asking())
    assert permit.call == told.granted[1]
    gate.ended(permit)
    await until(lambda: sorted(end.how for end in told.ends) == ["ended", "unused"])
