"""Estimates: whatever plans and whatever concludes, a run makes as many calls as were expected."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contemplate import Contemplator, Message, aggregators, planners
from contemplate.agents.verifiers import REPAIRS, Verifier
from contemplate.aggregators.judge import MAX_REPAIRS
from contemplate.data import to_json_text
from contemplate.messages import ToolCall
from contemplate.models import ModelRequest
from contemplate.run.protocols import Aggregator, Planner, more_tasks, most_model_calls, subagent_settings
from contemplate.testing import ScriptedModel

PLANNERS: dict[str, Planner] = {
    "direct": planners.direct(),
    "sample": planners.sample(4),
    "waves": planners.sample(6, wave=2),
    "rounds": planners.rounds(3, 2, 2),
    "mixture": planners.mixture(),
    "model": planners.model(4),
    "as needed": planners.as_needed(planners.model(3)),
    "router": planners.router(planners.model(3, min_tasks=1), samples=5),
    "orchestrate": planners.orchestrate(4, max_turns=4),
    "verified": planners.verified(rejections=2),
}
TOURNAMENT = aggregators.tournament()
ASKING = aggregators.synthesize(ask_again=2)
AGGREGATORS: dict[str, Aggregator] = {
    "first": aggregators.first(),
    "vote": aggregators.vote(),
    "vote by meaning": aggregators.vote(by_meaning=True),
    "majority of bests": aggregators.majority_of_bests(lambda result: 1.0),
    "judge": aggregators.judge(),
    "judge, or tournament": aggregators.judge(both_orders=True, or_else=TOURNAMENT),
    "judge, or one that asks": aggregators.judge(or_else=ASKING),
    "tournament": TOURNAMENT,
    "knockout": aggregators.tournament(system="knockout"),
    "synthesize": aggregators.synthesize(),
    "synthesize, asking": ASKING,
    "agentic": aggregators.agentic(max_turns=3),
    "agentic, or judge": aggregators.agentic(max_turns=3, or_else=aggregators.judge(or_else=TOURNAMENT)),
    "by kind": aggregators.by_kind(candidates=TOURNAMENT, others=aggregators.agentic(max_turns=2)),
}


class Mind:
    """A model that answers what it is asked for at random, and where it is to choose, sometimes without a form.

    A judge of two, whose repairs no estimate counts, keeps to its form; a plan has the two tasks that it is asked for.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._misses = self._random.random() < 0.5
        self._words = self._random.randint(1, 4)

    def __call__(self, request: ModelRequest) -> Message | str:
        """Answer."""
        if request.output_schema is not None:
            return self._in_form(request.output_schema.schema)
        names = [each.name for each in request.tools]
        if "spawn" in names and self._random.random() < 0.7:
            arguments = to_json_text({"title": "a", "prompt": f"part {self._random.randint(1, 9)}"})
            return Message.assistant("", (ToolCall(id=str(self._random.random()), name="spawn", arguments=arguments),))
        if "ASK" in request.messages[-1].text and self._random.random() < 0.5:
            return "ASK 1: is that so?\nASK 1: and why?\nASK 2: since when?"
        return f"Answer: {self._random.randint(1, self._words)}"

    def _in_form(self, schema: dict[str, Any]) -> str:
        wanted = schema.get("properties", {})
        if self._misses and wanted.keys() & {"best", "support"}:
            return "I like them all"
        said: dict[str, object] = {
            "best": "1",
            "support": [1],
            "solution": "7",
            "reason": "so",
            "same": self._random.random() < 0.3,
            "better": self._random.choice(["1", "2", "equal"]),
            "faults": [{"what": "wrong", "critical": True}] if self._random.random() < 0.5 else [],
            "tasks": [{"id": str(n), "title": "a", "prompt": f"part {n}"} for n in range(self._random.randint(2, 3))],
        }
        return to_json_text({name: value for name, value in said.items() if name in wanted})


