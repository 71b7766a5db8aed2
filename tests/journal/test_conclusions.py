"""A run that was killed after a vote was decided: what the vote had cut off is not asked again."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Collection
from functools import partial

import anyio
import pytest

from contemplate import Contemplator, Limits, RunContext, Task, TaskResult, planners
from contemplate.journal import Journal, RunRecord, recording
from contemplate.journal.entries import AskedCall, conclusion_entry
from contemplate.models import DeltaSink, ModelRequest, ModelResponse
from contemplate.testing import ScriptedModel
from contemplate.usage import FREE

from ..patience import PATIENCE

pytestmark = pytest.mark.anyio


class Asked:
    """A model whose third sample, and whose second part as long as `open` is not set, are never answered."""

    name, price = "asked", FREE

    def __init__(self, *, answers_all: bool = False) -> None:
        self.calls = Counter[str]()
        self.waits = anyio.Event()
        self._answers_all = answers_all

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        part = "second" if "second part" in request.messages[-1].text else "first"
        self.calls[part] += 1
        if not self._answers_all:
            if part == "second":
                self.waits.set()
            if part == "second" or self.calls[part] == 3:
                await anyio.sleep_forever()
        return await ScriptedModel("Answer: 7").request(request)


async def two_parts(question: str, ctx: RunContext, samples: int = 3) -> AsyncIterator[Task]:
    yield Task(id="a", prompt="the first part", samples=samples)
    yield Task(id="b", prompt="the second part", needs=("a",))


async def side_by_side(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
    return " ".join([each.text async for each in results])


async def killed(outcomes: Collection[str] = ("answered", "cancelled")) -> Journal:
    """Return what the journal of a process had that was killed when the vote was decided, and the second part asked."""
    model, journal, left = Asked(), Journal(), Journal()
    mind = Contemplator(model, planner=two_parts, aggregator=side_by_side, journal=journal)
    async with anyio.create_task_group() as group:
        group.start_soon(partial(mind.run, "What?", run_id="r"))
        await model.waits.wait()
        run = journal.load("r")
        assert run is not None
        left.save(run)
        left.append("r", [each for each in journal.entries("r") if each.outcome in outcomes], {})
        group.cancel_scope.cancel()
    assert model.calls == {"first": 3, "second": 1}
    return left


@pytest.mark.parametrize("written", [("answered", "cancelled"), ("answered",)], ids=["cut off", "not even that"])
async def test_what_a_vote_cut_off_is_not_asked_again(written: Collection[str]) -> None:
    journal, model = await killed(written), Asked(answers_all=True)
    mind = Contemplator(model, planner=two_parts, aggregator=side_by_side, journal=journal)
    result = await mind.run("What?", run_id="r")
    assert model.calls == {"second": 1}
    assert (result.text, result.complete) == ("Answer: 7 Answer: 7", True)
    replayed = await mind.replay("r")
    assert replayed.text == result.text
    assert sum(each.outcome == "cancelled" for each in journal.entries("r")) == 1


async def test_a_run_that_concludes_otherwise_now_asks_for_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "SECONDS_TO_CONCLUDE_AGAIN", 0.01)
    journal, model = await killed(), Asked(answers_all=True)
    more = partial(two_parts, samples=5)
    result = await Contemplator(model, planner=more, aggregator=side_by_side, journal=journal).run("What?", run_id="r")
    assert 1 <= model.calls["first"] <= 3, "two of five decide nothing"
    assert result.complete


async def test_a_run_with_little_time_waits_for_a_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "SECONDS_TO_CONCLUDE_AGAIN", 2 * PATIENCE)
    monkeypatch.setattr(recording, "SHARE_TO_CONCLUDE_AGAIN", 0.1 / PATIENCE)
    journal, model = await killed(), Asked(answers_all=True)
    more, limits = partial(two_parts, samples=5), Limits(seconds=PATIENCE)
    mind = Contemplator(model, planner=more, aggregator=side_by_side, journal=journal, limits=limits)
    assert (await mind.run("What?", run_id="r")).complete


async def test_what_was_answered_to_the_last_leaves_no_such_record() -> None:
    journal = Journal()
    mind = Contemplator(ScriptedModel("yes"), planner=planners.sample(3), aggregator=side_by_side, journal=journal)
    await mind.run("So?", run_id="r")
    assert [each.role for each in journal.entries("r")] == ["subagent"] * 3


async def test_what_is_asked_in_another_event_loop_waits_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "SECONDS_TO_CONCLUDE_AGAIN", 2 * PATIENCE)
    run = RunRecord(run_id="r", question="What?", model="asked")
    here = recording.Recording(Journal(), run, [conclusion_entry("")])
    here._found_last -= 3 * PATIENCE
    with here.elsewhere("a") as other, anyio.fail_after(PATIENCE):
        await other.needed(AskedCall("a", "subagent", None, 0, 0, "asked", "d", ()))
