"""The ledger: it never overspends, whoever waits is woken, first come is first served, and leaving does no harm."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass, field

import anyio
import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from contemplate import Contemplator, Limits, Usage, aggregators, planners
from contemplate.errors import LimitExceeded
from contemplate.models import ModelRequest
from contemplate.run.budget import Ledger
from contemplate.run.shares import MIN_OUTPUT_TOKENS, Ask, Reservation, Shares
from contemplate.testing import ScriptedModel

from .support import Watched, out, steps


@dataclass(eq=False)
class Ticket:
    """A call that asks for its share."""

    aggregator: bool
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    reservation: Reservation | None = None
    ended: bool = False
    settled: bool = False

    @property
    def waits(self) -> bool:
        return self.reservation is None and not self.ended

    @property
    def is_out(self) -> bool:
        return self.reservation is not None and not self.settled


class Ledgers(RuleBasedStateMachine):
    """Calls that come, settle and leave in any order, some of them at the same moment."""

    backend = "asyncio"
    total = 2000
    output = 1500
    calls = 12

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.portal = self.stack.enter_context(start_blocking_portal(self.backend))
        self.ledger = Ledger(
            Limits(total_tokens=self.total, output_tokens=self.output, calls=self.calls), keep_for_aggregator=True
        )
        self.tickets: list[Ticket] = []
        self.served: list[Ticket] = []

    def teardown(self) -> None:
        try:
            self.portal.call(self._settle_everything)
            assert out(self.ledger) == (0, 0)
            assert not any(ticket.waits for ticket in self.tickets), "somebody was never woken"
        finally:
            self.stack.close()

    async def _settle_everything(self) -> None:
        while left := [ticket for ticket in self.tickets if ticket.is_out]:
            self._settle(left[0], 1.0)
            await steps(3)

    async def _ask(self, ticket: Ticket, prompt: int, wanted: int | None) -> None:
        try:
            with ticket.scope:
                ticket.reservation = await self.ledger.reserve(
                    prompt, wanted, role="aggregator" if ticket.aggregator else "subagent"
                )
                self.served.append(ticket)
        except LimitExceeded:
            pass
        ticket.ended = True

    def _settle(self, ticket: Ticket, share: float) -> None:
        assert ticket.reservation is not None
        ticket.settled = True
        written = ticket.reservation.output_tokens
        assert written is not None
        prompt = ticket.reservation.tokens - written
        usage = Usage(calls=1, input_tokens=int(prompt * share), output_tokens=int(written * share))
        self.ledger.settle(ticket.reservation, usage)

    @rule(
        prompt=st.integers(0, 300),
        wanted=st.none() | st.integers(1, 900),
        aggregator=st.integers(0, 5).map(lambda n: not n),
    )
    def ask(self, prompt: int, wanted: int | None, aggregator: bool) -> None:
        async def begin() -> Ticket:
            return Ticket(aggregator)

        ticket = self.portal.call(begin)
        self.tickets.append(ticket)
        self.portal.start_task_soon(self._ask, ticket, prompt, wanted)
        self.portal.call(steps, 3)

    @precondition(lambda self: any(ticket.is_out for ticket in self.tickets))
    @rule(data=st.data(), share=st.floats(0, 1), also_cancel=st.booleans(), wait=st.booleans())
    def settle(self, data: st.DataObject, share: float, also_cancel: bool, wait: bool) -> None:
        ticket = data.draw(st.sampled_from([each for each in self.tickets if each.is_out]))
        waiting = [each for each in self.tickets if each.waits]
        leaver = data.draw(st.sampled_from(waiting)) if waiting and also_cancel else None

        async def both() -> None:
            # With no step in between, the one who leaves may have been served, and does not know it yet.
            self._settle(ticket, share)
            if leaver is not None:
                leaver.scope.cancel()
            await steps(3 if wait else 1)

        self.portal.call(both)
        self.portal.call(steps, 3)

    @precondition(lambda self: any(ticket.waits for ticket in self.tickets))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from([each for each in self.tickets if each.waits]))

        async def leave() -> None:
            ticket.scope.cancel()
            await steps(3)

        self.portal.call(leave)

    @invariant()
    def nothing_is_overspent(self) -> None:
        calls_out, tokens_out = out(self.ledger)
        assert self.ledger.spent.total_tokens + tokens_out <= self.total
        assert self.ledger.spent.calls + calls_out <= self.calls
        written = [each.reservation.output_tokens or 0 for each in self.tickets if each.is_out and each.reservation]
        assert self.ledger.spent.output_tokens + sum(written) <= self.output

    @invariant()
    def what_is_out_is_what_was_given_out(self) -> None:
        given = [ticket.reservation for ticket in self.tickets if ticket.is_out and ticket.reservation is not None]
        assert out(self.ledger) == (len(given), sum(reservation.tokens for reservation in given))

    @invariant()
    def the_share_of_the_aggregator_is_kept(self) -> None:
        subagents = [ticket for ticket in self.served if not ticket.aggregator]
        assert len(subagents) < self.calls

    @invariant()
    def who_waits_waits_for_someone(self) -> None:
        if any(ticket.waits for ticket in self.tickets):
            assert out(self.ledger)[0] > 0

    @invariant()
    def first_come_first_served(self) -> None:
        for line in (True, False):
            tickets = [ticket for ticket in self.tickets if ticket.aggregator is line]
            waiting = [place for place, ticket in enumerate(tickets) if ticket.waits]
            assert not any(ticket.reservation for ticket in tickets[min(waiting, default=len(tickets)) :])


class OnTrio(Ledgers):
    backend = "trio"


@pytest.mark.parametrize("machine", [Ledgers, OnTrio])
def test_any_order_of_events(machine: type[Ledgers]) -> None:
    run_state_machine_as_test(machine, settings=settings(max_examples=30, stateful_step_count=30, deadline=None))


def ledger(keep: bool = False, **limits: int) -> Ledger:
    return Ledger(Limits.model_validate(limits), keep_for_aggregator=keep)


@pytest.mark.anyio
class TestReservations:
    async def test_without_limits_nothing_is_bounded(self) -> None:
        reservation = await ledger().reserve(10**9, None)
        assert reservation == Reservation(0, None)

    async def test_what_was_asked_for_is_given_where_it_fits(self) -> None:
        assert await ledger(total_tokens=1000).reserve(100, 200) == Reservation(300, 200)

    async def test_who_names_no_length_gets_an_equal_part_of_what_is_left(self) -> None:
        async def first_of(tasks: int, total: int) -> int | None:
            book = ledger(total_tokens=total)
            book.shares.open_tasks = lambda: tasks
            return (await book.reserve(0, None, task="a")).output_tokens

        assert await first_of(16, 160_000) == 10_000
        assert await first_of(16, 16_000) == 1000
        assert await first_of(1, 1000) == 1000
        assert await first_of(16, 500) == MIN_OUTPUT_TOKENS

    async def test_a_plan_gets_a_quarter_of_what_is_left_for_those_who_carry_it_out(self) -> None:
        book = ledger(total_tokens=4000)
        plan = await book.reserve(0, None, role="planner")
        assert plan.output_tokens == 1000
        book.settle(plan, Usage(calls=1, output_tokens=1000))
        assert (await book.reserve(0, 9999, role="planner")).output_tokens == 750

    async def test_what_one_leaves_is_divided_among_the_others(self) -> None:
        book = ledger(total_tokens=1200)
        book.shares.open_tasks = lambda: 4
        first = await book.reserve(0, None, task="a")
        assert first.output_tokens == 300
        assert (await book.reserve(0, None, task="b")).output_tokens == 300
        book.shares.open_tasks = lambda: 3
        book.settle(first, Usage(calls=1, output_tokens=100))
        assert (await book.reserve(0, None, task="c")).output_tokens == 400

    async def test_what_is_written_is_set_aside_twice_where_it_is_read_again(self) -> None:
        book = ledger(keep=True, total_tokens=8000)
        book.shares.open_tasks = lambda: 1
        # 7,000 are not kept for the aggregator's own prompt and answer, and each is estimated at 4/3 when it is read.
        assert (await book.reserve(0, None, task="a")).output_tokens == 3000

    async def test_tasks_wait_for_the_plan_where_the_limit_is_tight(self) -> None:
        book = ledger(total_tokens=4000)
        book.shares.open_tasks, book.shares.tasks_to_come = lambda: 1, lambda: 6
        plan = await book.reserve(0, 100, role="planner")
        got: list[int | None] = []

        async def ask() -> None:
            got.append((await book.reserve(0, None, task="a")).output_tokens)

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await steps(3)
            book.settle(plan, Usage(calls=1, output_tokens=100))
            await steps(3)
            assert got == []
            book.shares.open_tasks = book.shares.tasks_to_come = lambda: 3
            book.divide_again()
        assert got == [1300]

    async def test_output_tokens_are_capped_apart_from_the_prompt(self) -> None:
        book = ledger(output_tokens=1000)
        book.settle(await book.reserve(50_000, 600), Usage(calls=1, input_tokens=50_000, output_tokens=600))
        last = await book.reserve(50_000, 600)
        assert last.output_tokens == 400
        book.settle(last, Usage(calls=1, output_tokens=400))
        with pytest.raises(LimitExceeded, match="output_tokens = 1000"):
            await book.reserve(0, 1)

    async def test_the_tighter_limit_on_tokens_decides(self) -> None:
        assert (await ledger(total_tokens=1000, output_tokens=300).reserve(100, 5000)).output_tokens == 300
        assert (await ledger(total_tokens=1000, output_tokens=5000).reserve(800, 5000)).output_tokens == 200

    async def test_a_share_of_the_output_is_kept_for_the_aggregator(self) -> None:
        book = ledger(keep=True, output_tokens=1000)
        assert (await book.reserve(0, 5000)).output_tokens == 875
        assert (await book.reserve(0, 125, role="aggregator")).output_tokens == 125

    async def test_the_last_one_gets_what_is_left(self) -> None:
        assert await ledger(total_tokens=500).reserve(100, 10_000) == Reservation(500, 400, limit="total_tokens")

    async def test_what_can_never_fit_is_refused_at_once(self) -> None:
        book = ledger(total_tokens=100)
        with pytest.raises(LimitExceeded, match="total_tokens = 100") as caught:
            await book.reserve(90, None)
        assert (caught.value.limit, book.tripped) == ("total_tokens", "total_tokens")

    async def test_the_kept_share_is_for_the_aggregator_alone(self) -> None:
        book = ledger(keep=True, total_tokens=1000, calls=2)
        first = await book.reserve(100, 5000)
        assert first.tokens == 875
        with pytest.raises(LimitExceeded, match="calls = 2"):
            await book.reserve(1, 1)
        assert await book.reserve(50, 50, role="aggregator") == Reservation(100, 50)

    async def test_more_than_reserved_is_booked_and_ends_it(self) -> None:
        book = ledger(total_tokens=1000)
        book.settle(await book.reserve(100, 100), Usage(calls=1, input_tokens=5000))
        with pytest.raises(LimitExceeded):
            await book.reserve(1, 1)

    async def test_the_aggregator_goes_ahead_of_those_who_wait(self) -> None:
        book = ledger(total_tokens=1000)
        first = await book.reserve(0, 1000)
        got: dict[str, int | None] = {}

        async def wait(name: str, aggregator: bool) -> None:
            reservation = await book.reserve(0, 600, role="aggregator" if aggregator else "subagent")
            got[name] = reservation.output_tokens
            book.settle(reservation, Usage(calls=1, output_tokens=10))

        async with anyio.create_task_group() as group:
            group.start_soon(wait, "subagent", False)
            await steps(3)
            group.start_soon(wait, "aggregator", True)
            await steps(3)
            book.settle(first, Usage(calls=1))
        assert got == {"aggregator": 600, "subagent": 400}

    async def test_a_small_one_does_not_overtake_a_large_one_for_ever(self) -> None:
        book = ledger(total_tokens=1000)
        first = await book.reserve(0, 1000)
        got: dict[str, int | None] = {}

        async def wait(name: str, size: int) -> None:
            reservation = await book.reserve(0, size)
            got[name] = reservation.output_tokens
            book.settle(reservation, Usage(calls=1, output_tokens=1))

        async with anyio.create_task_group() as group:
            group.start_soon(wait, "large", 900)
            await steps(3)
            for number in range(5):
                group.start_soon(wait, f"small {number}", 200)
            await steps(3)
            assert got == {}
            book.settle(first, Usage(calls=1, output_tokens=1))
        assert got["large"] == 900
        assert len(got) == 6

    async def test_a_crowd_costs_each_of_its_members_only_a_few_looks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        book, looks, crowd = ledger(total_tokens=100_000), 0, 2000
        plain = Shares.take

        def counted(self: Shares, ask: Ask) -> Reservation | None:
            nonlocal looks
            looks += 1
            return plain(self, ask)

        monkeypatch.setattr(Shares, "take", counted)

        async def one() -> None:
            reservation = await book.reserve(0, 10_000)
            await anyio.lowlevel.checkpoint()
            book.settle(reservation, Usage(calls=1, output_tokens=5))

        async with anyio.create_task_group() as group:
            for _ in range(crowd):
                group.start_soon(one)
        assert book.spent.calls == crowd
        assert looks <= 3 * crowd


@pytest.mark.anyio
class TestRuns:
    """Limits hold however many ask at once."""

    @pytest.mark.parametrize("total", [3_000, 20_000])
    async def test_tokens_of_500_subagents(self, total: int) -> None:
        watched = Watched()

        async def script(request: ModelRequest) -> str:
            limit = request.settings.max_tokens
            assert limit is not None
            await steps(len(watched.events) % 5)
            return "x" * 4 * (limit if len(watched.events) % 3 else 1)

        mind = Contemplator(
            ScriptedModel(script),
            planner=watched.planner(planners.sample(500, instructions="")),
            aggregator=aggregators.vote(stop=None),
            limits=Limits(total_tokens=total),
            on_event=watched,
        )
        result = await mind.run("q")
        watched.check()
        assert 0.5 * total < result.usage.total_tokens <= total
        assert result.stopped_by == "total_tokens"
        assert {task.outcome for task in result.tasks} == {"answered", "capped"}

    async def test_output_tokens_of_500_subagents(self) -> None:
        async def script(request: ModelRequest) -> str:
            assert request.settings.max_tokens is not None
            await steps(3)
            return "x" * 4 * request.settings.max_tokens

        mind = Contemplator(
            ScriptedModel(script),
            planner=planners.sample(500),
            aggregator=aggregators.vote(stop=None),
            limits=Limits(output_tokens=5000),
        )
        result = await mind.run("q")
        assert 2500 < result.usage.output_tokens <= 5000
        assert result.stopped_by == "output_tokens"

    async def test_calls_of_500_subagents(self) -> None:
        model = ScriptedModel("Answer: 4")
        mind = Contemplator(
            model, planner=planners.sample(500), aggregator=aggregators.vote(stop=None), limits=Limits(calls=37)
        )
        result = await mind.run("q")
        assert len(model.requests) == result.usage.calls == 37

    async def test_concurrency_of_500_subagents(self) -> None:
        running = most = 0

        async def script(request: ModelRequest) -> str:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await steps(50)
            running -= 1
            return "Answer: 4"

        mind = Contemplator(
            ScriptedModel(script),
            planner=planners.sample(500),
            aggregator=aggregators.vote(stop=None),
            limits=Limits(concurrency=8),
        )
        assert len((await mind.run("q")).tasks) == 500
        assert most == 8

    async def test_tools_and_schemas_are_counted_as_part_of_the_prompt(self) -> None:
        def look_up(what: str) -> str:
            """Look it up."""
            return what

        look_up.__doc__ = "Look it up. " * 200
        mind = Contemplator(ScriptedModel("a"), mode="instant", tools=[look_up], limits=Limits(total_tokens=600))
        with pytest.raises(Exception, match="total_tokens = 600"):
            await mind.run("q")

    async def test_a_question_in_chinese_is_not_taken_for_a_third_of_its_tokens(self) -> None:
        mind = Contemplator(ScriptedModel("a"), mode="instant", limits=Limits(total_tokens=1000))
        with pytest.raises(Exception, match="total_tokens = 1000"):
            await mind.run("思" * 1000)


PLANS = json.dumps({"tasks": [{"title": title, "prompt": title, "needs": []} for title in ("one", "two")]})


@pytest.mark.anyio
@pytest.mark.parametrize("plan", [PLANS, "no plan at all"])
@pytest.mark.parametrize("calls", [1, 2, 3, 4])
async def test_however_few_calls_there_are_one_of_them_answers(plan: str, calls: int) -> None:
    model = ScriptedModel(lambda request: plan if "plan" in repr(request.output_schema) else "An answer.")
    result = await Contemplator(model, limits=Limits(calls=calls)).run("q")
    assert result.text == "An answer."
    assert len(model.requests) <= calls
    assert result.complete == (calls == 4)
    assert result.stopped_by == (None if result.complete else "calls")


@pytest.mark.anyio
async def test_if_there_is_no_room_for_that_either_the_limit_is_the_error() -> None:
    with pytest.raises(LimitExceeded, match="Limits.total_tokens = 20"):
        await Contemplator(ScriptedModel("x"), limits=Limits(total_tokens=20)).run("q")


@pytest.mark.parametrize("limits", [{"total_tokens": 5}, {"output_tokens": 5}, {"cost_usd": 5}])
def test_only_some_limits_are_divided(limits: dict[str, float]) -> None:
    assert Ledger(Limits.model_validate(limits), keep_for_aggregator=False).divides
    assert not ledger(calls=5, tasks=5, seconds=5).divides
