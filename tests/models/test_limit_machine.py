"""`Limit` under any sequence of calls, answers, refusals, cancellations and passing time, on a virtual clock."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from math import inf
from typing import Any

import anyio
import trio
import trio.testing
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contemplate import Message, ModelSettings, Usage
from contemplate.models import ModelRequest, ModelResponse, RunMark
from contemplate.models.wrappers.rate_limit import AccountLimits, Pass
from contemplate.models.wrappers.rate_limit.account_state import LONGEST_PAUSE
from contemplate.models.wrappers.rate_limit.local_gate import LocalGate
from contemplate.models.wrappers.rate_limit.meters import MINUTE

REQUESTS, TOKENS, CONCURRENCY = 6, 3000, 3
MARGIN = 1e-3


@dataclass
class Caller:
    """A call, from when it asks for its turn."""

    run: str
    request: ModelRequest
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    given: Pass | None = None
    gone: bool = False


class Machine:
    """A gate, those who wait at it, and those who are out."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.gate = LocalGate(AccountLimits(REQUESTS, TOKENS, CONCURRENCY))
        self.callers: list[Caller] = []
        self.entered: list[tuple[float, float, Caller]] = []
        self._nursery = nursery
        self._marks: dict[str, RunMark] = {}

    @property
    def waiting(self) -> list[Caller]:
        return [each for each in self.callers if each.given is None and not each.gone]

    @property
    def out(self) -> list[Caller]:
        return [each for each in self.callers if each.given is not None and not each.gone]

    async def come(self, run: str, tokens: int) -> None:
        """One more asks for a turn."""
        mark = self._marks.setdefault(run, RunMark())
        request = ModelRequest((Message.user("x"),), settings=ModelSettings(max_tokens=tokens))
        caller = Caller(run, request)
        self.callers.append(caller)

        async def ask() -> None:
            with caller.scope:
                caller.given = await self.gate.enter(mark, request)
                self.entered.append((anyio.current_time(), caller.given.tokens, caller))
            caller.gone = caller.given is None

        self._nursery.start_soon(ask)

    async def settle(self) -> None:
        """Let everyone do what there is to do now."""
        await trio.testing.wait_all_tasks_blocked()

    def leave(self, place: int, how: str, seconds: float) -> None:
        """One that is out comes back: answered, refused (with a pause), or ended otherwise."""
        if not self.out:
            return
        caller = self.out[place % len(self.out)]
        caller.gone = True
        given = caller.given
        assert given is not None
        if how == "answered":
            usage = Usage(calls=1, input_tokens=0, output_tokens=int(given.tokens))
            said = ModelResponse(message=Message.assistant("y"), finish="stop", usage=usage, model="m")
            self.gate.answered(given, said)
        elif how == "refused":
            self.gate.refused(given, seconds)
        else:
            self.gate.ended(given)

    def cancel(self, place: int) -> None:
        """One that waits is cancelled."""
        if self.waiting:
            self.waiting[place % len(self.waiting)].scope.cancel()

    def check(self) -> None:
        """What holds whenever nobody has anything to do."""
        pace, now = self.gate.pace, anyio.current_time()
        assert pace.window.out == len(self.out) <= CONCURRENCY
        assert len(self.gate._line._runs) == len({each.run for each in self.waiting})
        first = self.gate._line.first
        assert (first is None) == (not self.waiting)
        if first is None:
            assert self.gate._keeper is None
        else:
            # No lost wake-up: the first has to wait, somebody minds the clock, and for no longer than it must.
            delay = pace.delay(first.tokens, now)
            # Where sums of times are rounded apart, the clock is a last bit short of the moment.
            assert delay > 0 or 0 < self.gate._due - now <= MARGIN
            assert self.gate._keeper is not None
            assert self.gate._due <= now + delay + MARGIN
        for at, _, _ in self.entered:
            within = [each for each in self.entered if at <= each[0] < at + MINUTE - MARGIN]
            # A full bucket at once, and what flows in during that minute.
            assert len(within) <= 2 * REQUESTS
            assert sum(tokens for _, tokens, _ in within) <= 2 * TOKENS + max(tokens for _, tokens, _ in within)


