"""Calls that wait for their turn: events say so while they wait, and behind what."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from contemplate import Budget, Contemplator, Limits, ModelSettings, aggregators, planners
from contemplate.errors import ModelConnectionError
from contemplate.events import CallQueued, CallRepeated, Event, ModelCalled
from contemplate.models import Delta, DeltaSink, Limit, Model, ModelRequest, ModelResponse, Retry, Warm
from contemplate.testing import ScriptedModel

pytestmark = pytest.mark.anyio
LONG = "Which of these is the oldest? " * 200


class Gated:
    """A model that answers when it may, and a gate for each of its calls."""

    name = "gated"

    def __init__(self) -> None:
        self.asked = 0
        self.answer = anyio.Event()

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Answer when the gate is open."""
        self.asked += 1
        await self.answer.wait()
        response = await ScriptedModel("yes").request(request)
        if on_delta is not None:
            on_delta(Delta("yes"))
        return response


def behind(events: list[Event]) -> list[Any]:
    return [event.behind for event in events if isinstance(event, CallQueued)]


@pytest.mark.parametrize("why", ["concurrency", "rate", "prefix"])
async def test_who_waits_is_told_while_it_waits(why: str) -> None:
    inner, limits = Gated(), Limits()
    model: Model = inner
    match why:
        case "concurrency":
            limits = Limits(concurrency=1)
        case "rate":
            model = Limit(inner, concurrency=1, account=f"queue {anyio.current_time()}")
        case _:
            model = Warm(inner, least_tokens=100)
    events: list[Event] = []
    mind = Contemplator(model, planner=planners.sample(2), aggregator=aggregators.vote(), limits=limits)
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: mind.run(LONG, on_event=events.append))
        await anyio.wait_all_tasks_blocked()
        assert inner.asked == 1, why
        assert behind(events) == [why]
        assert not any(isinstance(event, ModelCalled) for event in events)
        inner.answer.set()
    assert behind(events) == [why, None]
    (queued,) = [event for event in events if isinstance(event, CallQueued) and event.behind]
    called = {event.name: event for event in events if isinstance(event, ModelCalled)}
    waited = called.pop(queued.name)
    assert waited.queued > 0
    assert waited.queued + waited.seconds <= waited.at


async def test_who_waits_for_what_another_run_leaves_is_told() -> None:
    inner, events = Gated(), list[Event]()
    budget, settings = Budget("us", tokens=1000), ModelSettings(max_tokens=1000)
    mind = Contemplator(inner, mode="instant", budget=budget, settings=settings)
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: mind.run("Why?"))
        while not inner.asked:
            await anyio.lowlevel.checkpoint()
        group.start_soon(lambda: mind.run("Why not?", on_event=events.append))
        while not behind(events):
            await anyio.lowlevel.checkpoint()
        assert behind(events) == ["limits"]
        inner.answer.set()
    assert behind(events) == ["limits", None]


async def test_who_need_not_wait_is_not_told_of() -> None:
    events: list[Event] = []
    model = Limit(Warm(ScriptedModel("yes")), concurrency=9, account=f"free {anyio.current_time()}")
    await Contemplator(model, mode="vote", limits=Limits(concurrency=9)).run("Why?", on_event=events.append)
    assert behind(events) == []


@pytest.mark.parametrize(("tokens", "waits"), [(10**6, 0), (5000, 2)])
async def test_who_waits_for_the_last_of_tasks_that_come_at_once_is_told_only_if_it_goes_on_waiting(
    tokens: int, waits: int
) -> None:
    inner, events = Gated(), list[Event]()
    planner, limits = planners.sample(4), Limits(total_tokens=tokens)
    mind = Contemplator(inner, planner=planner, aggregator=aggregators.vote(), limits=limits)
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: mind.run("Why?", on_event=events.append))
        await anyio.wait_all_tasks_blocked()
        assert (inner.asked, behind(events)) == (4 - waits, ["limits"] * waits)
        inner.answer.set()
    assert behind(events).count("limits") == behind(events).count(None) == waits


async def test_a_call_that_is_made_again_had_its_turn() -> None:
    events: list[Event] = []
    limited = Limit(
        ScriptedModel([ModelConnectionError("gone", model="m"), "yes"]),
        requests_per_minute=6000,
        account=f"again {anyio.current_time()}",
    )
    mind = Contemplator(Retry(limited), mode="instant")
    await mind.run("Why?", on_event=events.append)
    assert [event.reason for event in events if isinstance(event, CallRepeated)] == ["retried"]
    assert behind(events) == []
