"""Plans and results as rows of tables."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from pydantic import BaseModel

from contemplate import Contemplator, Limits, Plan, RunContext, RunResult, Task, TaskResult
from contemplate.data import Record
from contemplate.errors import AggregationError
from contemplate.testing import ScriptedModel
from contemplate.usage import Price

from .test_data_roundtrip import RUNS

PLAN_COLUMNS = ["id", "title", "kind", "prompt", "needs", "instructions", "model"]
RUN_COLUMNS = [
    *("run_id", *PLAN_COLUMNS, "outcome", "text", "output", "error", "complete", "started", "seconds"),
    *("calls", "input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens", "cost_usd", "supports"),
]


class Verdict(BaseModel):
    genuine: bool


async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
    yield Task(id="a", prompt="Is it?", kind="candidate", title="Ink")
    yield Task(id="b", prompt="Is it, again?", kind="candidate", needs=("a",))


def test_a_plan_is_a_row_for_each_task() -> None:
    tasks = (Task(id="a", prompt="?", title="Ink"), Task(id="b", prompt="!"), Task(id="c", prompt="", needs=("a", "b")))
    rows = Plan(tasks=tasks).to_records()
    assert [list(row) for row in rows] == [PLAN_COLUMNS] * 3
    assert [row["title"] for row in rows] == ["Ink", "b", "c"]
    assert rows[2]["needs"] == "a, b"


def test_a_result_of_ones_own_is_an_answer_unless_it_says_otherwise() -> None:
    result = RunResult(run_id="r", question="q", output="a", text="a")
    assert (result.status, result.model_copy(update={"complete": False}).status) == ("answered", "partial")


@pytest.mark.anyio
async def test_what_was_recorded_has_the_same_rows_as_what_just_ran(tmp_path: Path) -> None:
    model = ScriptedModel('{"genuine": true}', price=Price(input=1, output=2))
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    mind = Contemplator(model, planner=plan, mode="vote", output_type=Verdict, journal=url)
    result = await mind.run("Genuine?", run_id="r")
    rows = result.to_records()
    assert [list(row) for row in rows] == [RUN_COLUMNS] * 2
    assert (rows[0]["id"], rows[0]["outcome"], rows[0]["output"]) == ("a", "answered", '{"genuine":true}')
    assert sum(int(row["calls"] or 0) for row in rows) == result.usage.calls
    assert rows[0]["supports"] is True
    assert mind.journal is not None
    stored = mind.journal.load("r")
    assert stored is not None
    assert stored.result is not None
    assert stored.result.to_records() == rows


@pytest.mark.anyio
async def test_a_failed_task_and_one_that_never_started_have_rows_too() -> None:
    async def fails(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
        async for _ in results:
            raise LookupError("there is no such ink")
        return ""

    mind = Contemplator(ScriptedModel("yes"), planner=plan, aggregator=fails, limits=Limits(concurrency=1))
    with pytest.raises(AggregationError) as failed:
        await mind.run("Genuine?")
    assert failed.value.partial is not None
    first, second = failed.value.partial.to_records()
    assert (first["outcome"], first["supports"]) == ("answered", None)
    assert list(first) == list(second) == RUN_COLUMNS
    started = second["outcome"] is not None
    assert (second["prompt"], second["seconds"] is not None) == ("Is it, again?", started)


@given(RUNS)
def test_rows_are_plain_and_the_same_after_a_round_trip(result: RunResult[object]) -> None:
    rows = result.to_records()
    plain: list[Record] = json.loads(json.dumps(rows))
    assert plain == rows
    assert all(list(row) == RUN_COLUMNS for row in rows)
    assert {row["id"] for row in rows} == {task.id for task in result.plan.tasks} | {each.id for each in result.tasks}
    assert RunResult[object].model_validate_json(result.model_dump_json()).to_records() == rows