moves = st.lists(
    st.one_of(
        st.tuples(st.just("come"), st.sampled_from("abc"), st.sampled_from([1, 400, 2500])),
        st.tuples(st.just("answered"), st.integers(0, 9), st.just(0.0)),
        st.tuples(st.just("refused"), st.integers(0, 9), st.sampled_from([0.0, 1.0, 30.0, 600.0])),
        st.tuples(st.just("ended"), st.integers(0, 9), st.just(0.0)),
        st.tuples(st.just("cancel"), st.integers(0, 9), st.just(0.0)),
        st.tuples(st.just("pass"), st.sampled_from([0.1, 3.0, 20.0, 90.0]), st.just(0.0)),
        st.tuples(st.just("together"), st.integers(0, 9), st.just(0.0)),
    ),
    max_size=40,
)


def on_a_virtual_clock(function: Callable[[], Coroutine[Any, Any, None]]) -> None:
    trio.run(function, clock=trio.testing.MockClock(autojump_threshold=0))


async def play(machine: Machine, steps: list[tuple[Any, Any, Any]]) -> None:
    for what, one, other in steps:
        if what == "come":
            await machine.come(one, other)
        elif what == "pass":
            await anyio.sleep(one)
        elif what == "cancel":
            machine.cancel(one)
        elif what == "together":
            # A turn and a cancellation at the same moment: the turn goes to the next.
            machine.leave(one, "answered", 0.0)
            machine.cancel(0)
        else:
            machine.leave(one, what, other)
        await machine.settle()
        machine.check()


@settings(max_examples=150, deadline=None)
@given(moves)
@example(
    [
        ("pass", 0.1, 0.0),
        ("come", "a", 1),
        ("refused", 0, 30.0),
        ("come", "a", 2500),
        ("come", "a", 2500),
        ("come", "a", 1),
    ]
)
def test_whatever_happens(steps: list[tuple[Any, Any, Any]]) -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            machine = Machine(nursery)
            await play(machine, steps)
            # And in the end everyone has their turn, also after a refusal that asked for an hour.
            with trio.move_on_after(MINUTE * (len(steps) + 2) + LONGEST_PAUSE) as late:
                while machine.waiting or machine.out:
                    machine.leave(0, "answered", 0.0)
                    await anyio.sleep(0.5)
                    await machine.settle()
                    machine.check()
            assert not late.cancelled_caught, "somebody waits for ever"
            assert machine.gate.pace.window.out == 0
            assert machine.gate.pace.requests.level <= REQUESTS
            assert machine.gate.pace.tokens.level <= TOKENS

    on_a_virtual_clock(main)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from("aaaaab"), min_size=2, max_size=30))
def test_runs_take_turns(arrivals: list[str]) -> None:
    """Between two turns of a run that waits, every other run has one at most: 800 tasks do not starve 3."""

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            machine = Machine(nursery)
            machine.gate.pace.requests.capacity = machine.gate.pace.requests.level = inf  # type: ignore[misc]
            machine.gate.pace.window.size = machine.gate.pace.window.most = 1
            for run in ["first", *arrivals]:
                await machine.come(run, 1)
                await machine.settle()
            while machine.out:
                machine.leave(0, "answered", 0.0)
                await machine.settle()
            served = [caller.run for _, _, caller in machine.entered][1:]
            assert sorted(served) == sorted(arrivals)
            few = min(arrivals.count("a"), arrivals.count("b"))
            assert served[: 2 * few].count("a") == served[: 2 * few].count("b") == few
            order = [caller for _, _, caller in machine.entered]
            for run in "ab":
                mine = [each for each in machine.callers if each.run == run]
                assert [each for each in order if each.run == run] == mine

    on_a_virtual_clock(main)
