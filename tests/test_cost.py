"""USD: prices, limits on them, estimates, and runs within runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from contemplate import (
    Contemplator,
    Limits,
    ModelSettings,
    Price,
    Usage,
    aggregators,
    modes,
    planners,
    strategies,
    tool,
)
from contemplate.errors import AggregationError, ConfigurationError, ContemplateError
from contemplate.messages import Message, ToolCall
from contemplate.models import Fallback, LocalModel, Model, ModelRequest, ModelResponse, OpenAIModel, Retry, price_of
from contemplate.models.prices import listed_price
from contemplate.testing import ScriptedModel

from .still_clock import on_a_still_clock, outlast

pytestmark = pytest.mark.anyio

OPENAI = "https://api.openai.com/v1"
DEAR = Price(input=1000, output=10_000)


VERDICT = '{"reason": "so", "best": "1", "better": "1", "same": true, "support": [1], "solution": "x", "steps": []}'
STEPS = '{"steps": [{"step": "all", "why": "so", "fault": "none"}]}'


def in_form(request: ModelRequest) -> str:
    if request.output_schema is None:
        return f"Answer: {'abcdefgh'[(request.settings.seed or 0) % 8]}"
    return STEPS if "steps" in str(request.output_schema.schema) else VERDICT


OTHER_MODELS: dict[str, Callable[[Model], dict[str, Any]]] = {
    "strong": lambda other: {"planner": planners.rounds(2, 2, 2, strong=other), "aggregator": aggregators.first()},
    "samples": lambda other: {"planner": planners.sample(2, models=[other]), "aggregator": aggregators.synthesize()},
    "mixture": lambda other: {
        "planner": planners.mixture(planners.Member(), planners.Member(model=other)),
        "aggregator": aggregators.first(),
    },
    "verifier": lambda other: {"planner": planners.verified(other, lines=1), "aggregator": aggregators.first()},
    "judge": lambda other: {"planner": planners.sample(2), "aggregator": aggregators.judge(model=other)},
    "judge in a quorum": lambda other: {
        "planner": planners.sample(2),
        "aggregator": aggregators.quorum(aggregators.judge(model=other), enough=2),
    },
    "tournament": lambda other: {"planner": planners.sample(2), "aggregator": aggregators.tournament(model=other)},
    "vote": lambda other: {
        "planner": planners.sample(2),
        "aggregator": aggregators.vote(stop=None, by_meaning=True, model=other),
    },
    "synthesis": lambda other: {"planner": planners.sample(2), "aggregator": aggregators.synthesize(model=other)},
    "by kind": lambda other: {
        "planner": planners.sample(2),
        "aggregator": aggregators.by_kind(candidates=aggregators.synthesize(model=other), others=aggregators.first()),
    },
    "nested": lambda other: {"mode": "instant", "agent": Contemplator(other, mode="instant")},
    "judge within": lambda other: {
        "mode": "instant",
        "agent": Contemplator(
            ScriptedModel(in_form), planner=planners.sample(2), aggregator=aggregators.judge(model=other)
        ),
    },
    "council": lambda other: {"mode": modes.council(other, other)},
}


class TestPrices:
    def test_what_tokens_cost(self) -> None:
        price = Price(input=1.25, cached_input=0.125, output=10)
        usage = Usage(input_tokens=1000, cached_input_tokens=500, output_tokens=100)
        assert price.cost(usage) == pytest.approx(0.0016875)
        assert price.priced(usage.model_copy(update={"cost_usd": None})).cost_usd == pytest.approx(0.0016875)
        assert price.priced(usage.model_copy(update={"cost_usd": 7.0})).cost_usd == 7.0, "what the server says holds"
        assert Price(input=2, output=3).cost(Usage(input_tokens=10**6, cached_input_tokens=10**6)) == 2

    def test_a_listed_price(self) -> None:
        assert listed_price("gpt-5", OPENAI) == Price(input=1.25, cached_input=0.125, output=10)

    @pytest.mark.parametrize(("model", "url"), [("gpt-5", "http://127.0.0.1:8000/v1"), ("nothing-9", OPENAI)])
    def test_none_is_guessed(self, model: str, url: str) -> None:
        assert listed_price(model, url) is None

    def test_where_length_matters_it_is_the_dearest(self) -> None:
        price = listed_price("gemini-2.5-pro", "https://generativelanguage.googleapis.com/v1beta/openai")
        assert price is not None
        assert (price.input, price.output) == (2.5, 15.0)

    def test_wrappers_pass_it_on(self) -> None:
        model = OpenAIModel("gpt-5", api_key="k", base_url=OPENAI)
        assert price_of(Retry(model)) == price_of(model) == listed_price("gpt-5", OPENAI)
        spare = OpenAIModel("x", api_key="k", base_url="http://127.0.0.1:1/v1", price=Price(input=9, output=1))
        assert price_of(Fallback([model, spare])) == Price(input=9, output=10)
        unknown = OpenAIModel("x", api_key="k", base_url="http://127.0.0.1:1/v1")
        assert price_of(Fallback([model, unknown])) is None

    def test_local_models_are_free(self) -> None:
        assert price_of(LocalModel("qwen2.5-coder-0.5b")) == Price(input=0, output=0)


class TestLimits:
    @pytest.mark.parametrize("crowd", [8, 500])
    async def test_together_they_stay_within_it(self, crowd: int) -> None:
        out = most = 0.0
        most_at_once = 0

        async def script(request: ModelRequest) -> ModelResponse:
            nonlocal out, most, most_at_once
            allowed = request.settings.max_tokens
            assert allowed is not None, "each call is told how much it may write"
            prompt = sum(len(message.text) for message in request.messages) // 4
            worst = DEAR.cost(Usage(input_tokens=prompt, output_tokens=allowed))
            out += worst
            most_at_once = max(most_at_once, int(out * 100))
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
            spent = Usage(calls=1, input_tokens=prompt, output_tokens=allowed // 2, cost_usd=None)
            out += DEAR.cost(spent) - worst
            most = max(most, out)
            return ModelResponse(message=Message.assistant("7"), finish="stop", usage=spent, model="m")

        limit = 0.1 * crowd
        mind = Contemplator(
            ScriptedModel(script, price=DEAR),
            planner=planners.sample(crowd, settings=ModelSettings(max_tokens=30)),
            aggregator=aggregators.vote(key=str, stop=None),
            limits=Limits(cost_usd=limit),
        )
        result = await mind.run("x")
        assert result.usage.cost_usd == pytest.approx(out)
        assert most <= limit
        assert most_at_once <= limit * 100
        assert most > 0.5 * limit, "and it was not for nothing"
        assert result.stopped_by == "cost_usd"
        assert not result.complete

    async def test_the_aggregators_share_is_kept(self) -> None:
        said: list[str] = []

        def script(request: ModelRequest) -> str:
            said.append("merge" if "<<" in request.messages[-1].text else "part")
            return "words " * 5

        model = ScriptedModel(script, price=DEAR)
        mind = Contemplator(
            model,
            planner=planners.sample(20),
            settings=ModelSettings(max_tokens=200),
            aggregator=aggregators.synthesize(settings=ModelSettings(max_tokens=20)),
            limits=Limits(cost_usd=2),
        )
        result = await mind.run("x")
        assert said[-1] == "merge"
        assert result.stopped_by == "cost_usd"
        assert 0 < (result.usage.cost_usd or 0) <= 2

    async def test_a_price_that_is_not_known(self) -> None:
        model = OpenAIModel("m", api_key="k", base_url="http://127.0.0.1:1/v1")
        with pytest.raises(ConfigurationError, match=r"the price of openai:m is not known .*Price\("):
            await Contemplator(model, mode="instant", limits=Limits(cost_usd=1)).run("x")

    async def test_nor_is_another_roles(self) -> None:
        unknown = OpenAIModel("judge", api_key="k", base_url="http://127.0.0.1:1/v1")
        mind = Contemplator(
            ScriptedModel("a"),
            planner=planners.sample(2),
            aggregator=aggregators.synthesize(model=unknown),
            limits=Limits(cost_usd=1),
        )
        with pytest.raises(ContemplateError, match="the price of openai:judge is not known") as caught:
            await mind.run("x")
        assert caught.value.partial is not None
        assert len(caught.value.partial.tasks) == 2, "what was paid for is kept"

    @on_a_still_clock
    async def test_what_is_cut_off_is_priced_too(self) -> None:
        async def script(request: ModelRequest) -> str:
            await outlast()
            return ""

        mind = Contemplator(ScriptedModel(script, price=DEAR), mode="instant", limits=Limits(cost_usd=100, seconds=5))
        with pytest.raises(ContemplateError) as caught:
            await mind.run("x")
        assert caught.value.partial is not None
        assert (caught.value.partial.usage.cost_usd or 0) > 0


def calling(name: str) -> Callable[[ModelRequest], Message | str]:
    """A model that calls a tool once, and then says what it returned."""

    def script(request: ModelRequest) -> Message | str:
        if request.tools and request.messages[-1].role != "tool":
            return Message.assistant("", (ToolCall(id="1", name=name, arguments="{}"),))
        return request.messages[-1].text

    return script


class TestRunsWithinRuns:
    def outer(self, inner: Callable[[], Awaitable[str]], limits: Limits) -> Contemplator[str]:
        @tool
        async def ask() -> str:
            """Ask somebody else."""
            return await inner()

        return Contemplator(ScriptedModel(calling("ask")), mode="instant", tools=[ask], limits=limits)

    async def test_they_spend_what_the_outer_one_has_left(self) -> None:
        model = ScriptedModel("7")
        mind = Contemplator(model, planner=planners.sample(10), aggregator=aggregators.vote(key=str, stop=None))
        inner: list[int] = []

        async def run() -> str:
            result = await mind.run("x")
            inner.append(result.usage.calls)
            assert result.stopped_by == "calls"
            return result.output

        with pytest.raises(ContemplateError, match="calls = 6"):
            await self.outer(run, Limits(calls=6)).run("q")
        assert inner == [5]
        assert len(model.requests) == 5

    async def test_and_it_is_booked_there(self) -> None:
        mind = Contemplator(ScriptedModel("7"), mode="instant")

        async def run() -> str:
            return (await mind.run("x")).output

        alone = await self.outer(run, Limits()).run("q")
        assert alone.usage.calls == 3
        assert alone.output == "7"

    async def test_a_limit_of_its_own_holds_as_well(self) -> None:
        model = ScriptedModel("7")
        mind = Contemplator(
            model, planner=planners.sample(10), aggregator=aggregators.vote(key=str), limits=Limits(calls=2)
        )

        async def run() -> str:
            return (await mind.run("x")).output

        assert (await self.outer(run, Limits(calls=50)).run("q")).output == "7"
        assert len(model.requests) == 2

    @on_a_still_clock
    async def test_it_concludes_before_the_outer_deadline(self) -> None:
        async def script(request: ModelRequest) -> str:
            if len(model.requests) > 1:
                await outlast()
            return "early"

        model = ScriptedModel(script)
        mind = Contemplator(model, planner=planners.sample(3), aggregator=aggregators.vote(key=str, stop=None))
        said: list[str] = []

        async def run() -> str:
            result = await mind.run("x")
            said.append(f"{result.output} {result.stopped_by}")
            return result.output

        assert (await self.outer(run, Limits(seconds=50)).run("q")).output == "early"
        assert said == ["early seconds"]

    async def test_a_run_that_calls_itself(self) -> None:
        minds: list[Contemplator[str]] = []

        @tool
        async def again() -> str:
            """Ask oneself."""
            return (await minds[0].run("x")).output

        minds.append(Contemplator(ScriptedModel(calling("again")), mode="instant", tools=[again]))
        assert "nested more than 16 deep" in (await minds[0].run("x")).output

    async def test_side_by_side_they_are_strangers(self) -> None:
        mind = Contemplator(ScriptedModel("7"), mode="instant", limits=Limits(calls=1))
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(mind.run, "x")


class TestEstimates:
    @pytest.mark.parametrize("crowd", [1, 5])
    async def test_a_run_is_within_it(self, crowd: int) -> None:
        mind = Contemplator(
            ScriptedModel("Answer: " + "x " * 60, price=DEAR),
            planner=planners.sample(crowd),
            aggregator=aggregators.synthesize(),
        )
        estimate = mind.estimate("Why?")
        result = await mind.run("Why?")
        for found, spent in (
            (estimate.calls, result.usage.calls),
            (estimate.input_tokens, result.usage.input_tokens),
            (estimate.output_tokens, result.usage.output_tokens),
            (estimate.cost_usd, result.usage.cost_usd),
        ):
            assert found is not None
            assert spent is not None
            assert found.high is not None
            assert found.low <= spent <= found.high

    @pytest.mark.parametrize("kind", OTHER_MODELS)
    async def test_each_call_has_the_price_of_its_model(self, kind: str) -> None:
        other = ScriptedModel(in_form, name="other", price=DEAR)
        ours = ScriptedModel(in_form, price=Price(input=1, output=10))
        mind = Contemplator(ours, **OTHER_MODELS[kind](other))
        result = await mind.run("Why?")
        cost, spent = mind.estimate("Why?").cost_usd, result.usage.cost_usd
        assert other.requests
        assert cost is not None
        assert spent is not None
        assert cost.low <= spent <= (float("inf") if cost.high is None else cost.high)

    @pytest.mark.parametrize("kind", OTHER_MODELS)
    def test_with_a_model_of_unknown_price_it_is_told_which(self, kind: str) -> None:
        other = ScriptedModel("x", name="other", price=None)
        estimate = Contemplator(ScriptedModel("x", price=DEAR), **OTHER_MODELS[kind](other)).estimate("Why?")
        assert (estimate.cost_usd, estimate.notes) == (None, ("the price of other is not known",))

    def test_models_that_are_not_called_have_no_price(self) -> None:
        known = ScriptedModel("x", price=DEAR)
        vote = planners.sample(2, models=[known])
        mind = Contemplator(ScriptedModel("x", price=None), planner=vote, aggregator=aggregators.vote())
        estimate = mind.estimate("Why?")
        assert estimate.cost_usd is not None
        assert estimate.notes == ()

    def test_a_planner_that_does_not_say(self) -> None:
        mind = Contemplator(ScriptedModel("a"), planner=planners.sample(3).plan)  # type: ignore[attr-defined]
        assert mind.estimate("x").calls.high is None
        assert mind.estimate("x", limits=Limits(calls=9)).calls.high == 9

    def test_modes(self) -> None:
        model = ScriptedModel("a")
        assert Contemplator(model, mode="instant").estimate("x").calls.model_dump() == {"low": 1, "high": 1}
        calls = Contemplator(model, mode="contemplating").estimate("x").calls
        assert calls.low == 1 + 2 + 1
        assert calls.high == 2 + 6 + 1

    @pytest.mark.parametrize("said", ["4", "incomprehensibilities"])
    @pytest.mark.parametrize("question", ["Why?", "internationalization " * 200])
    async def test_a_run_that_stops_early_is_within_it(self, said: str, question: str) -> None:
        script = lambda _: Message.assistant(f"Answer: {said}")  # noqa: E731
        mind = Contemplator(ScriptedModel(script), planner=planners.sample(9), aggregator=aggregators.vote())
        estimate = mind.estimate(question)
        spent = (await mind.run(question)).usage
        # A word is a token for a provider that counts the fewest.
        assert estimate.calls.low <= spent.calls
        assert estimate.output_tokens.low <= spent.calls
        assert estimate.input_tokens.low <= spent.calls * max(50, len(question) // 9)

    @pytest.mark.parametrize(
        ("planner", "calls", "likely"),
        [
            (planners.router(planners.model(4), probe=3, samples=9), (1, 12), (3, 10)),
            (planners.as_needed(planners.model(4), strategies=["a", "b"]), (1, 18), (1, 4)),
            (planners.as_needed(planners.model(4), strategies=["a"], depth=0), (1, 3), (1, 3)),
            (planners.orchestrate(8, max_turns=10), (2, 19), (3, 12)),
            (planners.sample(2, strategies=[strategies.code]), (3, 7), (3, 3)),
        ],
    )
    def test_planners_that_find_out_as_they_go(
        self, planner: Any, calls: tuple[int, int], likely: tuple[int, int]
    ) -> None:
        mind = Contemplator(ScriptedModel("a"), planner=planner, aggregator=aggregators.synthesize())
        found = mind.estimate("x")
        assert [found.calls.low, found.calls.high] == list(calls)
        assert [found.likely_calls.low, found.likely_calls.high] == list(likely)

    def test_no_price_no_cost(self) -> None:
        model = OpenAIModel("m", api_key="k", base_url="http://127.0.0.1:1/v1")
        assert Contemplator(model).estimate("x").cost_usd is None

    def test_an_empty_question(self) -> None:
        with pytest.raises(ConfigurationError, match="empty"):
            Contemplator(ScriptedModel("a")).estimate(" ")


async def test_nothing_answered_is_an_error_of_the_limit() -> None:
    mind = Contemplator(ScriptedModel("a", price=DEAR), mode="instant", limits=Limits(cost_usd=0.0001))
    with pytest.raises((AggregationError, ContemplateError), match="cost_usd"):
        await mind.run("x")


async def test_what_was_written_down_keeps_its_price() -> None:
    def script(request: ModelRequest) -> ModelResponse:
        usage = Usage(calls=1, input_tokens=10, output_tokens=10, cost_usd=None)
        return ModelResponse(message=Message.assistant("7"), finish="stop", usage=usage, model="m")

    mind = Contemplator(ScriptedModel(script, price=DEAR), mode="instant", journal="memory:")
    first = await mind.run("x", run_id="r")
    assert first.usage.cost_usd == pytest.approx(0.11)
    assert (await mind.replay("r")).usage == first.usage
