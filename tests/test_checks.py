"""Checks: the first answer that passes, and agents that are told what was wrong."""

from __future__ import annotations

import threading

import pytest
from pydantic import BaseModel

from contemplate import Agent, Contemplator, TaskResult, aggregators, checked, planners
from contemplate.errors import AggregationError, ConfigurationError
from contemplate.models import ModelRequest
from contemplate.run.protocols import Planner
from contemplate.testing import ScriptedModel

from .test_aggregators import by_seed

pytestmark = pytest.mark.anyio


def is_seven(result: TaskResult) -> bool | str:
    return result.text == "7" or f"{result.text} is not 7"


async def is_seven_later(result: TaskResult) -> bool | str:
    return is_seven(result)


@pytest.mark.parametrize("check", [is_seven, is_seven_later, lambda result: is_seven_later(result)])
async def test_the_first_answer_that_passes(check: object) -> None:
    model = by_seed("5", "6", "7", "5")
    mind = Contemplator(model, planner=planners.sample(4), aggregator=aggregators.check(check))  # type: ignore[arg-type]
    result = await mind.run("q")
    assert (result.output, result.support, result.complete) == ("7", ("sample-3",), True)
    assert {text for each in result.dissent for text in [each.answer]} <= {"5", "6"}


async def test_what_is_not_needed_any_more_is_cancelled() -> None:
    import anyio

    async def script(request: ModelRequest) -> str:
        if request.settings.seed != 1:
            await anyio.sleep_forever()
        return "7"

    mind = Contemplator(ScriptedModel(script), planner=planners.sample(3), aggregator=aggregators.check(is_seven))
    result = await mind.run("q")
    # The last one may not even have been planned.
    assert [task.outcome for task in result.tasks][:2] == ["cancelled", "answered"]
    assert {task.outcome for task in result.tasks[2:]} <= {"cancelled"}


async def test_a_plain_check_does_not_hold_up_the_event_loop() -> None:
    threads: list[int] = []

    def check(result: TaskResult) -> bool:
        threads.append(threading.get_ident())
        return True

    await Contemplator(ScriptedModel("7"), planner=planners.sample(2), aggregator=aggregators.check(check)).run("q")
    assert threads
    assert threading.get_ident() not in threads


async def test_none_passes() -> None:
    mind = Contemplator(
        by_seed("5", RuntimeError("down"), "6"), planner=planners.sample(3), aggregator=aggregators.check(is_seven)
    )
    with pytest.raises(
        AggregationError, match=r"none of the 2 answers passed the check; 'sample-1': 5 is not 7"
    ) as raised:
        await mind.run("q")
    assert raised.value.partial is not None
    assert [task.text for task in raised.value.partial.tasks] == ["5", "", "6"]


async def test_false_says_something_too() -> None:
    mind = Contemplator(
        ScriptedModel("5"), planner=planners.sample(1), aggregator=aggregators.check(lambda result: False)
    )
    with pytest.raises(AggregationError, match="'sample-1': It did not pass a check"):
        await mind.run("q")


async def test_nothing_to_check() -> None:
    mind = Contemplator(
        by_seed(RuntimeError("down")), planner=planners.sample(1), aggregator=aggregators.check(is_seven)
    )
    with pytest.raises(AggregationError, match="the only task was not answered; 'sample-1': RuntimeError: down"):
        await mind.run("q")


@pytest.mark.parametrize(("check", "said"), [(lambda result: 1 / 0, "raised ZeroDivisionError"), (print, "None")])
async def test_a_check_that_is_wrong_itself(check: object, said: str) -> None:
    mind = Contemplator(ScriptedModel("5"), planner=planners.sample(1), aggregator=aggregators.check(check))  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=f"the check .*{said}.*'sample-1'"):
        await mind.run("q")


class Number(BaseModel):
    value: int


async def test_typed_answers_are_checked_as_values() -> None:
    mind = Contemplator(
        by_seed('{"value": 5}', '{"value": 7}'),
        planner=planners.sample(2),
        aggregator=aggregators.check(lambda result: result.output == Number(value=7)),
        output_type=Number,
    )
    assert (await mind.run("q")).output == Number(value=7)


# Agents that are told


def learning(request: ModelRequest) -> str:
    """It says 5 until it is told why not."""
    return "7" if "5 is not 7" in request.messages[-1].text else "5"


async def asked(model: ScriptedModel, attempts: int, planner: Planner | None = None) -> str:
    agent = checked(Agent(), is_seven, attempts=attempts)
    mind = Contemplator(model, agent=agent, planner=planner or planners.direct(), aggregator=aggregators.first())
    return (await mind.run("seven?")).output


async def test_an_agent_is_told_what_was_wrong() -> None:
    model = ScriptedModel(learning)
    assert await asked(model, attempts=2) == "7"
    first, second = (request.messages[-1].text for request in model.requests)
    assert first == "seven?"
    assert second.startswith("seven?\n\n")
    assert "<<problem " in second
    assert "<<attempt " in second


async def test_a_good_answer_is_not_asked_for_again() -> None:
    model = ScriptedModel("7")
    assert await asked(model, attempts=3) == "7"
    assert len(model.requests) == 1


async def test_after_the_last_attempt_the_task_has_failed() -> None:
    model = ScriptedModel("5")
    with pytest.raises(AggregationError, match="did not pass the check after 3 attempts: 5 is not 7"):
        await asked(model, attempts=3)
    assert len(model.requests) == 3


async def test_one_that_fails_its_check_is_no_candidate() -> None:
    """Samples that are checked, each by itself: only those that pass can be the answer."""
    assert await asked(by_seed("5", "6", "7"), attempts=1, planner=planners.sample(3)) == "7"


def test_attempts_out_of_range() -> None:
    with pytest.raises(ConfigurationError, match="attempts=0"):
        checked(Agent(), is_seven, attempts=0)
