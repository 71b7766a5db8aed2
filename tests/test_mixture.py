"""Members who see each other's answers until they agree, and a strong model for what is in dispute."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contemplate import Contemplator, Task, aggregators, planners, strategies
from contemplate.errors import ConfigurationError, ModelServerError
from contemplate.models import ModelRequest
from contemplate.planners import Member
from contemplate.planners.agreement import agreement
from contemplate.prompts import render
from contemplate.result import RunResult, TaskResult
from contemplate.run.protocols import Planner
from contemplate.testing import ScriptedModel

pytestmark = pytest.mark.anyio


async def run(planner: Planner, model: ScriptedModel) -> RunResult[str]:
    return await Contemplator(model, planner=planner, aggregator=aggregators.vote(stop=None)).run("q")


def last(request: ModelRequest) -> str:
    return request.messages[-1].text


class TestMixture:
    async def test_members_who_agree_end_at_once(self) -> None:
        result = await run(planners.mixture(), ScriptedModel("Answer: 4"))
        assert result.usage.calls == 3
        assert result.votes == {"4": 3}
        assert not result.notes

    async def test_they_see_all_answers_of_the_round_before(self) -> None:
        def reply(request: ModelRequest) -> str:
            seen = re.findall(r"first (\d)", last(request))
            return "Answer: 7" if seen else f"first {len(model.requests)}\nAnswer: {len(model.requests)}"

        model = ScriptedModel(reply)
        result = await run(planners.mixture(rounds=5), model)
        assert result.usage.calls == 6
        assert result.votes == {"7": 3}
        for request in model.requests[3:]:
            assert sorted(re.findall(r"first (\d)", last(request))) == ["1", "2", "3"]

    async def test_they_stop_after_the_last_round(self) -> None:
        model = ScriptedModel(lambda request: f"Answer: {len(model.requests)}")
        result = await run(planners.mixture(rounds=2), model)
        assert result.usage.calls == 6
        assert len(result.votes) == 3

    async def test_some_may_be_enough(self) -> None:
        def reply(request: ModelRequest) -> str:
            return "Answer: 1" if len(model.requests) == 1 else "Answer: 2"

        model = ScriptedModel(reply)
        result = await run(planners.mixture(agree=0.6), model)
        assert result.usage.calls == 3
        assert result.votes == {"2": 2, "1": 1}

    async def test_members_differ(self) -> None:
        def look_up(what: str) -> str:
            """Look something up."""
            return what

        def sums(what: str) -> str:
            """Add up."""
            return what

        other = ScriptedModel("Answer: 4", name="other")
        model = ScriptedModel(lambda request: "```python\nprint(4)\n```" if "program" in last(request) else "Answer: 4")
        members = (
            Member(strategies.step_by_step, tools=["look_up"]),
            Member(strategies.code, tools=[]),
            Member("Your own way", model=other),
            Member(),
        )
        mind = Contemplator(
            model, planner=planners.mixture(*members), aggregator=aggregators.vote(stop=None), tools=[look_up, sums]
        )
        result = await mind.run("q")
        assert result.votes == {"4": 4}
        shown = [sorted(each.name for each in request.tools) for request in model.requests]
        assert sorted(shown) == [[], ["look_up"], ["look_up", "sums"]]
        assert "Your own way" in last(other.requests[0])
        program, *others = sorted((*model.requests, *other.requests), key=lambda each: "program" not in last(each))
        assert [render("answer_line") in last(each) for each in (program, *others)] == [False, True, True, True]

    async def test_a_tool_that_there_is_not_is_named_before_anybody_is_asked(self) -> None:
        def look_up(what: str) -> str:
            """Look something up."""
            return what

        model = ScriptedModel("Answer: 4")
        planner = planners.mixture(Member(), Member(tools=["lookup"]))
        mind = Contemplator(model, planner=planner, aggregator=aggregators.vote(), tools=[look_up])
        with pytest.raises(ConfigurationError, match="member 2 .* names 'lookup'.*look_up"):
            await mind.run("q")
        assert not model.requests

    async def test_when_nobody_answers_nobody_is_asked_again(self) -> None:
        model = ScriptedModel(lambda request: ValueError("down"))
        with pytest.raises(Exception, match="down"):
            await run(planners.mixture(rounds=4), model)
        assert len(model.requests) == 3

    @pytest.mark.parametrize(("rounds", "agree"), [(0, 1.0), (1, 0.0), (1, 1.1), (1, -1)])
    def test_numbers_that_make_no_sense(self, rounds: int, agree: float) -> None:
        with pytest.raises(ConfigurationError, match="mixture"):
            planners.mixture(rounds=rounds, agree=agree)

    def test_the_estimate_has_its_bounds(self) -> None:
        mind = Contemplator(ScriptedModel("x"), planner=planners.mixture(rounds=3), aggregator=aggregators.vote())
        calls = mind.estimate("q").calls
        assert calls.high == 9


class TestStrongModel:
    async def test_it_writes_the_first_round_and_no_other_where_attempts_agree(self) -> None:
        strong, cheap = ScriptedModel("Answer: 1", name="strong"), ScriptedModel("Answer: 1.0")
        result = await run(planners.rounds(3, 2, 3, strong=strong), cheap)
        assert (len(strong.requests), len(cheap.requests)) == (3, 6)
        assert result.votes == {"1": 3}

    async def test_it_settles_what_is_in_dispute(self) -> None:
        answers = iter(["Answer: 1", "Answer: 2"])
        strong = ScriptedModel(lambda request: next(answers, "Answer: 9"), name="strong")
        cheap = ScriptedModel("Answer: 9")
        result = await run(planners.rounds(2, 2, 3, strong=strong), cheap)
        assert len(strong.requests) == 4
        assert len(cheap.requests) == 2, "in the third round they agree"
        assert result.votes == {"9": 2}

    async def test_an_attempt_that_failed_agrees_with_nobody(self) -> None:
        replies: Iterator[str | Exception] = iter([ModelServerError("down", model="m"), "Answer: 1"])
        strong = ScriptedModel(lambda request: next(replies, "Answer: 1"), name="strong")
        cheap = ScriptedModel("Answer: 1")
        await run(planners.rounds(2, 2, 2, strong=strong), cheap)
        assert (len(strong.requests), len(cheap.requests)) == (4, 0)


@given(st.lists(st.sampled_from(["1", "2", "3", None]), min_size=1, max_size=9))
def test_the_share_of_the_most_frequent(said: list[str | None]) -> None:
    class Text:
        output = None

    results = [
        TaskResult(
            task=Task(id=str(i), prompt="?"), outcome="failed" if each is None else "answered", text=f"Answer: {each}"
        )
        for i, each in enumerate(said)
    ]
    counted = [said.count(each) for each in said if each is not None]
    assert agreement(results, None, Text()) == max(counted, default=0) / len(said)  # type: ignore[arg-type]
