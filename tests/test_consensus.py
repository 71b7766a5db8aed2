"""The consensus of a vote: its share, its order, its warm-up, and what a vote makes of it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction

import anyio
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchmarks.consensus_votes import measure
from benchmarks.recordings import Question, Sample
from contemplate import Contemplator, RunResult, Task, TaskContext, TaskResult, aggregators, planners
from contemplate.aggregators.consensus import Consensus
from contemplate.errors import ConfigurationError
from contemplate.run.protocols import Answer
from contemplate.testing import ScriptedModel

from .patience import PATIENCE

pytestmark = pytest.mark.anyio

VOTES = st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from([0.0, 0.25, 1.0, 7.5])), max_size=30)


def after(votes: Sequence[tuple[str | None, float]], threshold: float = 0.95, warmup: int = 2) -> Consensus:
    consensus = Consensus(threshold, warmup)
    for call, (key, weight) in enumerate(votes):
        consensus.cast(call, key, weight)
    return consensus


@given(VOTES, st.sampled_from([0.6, 0.75, 0.95, 1.0]), st.integers(2, 20))
@example([("a", 0.0), ("a", 0.0)], 0.95, 2)
def test_it_is_the_share_of_the_weight_once_the_warm_up_is_over(
    votes: list[tuple[str | None, float]], threshold: float, warmup: int
) -> None:
    weights = {each: sum(Fraction(weight) for key, weight in votes if key == each) for each in "ab"}
    total = sum(weights.values())
    expected = next((each for each in "ab" if total and weights[each] >= Fraction(str(threshold)) * total), None)
    assert after(votes, threshold, warmup).reached == (expected if len(votes) >= warmup else None)


@given(VOTES, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(votes: list[tuple[str | None, float]], rng: random.Random) -> None:
    """And a vote before which one is missing does not count yet."""
    calls = list(enumerate(votes))
    rng.shuffle(calls)
    consensus, seen = Consensus(0.75, 2), set[int]()
    for call, (key, weight) in calls:
        consensus.cast(call, key, weight)
        seen.add(call)
        whole = next(place for place in range(len(votes) + 1) if place not in seen)
        assert consensus.reached == after(votes[:whole], 0.75).reached


def test_the_threshold_is_taken_as_it_is_written() -> None:
    assert after([("a", 1)] * 19 + [("b", 1)], 0.95).reached == "a"
    assert after([("a", 1)] * 18 + [("b", 1)], 0.95).reached is None


async def vote(answers: str, wave: int | None = 1, **how: object) -> RunResult[str]:
    """Sample i answers letter i."""
    model = ScriptedModel(lambda request: f"Answer: {answers[request.settings.seed or 0]}")
    aggregator = aggregators.vote(stop="consensus", **how)  # type: ignore[arg-type]
    mind = Contemplator(model, planner=planners.sample(len(answers), wave=wave), aggregator=aggregator)
    with anyio.fail_after(PATIENCE):
        return await mind.run("q")


def answered(result: RunResult[str]) -> int:
    return sum(task.outcome == "answered" for task in result.tasks)


async def test_a_vote_ends_with_a_consensus_after_the_warm_up() -> None:
    result = await vote("a" * 40)
    assert (result.text, result.complete, answered(result)) == ("Answer: a", True, 16)
    assert answered(await vote("a" * 40, after=5)) == 5
    assert answered(await vote("a" * 40, after=5, quorum=9)) == 9


async def test_the_share_counts_and_not_the_lead() -> None:
    assert answered(await vote("b" + "a" * 39, after=2)) == 20
    assert answered(await vote("b" + "a" * 39, after=2, consensus=0.75)) == 4


async def test_a_vote_that_is_decided_needs_no_consensus() -> None:
    result = await vote("aaaaa", wave=3)
    assert (result.text, result.complete, answered(result)) == ("Answer: a", True, 3)


class _ByLetter:
    """Weighs the answer "a" twenty times as much."""

    def weigh(self, answer: object, result: TaskResult) -> float:
        return 20.0 if "a" in str(answer).removeprefix("Answer") else 1.0

    def heaviest(self, model: str | None) -> float:
        return 20.0


async def test_votes_weigh_what_they_weigh() -> None:
    result = await vote("ba" + "b" * 38, after=2, weights=_ByLetter())
    assert (result.text, answered(result)) == ("Answer: a", 2)


async def test_what_was_launched_before_is_waited_for_and_what_came_after_is_cancelled() -> None:
    """By arrival, three of three agree; the first call is late, and says otherwise."""
    others, out = anyio.Event(), 3

    async def answer(task: Task, ctx: TaskContext) -> Answer:
        nonlocal out
        if task.id in ("sample-5", "sample-6", "sample-7"):
            await anyio.sleep_forever()
        if task.id == "sample-1":
            await others.wait()
            return Answer("Answer: b")
        out -= 1
        if not out:
            others.set()
        return Answer("Answer: a")

    aggregator = aggregators.vote(stop="consensus", after=3, consensus=0.75)
    mind = Contemplator(ScriptedModel([]), planner=planners.sample(7), agent=answer, aggregator=aggregator)
    with anyio.fail_after(PATIENCE):
        result = await mind.run("q")
    assert (result.output, result.complete, dict(result.votes)) == ("Answer: a", True, {"a": 3, "b": 1})
    assert [each.outcome for each in result.tasks] == ["answered"] * 4 + ["cancelled"] * 3


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"consensus": 0.5}, r"vote\(consensus=0.5\): consensus must be above 0.5 and at most 1"),
        ({"consensus": 1.2}, "consensus must be above 0.5"),
        ({"after": 1}, "after must be at least 2"),
        ({"consensus": 0.9, "stop": "exact"}, r'vote\(consensus=...\) is for stop="consensus"'),
        ({"after": 9, "stop": "beta"}, r'vote\(after=...\) is for stop="consensus"'),
    ],
)
def test_numbers_that_make_no_sense(how: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        aggregators.vote(**({"stop": "consensus"} | how))  # type: ignore[arg-type]


def test_recorded_votes_are_counted_with_their_confidences() -> None:
    """Seven votes of ten that weigh more are a consensus; those that were cut off do not count."""
    sure = [Sample(answer="a", correct=True, conf_min=19.0, group="completed")] * 7
    unsure = [Sample(answer="b", correct=False, conf_min=1.0, group="completed")] * 3
    cut = [Sample(answer="c", correct=False, conf_min=50.0, group="truncated")] * 20
    question = Question(id="1", question="?", gold="a", samples=(*sure, *unsure, *cut))
    found, full = measure([question], 20, 0.6, after=2)
    assert (found.votes, full) == (20, 1.0)
    assert found.right == 20 - found.other
    assert found.early == 20
    assert found.calls < 20 * 20
