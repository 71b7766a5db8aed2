"""Budgets that runs share: never overdrawn, divided fairly, refused with a reason, and booked once."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contemplate import (
    Budget,
    Contemplator,
    Limits,
    ModelSettings,
    Price,
    RunResult,
    Task,
    TaskResult,
    aggregators,
    planners,
    tool,
)
from contemplate.accounts import Amounts, Settlement
from contemplate.errors import AggregationError, ConfigurationError, JournalBusy, LimitExceeded
from contemplate.events import Event
from contemplate.messages import Message, ToolCall
from contemplate.models import DeltaSink, ModelRequest, ModelResponse
from contemplate.models.tokens import request_tokens
from contemplate.result import ErrorInfo
from contemplate.run.budget_draws import LAST_WAIT, QUICK, Draw
from contemplate.run.budget_draws import Held as DrawHeld
from contemplate.run.engine import _used_up
from contemplate.testing import ScriptedModel
from contemplate.usage import Usage

from .support import Held, steps

DEAR = Price(input=1000, output=2000)
NOON = datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp()


class Slow:
    """A model that heeds `max_tokens`, and takes some steps, during which others ask, too."""

    name = "slow"
    price = DEAR

    def __init__(self, words: int, pause: int, seen: Callable[[], None] = lambda: None) -> None:
        self.words, self.pause, self.seen = words, pause, seen

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        self.seen()
        await steps(self.pause)
        allowed = request.settings.max_tokens
        written = self.words if allowed is None else min(self.words, allowed)
        return ModelResponse(
            message=Message.assistant("word " * written),
            finish="stop" if written == self.words else "length",
            usage=Usage(calls=1, input_tokens=request_tokens(request), output_tokens=written, cost_usd=None),
            model=self.name,
        )


def outcome_of(results: list[RunResult[Any]], errors: list[Exception]) -> int:
    """How many calls were made in all."""
    partials = [each.partial for each in errors if isinstance(each, (LimitExceeded, AggregationError))]
    return sum(each.usage.calls for each in (*results, *filter(None, partials)))


async def many(runs: int, budget: Budget, model: Slow, mode: Any) -> tuple[list[RunResult[Any]], list[Exception]]:
    results: list[RunResult[Any]] = []
    errors: list[Exception] = []
    mind = Contemplator(model, mode=mode, budget=budget)

    async def run() -> None:
        try:
            results.append(await mind.run("Why?"))
        except (LimitExceeded, AggregationError) as error:
            errors.append(error)

    async with anyio.create_task_group() as group:
        for _ in range(runs):
            group.start_soon(run)
    return results, errors


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("journal", [None, "memory:"])
@settings(max_examples=12, deadline=None)
@given(
    runs=st.integers(2, 24),
    tokens=st.none() | st.integers(50, 5000),
    calls=st.none() | st.integers(1, 40),
    cost=st.none() | st.floats(0.1, 8),
    words=st.integers(1, 80),
    pause=st.integers(0, 4),
    mode=st.sampled_from(["instant", "vote", "refine"]),
)
def test_nobody_overdraws(
    backend: str,
    journal: str | None,
    runs: int,
    tokens: int | None,
    calls: int | None,
    cost: float | None,
    words: int,
    pause: int,
    mode: str,
) -> None:
    if (tokens, calls, cost) == (None, None, None):
        calls = 10
    budget = Budget("all", tokens=tokens, calls=calls, cost_usd=cost, journal=journal)

    def seen() -> None:
        standing = budget.account.look(0.0, "", 1.0)
        assert (standing.spent + standing.out).fits(budget.most)
        assert standing.runs <= runs

    results, errors = anyio.run(many, runs, budget, Slow(words, pause, seen), mode, backend=backend)
    assert len(results) + len(errors) == runs
    standing = budget.account.look(0.0, "", 1.0)
    assert (standing.out.calls, standing.out.tokens, standing.runs) == (0, 0, 1)
    assert standing.spent.fits(budget.most)
    assert standing.spent.calls == outcome_of(results, errors)


@pytest.mark.anyio
class TestSharing:
    async def test_a_hundred_runs_at_once(self) -> None:
        budget = Budget("all", calls=30, tokens=20_000)
        results, errors = await many(100, budget, Slow(5, 2), "instant")
        assert len(results) == 30
        assert len(errors) == 70
        assert all(isinstance(each, LimitExceeded) and each.limit == "budget:all" for each in errors)
        assert budget.left().calls == 0

    async def test_two_calls_at_once_never_have_the_whole_each(self) -> None:
        budget = Budget("us", tokens=20_000)
        models = [Held(reply="one"), Held(reply="two")]
        left: list[int] = []

        async def run(model: Held) -> None:
            await Contemplator(model, mode="instant", budget=budget).run("Why?")

        async with anyio.create_task_group() as group:
            for model in models:
                group.start_soon(run, model)
                await model.started.wait()
                left.append(budget.left().tokens or 0)
            assert budget.account.look(0.0, "", 1.0).runs == 2
            for model in models:
                model.release.set()
        assert left == [10_000, 5000]
        assert budget.left().tokens == 20_000 - budget.account.look(0.0, "", 1.0).spent.tokens

    async def test_who_comes_later_is_left_a_fair_part(self) -> None:
        budget = Budget("us", tokens=6000)
        other = budget.account.join(0.0, "other", 1.0)
        assert other.runs == 1
        model = ScriptedModel("x")
        await Contemplator(model, mode="instant", budget=budget).run("Why?")
        alone = ScriptedModel("x")
        budget.account.leave("other", 1.0)
        await Contemplator(alone, mode="instant", budget=budget).run("Why?")
        few, most = (each.requests[0].settings.max_tokens or 0 for each in (model, alone))
        assert 2500 < few < 3000
        assert most > 4000

    async def test_a_call_waits_for_what_another_run_leaves(self) -> None:
        budget = Budget("us", tokens=1000)
        first = Held(reply="one")
        over: list[str] = []

        async def run(model: Any, name: str) -> None:
            mind = Contemplator(model, mode="instant", budget=budget, settings=ModelSettings(max_tokens=1000))
            await mind.run("Why?")
            over.append(name)

        async with anyio.create_task_group() as group:
            group.start_soon(run, first, "first")
            await first.started.wait()
            group.start_soon(run, ScriptedModel("two"), "second")
            await steps(50)
            assert over == []
            first.release.set()
        assert over[0] == "first"
        assert sorted(over) == ["first", "second"]

    async def test_a_wait_ends_with_the_runs_time(self) -> None:
        budget = Budget("us", tokens=1000)
        budget.account.reserve(0.0, "other", "call", budget.most, budget.most, 1.0)
        with pytest.raises(LimitExceeded, match=r"Limits\.seconds"):
            await Contemplator(ScriptedModel("x"), mode="instant", budget=budget, limits=Limits(seconds=0.05)).run("?")

    async def test_both_budgets_hold_and_one_that_is_the_same_counts_once(self) -> None:
        house, user = Budget("house", calls=10), Budget("user", calls=1)
        mind = Contemplator(ScriptedModel("x"), mode="instant", budget=house)
        await mind.run("Why?", budget=user)
        with pytest.raises(LimitExceeded, match="budget 'user'"):
            await mind.run("Why?", budget=user)
        await mind.run("Why?", budget=house)
        assert (house.left().calls, user.left().calls) == (8, 0)

    async def test_two_objects_are_one_budget_if_they_share_a_journal(self, tmp_path: Path) -> None:
        journal = f"sqlite:///{tmp_path / 'runs.db'}"
        for kept_in, left in ((journal, 9), (None, 9)):
            first, second = (Budget("house", calls=10, journal=kept_in) for _ in range(2))
            await Contemplator(ScriptedModel("x"), mode="instant", budget=first).run("Why?", budget=second)
            assert (first.left().calls, second.left().calls) == (left, left)
            assert (first.key == second.key) is (kept_in is not None)


@pytest.mark.anyio
class TestWhatIsSaid:
    async def test_an_empty_budget_refuses_a_run_before_anything(self) -> None:
        model = ScriptedModel("x")
        budget = Budget("alice", calls=1, per="day")
        budget._clock = lambda: NOON
        mind = Contemplator(model, mode="instant", budget=budget)
        await mind.run("Why?")
        heard: list[Event] = []
        with pytest.raises(LimitExceeded) as caught:
            await mind.run("Why?", on_event=heard.append)
        assert len(model.requests) == 1
        assert caught.value.limit == "budget:alice"
        assert str(caught.value) == (
            "budget 'alice' has no room for another call: 1 of 1 calls are spent this day (wait until "
            "2026-11-28 00:00:00 UTC, when the next one opens, or give it more: Budget('alice', calls=...))"
        )

    async def test_what_a_run_has_is_kept(self) -> None:
        budget = Budget("alice", calls=2)
        mind = Contemplator(ScriptedModel("Answer: 4"), planner=planners.sample(5), aggregator=aggregators.vote())
        result = await mind.run("2 + 2?", budget=budget)
        assert result.output == "Answer: 4"
        assert not result.complete
        assert result.stopped_by == "budget:alice"
        assert result.usage.calls == 2

    async def test_an_answer_that_it_cuts_off_says_so(self) -> None:
        budget = Budget("alice", tokens=150)
        heard: list[Event] = []
        mind = Contemplator(Slow(500, 0), mode="instant", budget=budget, on_event=heard.append)
        result = await mind.run("Why?")
        assert result.stopped_by == "budget:alice"
        assert not result.complete
        error = result.tasks[0].error
        assert error is not None
        assert "budget 'alice' leaves no room for more" in error.message

    async def test_it_names_who_shares_what_is_left(self) -> None:
        budget = Budget("alice", tokens=300)
        budget.account.join(0.0, "other", 1.0)
        with pytest.raises(LimitExceeded, match=r"0 of 300 tokens are spent in all, and 2 runs share what is left"):
            await Contemplator(ScriptedModel("x"), mode="instant", budget=budget).run("why? " * 300)

    async def test_a_price_must_be_known(self) -> None:
        mind = Contemplator(ScriptedModel("x", price=None), mode="instant", budget=Budget("alice", cost_usd=1))
        with pytest.raises(ConfigurationError, match=r"cost_usd of budget 'alice' is set, and the price of .* is not"):
            await mind.run("Why?")

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({}, "limits nothing"),
            ({"calls": 0}, "calls=0"),
            ({"cost_usd": math.nan}, "cost_usd=nan"),
            ({"calls": 1, "per": -1.0}, r"per=-1\.0"),
            ({"calls": 1, "per": "week"}, "choose from 'minute', 'hour', 'day'"),
            ({"calls": "1"}, "is a str"),
        ],
    )
    async def test_wrong_ones_are_named(self, arguments: dict[str, Any], said: str) -> None:
        with pytest.raises(ConfigurationError, match=said):
            Budget("alice", **arguments)
        with pytest.raises(ConfigurationError, match="characters that can be printed"):
            Budget("a\nb", calls=1)


@pytest.mark.anyio
class TestWindows:
    async def test_all_is_there_again_in_the_next_one(self) -> None:
        now = NOON
        budget = Budget("alice", calls=1, per="day")
        budget._clock = lambda: now
        mind = Contemplator(ScriptedModel("x"), mode="instant", budget=budget)
        await mind.run("Why?")
        assert budget.left().calls == 0
        assert budget.left().ends == datetime(2026, 11, 28, tzinfo=UTC)
        now += 11.9 * 3600
        with pytest.raises(LimitExceeded):
            await mind.run("Why?")
        now += 0.2 * 3600
        assert budget.left().calls == 1
        await mind.run("Why?")

    async def test_a_run_goes_on_with_the_new_one_and_a_call_belongs_to_the_one_it_began_in(self) -> None:
        now = NOON + 59
        budget = Budget("alice", calls=1, per="minute")
        budget._clock = lambda: now

        def reply(request: ModelRequest) -> str:
            nonlocal now
            now += 30
            return "Answer: 4"

        mind = Contemplator(
            ScriptedModel(reply),
            planner=planners.sample(3),
            aggregator=aggregators.vote(),
            limits=Limits(concurrency=1),
        )
        before = budget.window().opened
        result = await mind.run("2 + 2?", budget=budget)
        assert result.usage.calls >= 1
        assert budget.account.look(before, "", 1.0).spent.calls == 1

    async def test_they_are_aligned(self) -> None:
        for per, ends in (("minute", 60), ("hour", 3600), ("day", 43200), (7200.0, 7200)):
            budget = Budget("alice", calls=1, per=per)  # type: ignore[arg-type]
            budget._clock = lambda: NOON + 5
            assert budget.window().ends == NOON + ends
        assert Budget("alice", calls=1).left().ends is None


@pytest.mark.anyio
class TestRunsWithinRuns:
    async def test_an_inner_run_is_booked_once(self) -> None:
        budget = Budget("alice", tokens=100_000, calls=100)
        inner = Contemplator(ScriptedModel("Answer: 4"), mode="vote", budget=budget)
        outer = Contemplator(
            ScriptedModel("x"), planner=planners.sample(2), aggregator=aggregators.vote(), agent=inner, budget=budget
        )
        result = await outer.run("2 + 2?")
        assert result.usage.calls == 100 - (budget.left().calls or 0)
        assert result.usage.total_tokens == 100_000 - (budget.left().tokens or 0)

    async def test_an_inner_runs_own_budget_holds_too(self) -> None:
        house, own = Budget("house", calls=10), Budget("own", calls=1)
        inner = Contemplator(ScriptedModel("Answer: 4"), mode="instant", budget=own)
        outer = Contemplator(
            ScriptedModel("x"), planner=planners.sample(3), aggregator=aggregators.vote(), agent=inner, budget=house
        )
        result = await outer.run("2 + 2?")
        assert result.usage.calls == 1
        assert (house.left().calls, own.left().calls) == (9, 0)

    @pytest.mark.parametrize("blocks", [False, True])
    async def test_a_run_in_a_tool_draws_from_it(self, blocks: bool) -> None:
        budget = Budget("alice", tokens=100_000, calls=20)
        inner = Contemplator(ScriptedModel("four"), mode="instant", budget=budget)

        @tool
        async def ask(question: str) -> str:
            """Ask another."""
            if blocks:
                return inner.run_sync(question).text
            return (await inner.run(question)).text

        model = ScriptedModel(
            [Message.assistant("", (ToolCall(id="1", name="ask", arguments='{"question": "2 + 2?"}'),)), "It is four."]
        )
        result = await Contemplator(model, mode="instant", tools=[ask], budget=budget).run("2 + 2?")
        assert result.text == "It is four."
        assert (result.usage.calls, budget.left().calls) == (3, 17)
        assert result.usage.total_tokens == 100_000 - (budget.left().tokens or 0)


class Locked:
    """An account that others have locked `times` times, and that keeps how long it was waited for."""

    shared = True
    remote = False

    def __init__(self, times: int) -> None:
        self.times = times
        self.waits: list[float] = []

    def settle(self, settlements: object, patience: float) -> None:
        self.waits.append(patience)
        self.times -= 1
        if self.times >= 0:
            raise JournalBusy("locked")

    def leave(self, run: str, patience: float) -> None:
        self.waits.append(patience)


def locked(times: int) -> tuple[Draw, Locked]:
    draw, account = Draw(Budget("b", calls=9)), Locked(times)
    draw._account = account  # type: ignore[assignment]
    return draw, account


@pytest.mark.anyio
async def test_a_locked_account_is_not_waited_for_again_until_it_was_open() -> None:
    draw, account = locked(2)
    for number in range(4):
        draw.settle(DrawHeld(draw, str(number), 0.0), None)
    assert account.waits == [QUICK, 0.0, 0.0, QUICK]


@pytest.mark.anyio
async def test_what_a_cancelled_run_has_spent_is_booked_when_the_account_opens() -> None:
    draw, account = locked(1)
    draw._settlements.append(Settlement("a", 0.0, Amounts(1, 2, 0.5)))
    with anyio.CancelScope() as scope:
        scope.cancel()
        await draw.close(wait=True)
    assert account.waits == [QUICK, LAST_WAIT, LAST_WAIT]
    assert not draw._settlements


def test_a_budget_that_left_nothing_for_any_task_says_so() -> None:
    def seen(*kinds: str, tripped: str | None = "budget:b") -> Any:
        failed = [ErrorInfo(kind=kind, message=f"{kind} said so", hint="wait") for kind in kinds]
        results = [TaskResult(task=Task(id="a", prompt="?"), outcome="failed", error=each) for each in failed]
        return _used_up(SimpleNamespace(tripped=tripped, results=dict(enumerate(results))))  # type: ignore[arg-type]

    error = seen("ModelServerError", "LimitExceeded")
    assert (error.message, error.limit, error.hint) == ("LimitExceeded said so", "budget:b", "wait")
    assert seen("ModelServerError") is None
    assert seen("LimitExceeded", tripped="tokens") is None
