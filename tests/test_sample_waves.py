"""Samples in waves: the answer of the full vote, and no sample that could not matter."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contemplate import Contemplator, Limits, aggregators, planners, strategies
from contemplate.aggregators.early_stopping import Ballot
from contemplate.errors import ConfigurationError
from contemplate.models import ModelRequest
from contemplate.result import RunResult
from contemplate.testing import ScriptedModel

from .patience import PATIENCE

pytestmark = pytest.mark.anyio


def mind(answers: str, wave: int | None, **vote: object) -> tuple[Contemplator, ScriptedModel]:
    """Sample i answers the letter i."""

    def script(request: ModelRequest) -> str:
        assert request.settings.seed is not None
        return f"Answer: {answers[request.settings.seed]}"

    model = ScriptedModel(script)
    planner = planners.sample(len(answers), wave=wave)
    aggregator = aggregators.vote(**vote)  # type: ignore[arg-type]
    return Contemplator(model, planner=planner, aggregator=aggregator), model


async def run(answers: str, wave: int | None, **vote: object) -> tuple[RunResult[str], int]:
    contemplator, model = mind(answers, wave, **vote)
    with anyio.fail_after(PATIENCE):
        result = await contemplator.run("q")
    return result, len(model.requests)


@pytest.mark.parametrize(
    ("answers", "wave", "calls"),
    [("aaaaaaaa", 4, 4), ("aaaaaaaaa", 4, 8), ("abababab", 1, 7), ("abababab", 2, 8), ("aaa", 2, 2), ("abc", 5, 3)],
)
async def test_the_next_wave_comes_only_while_the_vote_is_open(answers: str, wave: int, calls: int) -> None:
    result, asked = await run(answers, wave)
    assert result.text == "Answer: a"
    assert calls - wave < asked <= calls
    assert result.complete
    assert result.missing == ()


@given(st.text("abc", min_size=1, max_size=9), st.integers(1, 9))
def test_waves_change_nothing_but_the_cost(answers: str, wave: int) -> None:
    async def both() -> None:
        full, _ = await run(answers, None, stop=None)
        waved, asked = await run(answers, wave)
        assert waved.text == full.text
        assert asked <= _least(answers, wave)

    anyio.run(both)


def _least(answers: str, wave: int) -> int:
    """After how many samples, in whole waves, the vote is decided."""
    ballot = Ballot()
    ballot.launch(len(answers))
    for place, answer in enumerate(answers):
        if place and place % wave == 0 and ballot.decided():
            return place
        ballot.cast(place, answer)
    return len(answers)


async def test_the_beta_stop_ends_the_waves_too() -> None:
    result, asked = await run("a" * 40, 5, stop="beta")
    assert asked <= 5
    assert result.complete


async def test_the_beta_stop_waits_for_nothing_that_cannot_matter() -> None:
    result, asked = await run("abaabaaa", 7, stop="beta")
    assert asked == 7, "five to two is not likely enough by itself, and yet decided"
    assert result.complete


async def test_an_aggregator_that_wants_all_gets_all() -> None:
    result, asked = await run("aaaaaa", 2, stop=None)
    assert asked == 6
    assert result.complete


async def test_a_limit_on_tasks_cuts_the_waves() -> None:
    contemplator, model = mind("ababab", 2)
    result = await contemplator.run("q", limits=Limits(tasks=3))
    assert len(model.requests) == 3
    assert (result.text, result.stopped_by, result.complete) == ("Answer: a", "tasks", False)


@pytest.mark.parametrize("wave", [0, -1])
def test_a_wave_has_a_sample(wave: int) -> None:
    with pytest.raises(ConfigurationError, match=f"wave={wave}"):
        planners.sample(3, wave=wave)


async def test_strategies_of_ours_and_of_the_users() -> None:
    model = ScriptedModel("Answer: 4")
    given_ones = [strategies.step_by_step, strategies.analogy, "Draw up a table first."]
    planner = planners.sample(4, strategies=given_ones)
    await Contemplator(model, planner=planner, aggregator=aggregators.vote(stop=None)).run("q")
    said = [request.messages[-1].text for request in model.requests]
    assert all(strategy in text for strategy, text in zip([*given_ones, given_ones[0]], said, strict=True))


async def test_the_mode_called_vote_stops_at_three_that_agree() -> None:
    model = ScriptedModel("Answer: 4")
    result = await Contemplator(model, mode="vote").run("q")
    assert (result.output, len(model.requests), result.complete) == ("Answer: 4", 3, True)