@pytest.mark.parametrize("planner", PLANNERS)
@settings(max_examples=15)
@given(aggregator=st.sampled_from(sorted(AGGREGATORS)), seed=st.integers(0, 2**16))
def test_a_run_makes_as_many_calls_as_were_expected(planner: str, aggregator: str, seed: int) -> None:
    model = ScriptedModel(Mind(seed))
    mind = Contemplator(model, planner=PLANNERS[planner], aggregator=AGGREGATORS[aggregator])
    calls = mind.estimate("Is it so?").calls
    made = mind.run_sync("Is it so?").usage.calls
    assert calls.high is not None
    assert calls.low <= made <= calls.high


@pytest.mark.parametrize(
    ("aggregator", "likely", "most"),
    [
        (aggregators.judge(), 1, 2),
        (aggregators.judge(both_orders=True), 2, 4),
        (aggregators.judge(or_else="synthesize"), 1, 2 + 1),
        (aggregators.judge(or_else=TOURNAMENT), 1, 2 + 12),
        (aggregators.agentic(max_turns=5), 5, 5 + 2 + 1),
        (aggregators.agentic(max_turns=5, or_else=TOURNAMENT), 5, 5 + 2 + 12),
        (aggregators.vote(by_meaning=True), 6, 6),
        (aggregators.quorum(aggregators.judge(or_else=TOURNAMENT), enough=4), 1, 2 + 12),
        (aggregators.by_kind(candidates=aggregators.judge(or_else=TOURNAMENT), others=aggregators.first()), 1, 2 + 12),
        (ASKING, 4, 4),
    ],
)
def test_what_a_fallback_may_cost_is_in_the_high_end_only(aggregator: Aggregator, likely: int, most: int) -> None:
    found = Contemplator(ScriptedModel([]), planner=planners.sample(4), aggregator=aggregator).estimate("q?")
    assert (found.likely_calls.high, found.calls.high) == (4 + likely, 4 + most)
    assert found.calls.low <= 5


@pytest.mark.parametrize(
    ("planner", "least", "most"),
    [
        (planners.sample(4), 4 + 1, 4 + 1),
        (planners.rounds(3, 2, 2), 6 + 1, 6 + 1),
        (planners.mixture(rounds=2), 3 + 1, 6 + 1),
    ],
)
def test_what_a_planner_of_known_size_costs_is_exact(planner: Planner, least: int, most: int) -> None:
    found = Contemplator(ScriptedModel([]), planner=planner, aggregator=aggregators.synthesize()).estimate("q?")
    assert (found.calls.low, found.calls.high) == (least, most)


def test_a_router_counts_that_the_verdicts_of_a_model_are_repaired() -> None:
    def most(check: Verifier) -> float | None:
        planner = planners.router(planners.direct(), samples=6, check=check)
        return (
            Contemplator(ScriptedModel([]), planner=planner, aggregator=aggregators.first()).estimate("q?").calls.high
        )

    # Two lines of three solutions: each is checked once by a function, or twice by a model, which may be asked again.
    assert most(lambda result: True) == 2 * 3 * (1 + 1)
    assert most(ScriptedModel([])) == 2 * 3 * (1 + 2) * (1 + REPAIRS)


def test_a_fallback_that_does_not_say_what_it_costs_makes_the_estimate_open() -> None:
    own = aggregators.judge(or_else=aggregators.synthesize(context=8000))
    for aggregator in (own, aggregators.by_kind(candidates=own, others=aggregators.first())):
        found = Contemplator(ScriptedModel([]), planner=planners.sample(4), aggregator=aggregator).estimate("q?")
        assert (found.likely_calls.high, found.calls.high) == (5, None)


def test_what_a_fallback_needs_is_known_as_well() -> None:
    sure = aggregators.vote(weights=aggregators.by_logprobs(top=7))
    needed = subagent_settings(aggregators.judge(or_else=sure))
    assert needed is not None
    assert needed.logprobs == 7
    assert more_tasks(aggregators.agentic(or_else=ASKING)) == 2


def test_one_answer_is_not_judged() -> None:
    assert most_model_calls(aggregators.judge(or_else=TOURNAMENT), 1) == 0
    assert MAX_REPAIRS == 1
