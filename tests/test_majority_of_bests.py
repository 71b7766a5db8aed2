"""Majority of the bests: its chances, and what it makes of scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import product
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from contemplate import Contemplator, Limits, RunResult, TaskResult, aggregators, answers, planners
from contemplate.aggregators.majority_of_bests import chances
from contemplate.errors import AggregationError, ConfigurationError
from contemplate.events import Event, VoteCounted
from contemplate.testing import ScriptedModel

from .patience import PATIENCE
from .still_clock import on_a_still_clock, outlast

pytestmark = pytest.mark.anyio


@given(st.lists(st.integers(0, 3), min_size=1, max_size=4), st.integers(1, 4))
def test_the_chances_are_those_of_all_subsets(scores: list[int], subset: int) -> None:
    """Of all that can be drawn, those of which each is the best; who ties shares."""
    expected = [Fraction(0)] * len(scores)
    for drawn in product(range(len(scores)), repeat=subset):
        most = max(scores[each] for each in drawn)
        best = [each for each in range(len(scores)) if scores[each] == most]
        for each in best:
            expected[each] += Fraction(1, len(best) * len(scores) ** subset)
    assert chances(scores, subset) == expected


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=40), st.integers(1, 40))
def test_the_chances_are_one_together_and_rise_with_the_score(scores: list[float], subset: int) -> None:
    found = chances(scores, subset)
    assert sum(found) == 1
    assert all(
        (found[i] < found[j]) == (scores[i] < scores[j]) for i, j in product(range(len(scores)), repeat=2) if subset > 1
    )
    assert subset > 1 or set(found) == {Fraction(1, len(scores))}


def score(result: TaskResult) -> float | None:
    """ "Answer: right 0.5" has 0.5 for its score."""
    said = result.text.split()[-1]
    return None if said == "none" else float(said)


def key(text: str) -> str:
    return text.split()[1]


def by_sample(replies: Sequence[str | Exception]) -> ScriptedModel:
    return ScriptedModel(lambda request: replies[request.settings.seed or 0])


async def run(*replies: str | Exception, limits: Limits | None = None, **how: Any) -> RunResult[str]:
    given_ones = {"score": score, "key": key, **how}
    aggregator = aggregators.majority_of_bests(given_ones.pop("score"), **given_ones)
    mind = Contemplator(by_sample(replies), planner=planners.sample(len(replies)), aggregator=aggregator, limits=limits)
    with anyio.fail_after(PATIENCE):
        return await mind.run("q")


DECEIVED = [
    *("Answer: wrong 9", "Answer: right 7", "Answer: right 8", "Answer: right 6"),
    *("Answer: odd 1", "Answer: odd 2", "Answer: odd 3", "Answer: odd 4", "Answer: odd 5"),
]


@pytest.mark.parametrize(("subset", "answer"), [(None, "right 8"), (1, "odd 5"), (100, "wrong 9")])
async def test_one_that_deceives_the_score_does_not_win(subset: int | None, answer: str) -> None:
    """Subsets of one are a vote, very large ones best of n."""
    result = await run(*DECEIVED, subset=subset)
    assert result.output == f"Answer: {answer}"
    assert (result.complete, result.usage.calls) == (True, 9)


async def test_what_a_result_says() -> None:
    result = await run(*DECEIVED)
    assert result.support == ("sample-3", "sample-2", "sample-4")
    assert result.answer == "right 8"
    assert result.votes == {"right": 3, "wrong": 1, "odd": 5}
    assert [(each.answer, len(each.tasks)) for each in result.dissent] == [("wrong", 1), ("odd", 5)]


async def test_equal_scores_are_a_vote_and_ties_go_to_the_first_launched() -> None:
    assert (await run("Answer: a 1", "Answer: b 1", "Answer: b 1")).output == "Answer: b 1"
    assert (await run("Answer: b 1", "Answer: a 1", "Answer: a 1", "Answer: b 1")).output == "Answer: b 1"


@pytest.mark.parametrize("kind", [int, Fraction, Decimal, lambda place: 10**400 + place])
async def test_any_number_is_a_score(kind: Callable[[int], Any]) -> None:
    places = iter(range(3))
    result = await run("Answer: a", "Answer: b", "Answer: c", score=lambda _: kind(next(places)), subset=3, key=None)
    assert result.complete


async def test_without_a_score_or_a_key_an_answer_abstains() -> None:
    result = await run("Answer: a none", "Answer: a none", "Answer: b 0")
    assert (result.output, result.votes, result.complete) == ("Answer: b 0", {"b": 1}, True)
    result = await run("Answer: 1 5", "Answer: 2 6", key=lambda text: None if "1" in text else "2")
    assert result.support == ("sample-2",)
    with pytest.raises(AggregationError, match="no answer has both a key and a score"):
        await run("Answer: a none", "Answer: b none")


async def test_failures_leave_it_incomplete() -> None:
    result = await run("Answer: a 1", RuntimeError("down"))
    assert (result.output, result.complete) == ("Answer: a 1", False)
    with pytest.raises(AggregationError, match="none of the 2 tasks was answered"):
        await run(RuntimeError("down"), RuntimeError("down"))


async def test_scores_may_be_infinite() -> None:
    assert (await run("Answer: a -inf", "Answer: b inf", subset=2)).output == "Answer: b inf"


async def no_number(result: TaskResult) -> Any:
    return "high"


def fails(result: TaskResult) -> float:
    raise KeyError("x")


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (fails, "the score function raised KeyError on the answer of task 'sample-1'"),
        (no_number, "the score function returned 'high' for the answer of task 'sample-1'"),
        (lambda result: math.nan, "the score function returned nan for the answer of task 'sample-1'"),
    ],
)
async def test_a_score_function_that_is_wrong_is_named(function: Any, said: str) -> None:
    with pytest.raises(AggregationError, match=said):
        await run("Answer: a 1", score=function)


async def test_what_was_scored_before_it_went_wrong_is_the_answer() -> None:
    calls = 0

    async def once(result: TaskResult) -> float:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise KeyError("x")
        return 1

    result = await run("Answer: a 1", "Answer: a 1", score=once)
    assert (result.output, result.complete) == ("Answer: a 1", False)
    assert any("KeyError" in note for note in result.notes)


async def test_answers_are_scored_at_the_same_time() -> None:
    begun = 0
    all_begun = anyio.Event()

    async def together(result: TaskResult) -> float:
        nonlocal begun
        begun += 1
        if begun == 3:
            all_begun.set()
        await all_begun.wait()
        return 1

    assert (await run(*["Answer: a 1"] * 3, score=together)).complete


@on_a_still_clock
async def test_at_the_deadline_what_is_scored_counts() -> None:
    async def slow(result: TaskResult) -> float:
        if result.id == "sample-2":
            await outlast()
        return 1

    result = await run("Answer: a 1", "Answer: b 2", score=slow, limits=Limits(seconds=40))
    assert (result.output, result.complete, result.stopped_by) == ("Answer: a 1", False, "seconds")


class Claim(BaseModel):
    holds: bool
    confidence: float


async def test_typed_answers_scored_by_their_own_confidence() -> None:
    said = [
        '{"holds": true, "confidence": 0.2}',
        '{"holds": false, "confidence": 0.9}',
        '{"holds": true, "confidence": 0.3}',
    ]
    mind = Contemplator(
        by_sample(said),
        planner=planners.sample(3),
        aggregator=aggregators.majority_of_bests(aggregators.by_confidence(), subset=3, key=answers.field("holds")),
        output_type=Claim,
    )
    result = await mind.run("q")
    assert result.output == Claim(holds=False, confidence=0.9)


async def test_weights_of_0_abstain() -> None:
    weights = aggregators.by_accuracy({"other": 0.9})
    with pytest.raises(AggregationError, match="no answer has both"):
        await run("Answer: a 1", score=weights)


async def test_who_listens_is_told_of_the_votes() -> None:
    events: list[Event] = []
    mind = Contemplator(
        by_sample(DECEIVED),
        planner=planners.sample(9),
        aggregator=aggregators.majority_of_bests(score, key=key),
        on_event=events.append,
    )
    await mind.run("q")
    (counted,) = (each for each in events if isinstance(each, VoteCounted))
    assert (counted.votes, counted.decided) == ({"right": 3, "wrong": 1, "odd": 5}, True)


@pytest.mark.parametrize(("make", "named"), [(lambda: aggregators.majority_of_bests(score, subset=0), "subset=0")])
def test_what_it_refuses(make: Callable[[], object], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        make()


def test_it_makes_no_calls() -> None:
    aggregator = aggregators.majority_of_bests(score)
    assert aggregator.model_calls == 0
    mind = Contemplator(ScriptedModel([]), planner=planners.sample(5), aggregator=aggregator)
    assert mind.estimate("q").calls.high == 5
