"""Random schedules of suspensions, denials, kills and answers out of order: the same results, at the same cost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contemplate import (
    Approved,
    Contemplator,
    Denied,
    Message,
    PendingCall,
    Returned,
    RunResult,
    Tool,
    external_tool,
    tool,
)
from contemplate.decisions import Approve, Decision
from contemplate.journal import Journal
from contemplate.journal.entries import held_call
from contemplate.models import DeltaSink, ModelRequest, ModelResponse
from contemplate.testing import ScriptedModel

from ..support import cancelled_after
from .scene import calls, join, part_of, parts, told, turn

PARTS = ("a", "b", "c")
TOOLS = ("mail", "look", "note", "inner")
RUN = "the-run"
MOST_STEPS = 60


@dataclass(frozen=True)
class Plan:
    """For each part, the tools that it calls in each of its turns; equal calls of one turn count, too."""

    turns: dict[str, list[list[str]]]
    denied: frozenset[str]
    within: bool

    def decision(self, call: PendingCall) -> Decision:
        """What is decided of a call depends on the call only."""
        named = f"{call.tool}{call.arguments}"
        if call.tool == "look":
            return Denied("closed") if named in self.denied else Returned(f"seen {call.arguments}")
        return Denied("no") if named in self.denied else Approved()


@dataclass
class World:
    """What outlives every process."""

    plan: Plan
    journal: Journal = field(default_factory=Journal)
    paid: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    decided: set[str] = field(default_factory=set)

    def model(self) -> ScriptedModel:
        world = self

        def script(request: ModelRequest) -> Message | str:
            part = part_of(request, PARTS)
            if "deep" in request.messages[-1 - 2 * turn(request)].text and not turn(request):
                return calls(("mail", {"to": f"within {part}"}))
            named = world.plan.turns[part] if "deep" not in str(request.messages) else [[]]
            if turn(request) < len(named):
                return calls(*((name, {"to": f"{part}{turn(request)}"}) for name in named[turn(request)]))
            return f"{part}: {told(request)}"

        class Counting(ScriptedModel):
            async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
                response = await super().request(request, on_delta)
                # Nothing may be lost after this.
                world.paid[str(request)] += 1
                return response

        return Counting(script)

    def tools(self) -> list[Tool]:
        @tool(approval=True)
        async def mail(to: str) -> str:
            """Send a mail."""
            self.sent[to] += 1
            return f"sent to {to}"

        @tool
        async def note(to: str) -> str:
            """Keep a note."""
            self.sent[f"note {to}"] += 1
            return f"noted {to}"

        deep = Contemplator(self.model(), mode="instant", tools=[mail])

        @tool
        async def inner(to: str) -> str:
            """Let others do it."""
            return (await deep.run(f"deep part {to[0]}")).text

        return [mail, note, inner, external_tool("look", "Look.", {"properties": {"to": {"type": "string"}}})]

    def mind(self, approve: Approve | None = None) -> Contemplator[str]:
        own = self.tools()
        agent = Contemplator(self.model(), mode="instant", tools=own) if self.plan.within else None
        return Contemplator(
            self.model(),
            planner=parts(*self.plan.turns),
            aggregator=join,
            journal=self.journal,
            approve=approve,
            agent=agent,
            tools=own if agent is None else (),
        )

    def open_calls(self) -> list[PendingCall]:
        """The calls that wait, as anybody who reads the journal knows them."""
        held = [held_call(entry) for entry in self.journal.entries(RUN) if entry.role == "decision"]
        return [each.call for each in held if each.decision is None]


@dataclass(frozen=True)
class Step:
    """One process: who decides in it, what was decided before, and when it is killed."""

    approves: float
    answered: int
    killed_after: int | None


async def process(mind: Contemplator[str], given: dict[str, Decision], results: list[RunResult[str]]) -> None:
    results.append(await (mind.resume(RUN, given) if given else mind.run("q", run_id=RUN)))


async def schedule(world: World, steps: list[Step]) -> RunResult[str]:
    for step in [*steps, *[Step(0.0, 1, None)] * MOST_STEPS]:
        asked = 0

        async def approve(call: PendingCall, step: Step = step) -> Decision | None:
            nonlocal asked
            assert call.id not in world.decided
            asked += 1
            await anyio.lowlevel.checkpoint()
            if (asked * 0.37) % 1 >= step.approves:
                return None
            return world.plan.decision(call)

        waiting = world.open_calls()
        # Answers come out of order.
        given = {call.id: world.plan.decision(call) for call in waiting[::-1][: step.answered]}
        mind = world.mind(approve if step.approves else None)
        results: list[RunResult[str]] = []

        go_on = partial(process, mind, given, results)
        if step.killed_after is None:
            await go_on()
        else:
            await cancelled_after(step.killed_after, go_on)
        held = [held_call(entry) for entry in world.journal.entries(RUN) if entry.role == "decision"]
        decided = {each.call.id for each in held if each.decision is not None}
        assert world.decided <= decided
        world.decided = decided
        if results and results[0].status != "suspended":
            return results[0]
        if results:
            assert {call.id for call in results[0].pending} == {call.id for call in world.open_calls()}
    raise AssertionError("the run has no end")


PLANS = st.builds(
    Plan,
    turns=st.dictionaries(
        st.sampled_from(PARTS),
        st.lists(st.lists(st.sampled_from(TOOLS), min_size=1, max_size=3), max_size=2),
        min_size=1,
        max_size=3,
    ),
    denied=st.frozensets(
        st.builds(
            lambda name, part, number: f"{name}{{'to': '{part}{number}'}}",
            st.sampled_from(TOOLS[:2]),
            st.sampled_from(PARTS),
            st.sampled_from([0, 1]),
        )
    ),
    within=st.booleans(),
)
STEPS = st.lists(
    st.builds(
        Step,
        approves=st.sampled_from([0.0, 0.0, 0.5, 1.0]),
        answered=st.integers(0, 3),
        killed_after=st.none() | st.integers(0, 120),
    ),
    max_size=6,
)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
# Fifty in all.
@settings(max_examples=25, deadline=None)
@given(plan=PLANS, steps=STEPS)
def test_whatever_the_schedule_the_result_and_the_cost_are_the_same(
    backend: str, plan: Plan, steps: list[Step]
) -> None:
    never = World(plan)

    async def decide(call: PendingCall) -> Decision:
        return plan.decision(call)

    expected = anyio.run(lambda: never.mind(decide).run("q"), backend=backend)
    assert expected.status == "answered"
    world = World(plan)
    result = anyio.run(schedule, world, steps, backend=backend)
    assert result.text == expected.text
    assert result.status == "answered"
    assert world.paid == never.paid
    assert world.sent == never.sent
    assert result.usage == expected.usage or any(step.killed_after is not None for step in steps)
