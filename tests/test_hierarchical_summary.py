"""Synthesis of more than a model can read at once."""

from __future__ import annotations

import re
from collections.abc import Sequence

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from contemplate import Contemplator, Limits, RunResult, aggregators, planners
from contemplate.aggregators.hierarchical_summary import MIN_ROOM_TOKENS, Material, condense
from contemplate.errors import AggregationError, ConfigurationError, ModelServerError
from contemplate.models import ModelRequest
from contemplate.models.tokens import request_tokens
from contemplate.testing import ScriptedModel

from .patience import PATIENCE

pytestmark = pytest.mark.anyio

CONTEXT = 1400


def is_summary(request: ModelRequest) -> bool:
    return "in at most" in request.messages[-1].text


def is_merging(request: ModelRequest) -> bool:
    return "You write the final answer" in request.messages[0].text


def long(number: int, words: int = 300) -> str:
    return f"[{number}] " + "word " * words


def reading(*replies: str | Exception, summary: str | Exception | None = None) -> ScriptedModel:
    """Answers by sample; sums up by naming the answers that it was shown; merges likewise."""

    def script(request: ModelRequest) -> str | Exception:
        named = " ".join(dict.fromkeys(re.findall(r"\[\d+\]", request.messages[-1].text)))
        if is_summary(request):
            return f"sum of {named}" if summary is None else summary
        return f"all of {named}" if is_merging(request) else replies[request.settings.seed or 0]

    return ScriptedModel(script)


async def merged(asked: ScriptedModel, n: int, *, limits: Limits | None = None, **how: object) -> RunResult[str]:
    aggregator = aggregators.synthesize(**{"context": CONTEXT, **how})  # type: ignore[arg-type]
    return await Contemplator(asked, planner=planners.sample(n), aggregator=aggregator, limits=limits).run("q?")


async def test_what_fits_is_merged_at_once() -> None:
    model = reading("[0] one", "[1] two")
    result = await merged(model, 2)
    assert not any(map(is_summary, model.requests))
    assert result.usage.calls == 3
    assert result.complete


async def test_what_does_not_fit_is_summed_up_first() -> None:
    model = reading(*map(long, range(9)))
    result = await merged(model, 9)
    assert set(re.findall(r"\d+", result.output)) == set("012345678")
    assert (len(result.support), result.complete) == (9, True)
    summaries = [each for each in model.requests if is_summary(each)]
    assert len(summaries) > 2
    assert all(request_tokens(each) <= CONTEXT for each in model.requests if is_summary(each) or is_merging(each))
    assert "sums up what some of the experts wrote" in model.requests[-1].messages[-1].text


async def test_one_level_is_enough_where_summaries_are_as_short_as_wanted() -> None:
    """Each summary is as long as it may be, and they are merged at once."""

    def script(request: ModelRequest) -> str:
        if is_summary(request):
            words = re.search(r"at most (\d+) words", request.messages[-1].text)
            assert words is not None
            return "word " * int(words[1])
        return "merged" if is_merging(request) else long(0, 1500)

    model = ScriptedModel(script)
    await merged(model, 8, context=4 * CONTEXT)
    read = [each.messages[-1].text for each in model.requests if is_summary(each)]
    assert read
    assert not any("<<summary" in each for each in read)


async def test_calls_of_a_level_are_made_at_the_same_time() -> None:
    waiting, all_there = [], anyio.Event()

    async def script(request: ModelRequest) -> str:
        if is_summary(request) and "<<summary" not in request.messages[-1].text:
            waiting.append(request)
            if len(waiting) == 3:
                all_there.set()
            await all_there.wait()
            return "short"
        return "merged" if is_merging(request) else long(0, 500)

    with anyio.fail_after(PATIENCE):
        await merged(ScriptedModel(script), 3)
    assert len(waiting) == 3


async def test_one_text_that_is_longer_than_the_context() -> None:
    model = reading(long(0, 3000), "[1] short")
    result = await merged(model, 2)
    assert set(re.findall(r"\d+", result.output)) == {"0", "1"}
    pieces = [each for request in model.requests for each in re.findall(r", piece (\d+) ", request.messages[-1].text)]
    assert sorted(map(int, pieces)) == list(range(1, len(pieces) + 1))


async def test_a_summary_that_fails_is_missing() -> None:
    calls = 0

    def script(request: ModelRequest) -> str | Exception:
        nonlocal calls
        if is_summary(request):
            calls += 1
            return ModelServerError("is down", model="m") if calls == 1 else "short"
        return "merged" if is_merging(request) else long(request.settings.seed or 0, 500)

    result = await merged(ScriptedModel(script), 3)
    assert (result.output, result.complete, len(result.support)) == ("merged", False, 2)
    assert result.notes == ("1 of the results could not be summarised: m: is down",)


async def test_an_answer_of_which_a_piece_is_lost_is_no_support() -> None:
    calls = 0

    def script(request: ModelRequest) -> str | Exception:
        nonlocal calls
        if is_summary(request):
            calls += 1
            return ModelServerError("is down", model="m") if calls == 1 else "short"
        return "merged" if is_merging(request) else long(0, 2000)

    aggregator = aggregators.synthesize(context=CONTEXT)
    mind = Contemplator(ScriptedModel(script), planner=planners.sample(2), aggregator=aggregator)
    result = await mind.run("q?")
    assert (len(result.support), result.complete) == (1, False)


async def test_every_summary_fails() -> None:
    result = await merged(reading(*map(long, range(6)), summary=ModelServerError("is down", model="m")), 6)
    assert (result.output, result.complete) == (result.tasks[0].text, False)
    assert any("none of the texts could be summarised" in note for note in result.notes)


async def test_summaries_that_are_no_shorter() -> None:
    result = await merged(reading(*map(long, range(6)), summary=long(0, 4000)), 6)
    assert (result.output, result.complete) == (result.tasks[0].text, False)
    assert any("not shorter" in note for note in result.notes)


async def test_a_context_that_is_too_small() -> None:
    with pytest.raises(ConfigurationError, match=r"context=300\) leaves no room"):
        await merged(reading(*map(long, range(2))), 2, context=300)


async def test_no_room_for_summaries() -> None:
    result = await merged(reading(*map(long, range(6))), 6, limits=Limits(calls=7))
    assert (result.complete, result.stopped_by) == (False, "calls")
    assert result.output.startswith("[0]")


class Number(BaseModel):
    value: int


async def test_typed_synthesis_of_much() -> None:
    def script(request: ModelRequest) -> str:
        if is_summary(request):
            assert request.output_schema is None
            return "short"
        return '{"value": 7}' if is_merging(request) else '{"value": 1' + " " * 3000 + "}"

    mind = Contemplator(
        ScriptedModel(script),
        planner=planners.sample(4),
        aggregator=aggregators.synthesize(context=CONTEXT),
        output_type=Number,
    )
    assert (await mind.run("q?")).output == Number(value=7)


def test_what_limits_need_to_know() -> None:
    assert aggregators.synthesize().model_calls == 1
    assert not hasattr(aggregators.synthesize(context=8000), "model_calls")


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.text(max_size=4000), min_size=1, max_size=12),
    st.integers(MIN_ROOM_TOKENS, 4 * MIN_ROOM_TOKENS),
    st.sets(st.integers(0, 3)),
)
def test_every_prompt_fits_and_nothing_is_left_out(texts: list[str], room: int, failing: set[int]) -> None:
    material = [Material(f"answer {number}", text, (str(number),)) for number, text in enumerate(texts)]
    lost: set[str] = set()
    kept: set[str] = set()
    numbers: list[int] = []

    async def summarise(group: Sequence[Material], tokens: int) -> str | None:
        assert sum(each.tokens for each in group) <= room
        number = len(numbers)
        numbers.append(number)
        tasks = {task for each in group for task in each.tasks}
        (lost if number in failing else kept).update(tasks)
        return None if number in failing else "x" * tokens

    try:
        short = anyio.run(condense, material, room, summarise)
    except AggregationError:
        assert lost
        return
    assert sum(each.tokens for each in short) <= room
    assert {task for each in short for task in each.tasks} == {each.tasks[0] for each in material} - lost
    if not numbers:
        assert short == material
