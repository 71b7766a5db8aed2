"""Comparisons: scores, what counts, what is paid for, and going on after an end."""

from __future__ import annotations

import math
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

import contemplate
from contemplate import (
    BatchItem,
    BatchProgress,
    Budget,
    ComparisonReport,
    Contemplator,
    Example,
    Limits,
    RunResult,
    aggregators,
    answers,
    planners,
    strategies,
)
from contemplate.comparison import Scored, WayReport
from contemplate.errors import ConfigurationError, JournalError, ModelAuthError, ModelConnectionError
from contemplate.journal import Journal
from contemplate.models import ModelRequest, ModelResponse
from contemplate.testing import ScriptedModel
from contemplate.usage import Price, Usage

from .patience import PATIENCE

pytestmark = pytest.mark.anyio

SUMS = [Example(f"What is {n} and {n}?", str(2 * n), id=f"sum-{n}") for n in range(1, 9)]


def double(request: ModelRequest) -> int:
    return 2 * int(request.messages[-1].text.split()[2])


def right(request: ModelRequest) -> str:
    return f"Answer: {double(request)}"


def often_right(request: ModelRequest) -> str:
    """Wrong on the sum of 4."""
    return f"Answer: {double(request) + (double(request) == 8)}"


def way(script: Any = right, **options: Any) -> Contemplator[str]:
    return Contemplator(
        script if isinstance(script, ScriptedModel) else ScriptedModel(script), mode="instant", **options
    )


async def compared(ways: Any, questions: Any = SUMS, **options: Any) -> ComparisonReport:
    with anyio.fail_after(PATIENCE):
        return await contemplate.compare(ways, questions, **options)


async def test_ways_are_compared_with_the_first() -> None:
    report = await compared({"often": way(often_right), "always": way()})
    accuracy = report["often"].accuracy
    assert accuracy is not None
    assert accuracy.value == 7 / 8
    assert accuracy.low < 7 / 8 < accuracy.high
    difference = report.difference("always")
    assert difference is not None
    assert difference.value == 1 / 8
    assert report.difference("often", "always") == (-1 / 8, -difference.high, -difference.low)
    head, _, first, second = report.table().splitlines()
    assert head.startswith("| | questions | right | 95 % interval | against often | calls | tokens read | ")
    assert first.startswith("| often | 8 | 87.5 % | 52.9 to 97.8 |  | 1.0 |")
    assert second.startswith("| always | 8 | 100.0 % | 67.6 to 100.0 | +12.5 (")
    assert (list(report), len(report), report.remarks) == (["often", "always"], 2, ())
    widths = {len(line) for line in str(report).splitlines()}
    assert len(widths) == 1


def outcomes(*scores: float | None, error: str | None = None) -> tuple[Scored, ...]:
    usage = Usage(calls=2, input_tokens=10, output_tokens=5, cost_usd=0.001)
    return tuple(
        Scored(place, None, "q", "e", "o", score, error=error, usage=usage, seconds=1.5)
        for place, score in enumerate(scores)
    )


def report_of(**ways: tuple[Scored, ...]) -> ComparisonReport:
    return ComparisonReport("c", {name: WayReport(name, each) for name, each in ways.items()}, next(iter(ways)))


def test_the_table_of_other_scores() -> None:
    report = report_of(a=outcomes(0.25, 0.75, 0.5), b=outcomes(0.5, None, None), c=outcomes(None))
    assert report.table().splitlines() == [
        "| | questions | score | 95 % interval | against a | calls | tokens read | tokens written | USD | seconds |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
        "| a | 3 | 0.500 | -0.121 to 1.121 |  | 2.0 | 10 | 5 | 0.00100 | 1.5 |",
        "| b | 1 | 0.500 |  | +0.250 | 2.0 | 10 | 5 | 0.00100 | 1.5 |",
    ]
    assert report["b"].usage == outcomes(1)[0].usage
    assert (report["b"].seconds, report["c"].seconds, report["c"].accuracy) == (1.5, None, None)


def test_a_cost_that_is_not_known_is_left_empty() -> None:
    free = Scored(0, None, "q", "e", "o", 1.0, usage=Usage(calls=1, cost_usd=None))
    assert "| 0 | 0 |  | 0.0 |" in report_of(a=outcomes(1), b=(free,)).table()
    assert "USD" not in report_of(b=(free,)).table()


@pytest.mark.parametrize(("length", "shown"), [(200, "x" * 200), (201, f"{'x' * 197}...")])
def test_a_remark_is_one_short_line(length: int, shown: str) -> None:
    (remark,) = report_of(a=outcomes(0, error=f"{'x' * length}\n")).remarks
    assert remark == f"a: without an answer, and so wrong (1 run): {shown}"


async def test_the_other_way_to_compare_with_is_named() -> None:
    report = await compared({"often": way(often_right), "always|": way()}, against="always|")
    assert "against always\\| |" in report.table()
    assert "| -12.5 (" in report.table()
    with pytest.raises(ConfigurationError, match=r"no way 'oft' \(ways: 'often', 'always\|'\)"):
        report["oft"]


async def test_a_record_has_plain_values() -> None:
    priced = ScriptedModel(right, price=Price(input=1e6, output=0))
    report = await compared({"a": way(priced)}, SUMS[:1], name="sums")
    (record,) = report.to_records()
    assert {**record, "seconds": 0, "run_id": ""} == {
        "comparison": "sums",
        "way": "a",
        "index": 0,
        "id": "sum-1",
        "question": "What is 1 and 1?",
        "expected": "2",
        "output": "Answer: 2",
        "score": 1.0,
        "error": None,
        "complete": True,
        "seconds": 0,
        "run_id": "",
        "calls": 1,
        "input_tokens": 4,
        "cached_input_tokens": 0,
        "output_tokens": 3,
        "reasoning_tokens": 0,
        "cost_usd": 4.0,
    }
    assert "| USD |" in report.table()
    assert "| 4.00000 |" in report.table()


async def test_a_metric_may_be_async_and_give_a_number() -> None:
    async def length(result: RunResult[str], expected: object) -> float:
        await anyio.lowlevel.checkpoint()
        assert expected is None
        return len(result.text) / 10

    report = await compared({"a": way(), "b": way(often_right)}, [each.question for each in SUMS], metric=length)
    assert "| score |" in report.table()
    assert "| +0.000 | 1.0 |" in report.table()


async def test_values_are_compared_as_values() -> None:
    class Sum(BaseModel):
        value: int

    mind = way(lambda request: f'{{"value": {double(request)}}}', output_type=Sum)
    found = await compared(
        {"typed": mind}, [Example("What is 2 and", {"value": 4}), Example("What is 3 and", Sum(value=7))]
    )
    assert [each.score for each in found["typed"].outcomes] == [1, 0]
    assert found.to_records()[1]["expected"] == {"value": 7}


async def test_a_key_says_what_is_equal() -> None:
    def dollars(request: ModelRequest) -> str:
        return f"Answer: {double(request)} dollars"

    strict, mild = [await compared({"a": way(dollars)}, key=key) for key in (None, answers.math)]
    assert [report["a"].accuracy and report["a"].accuracy.value for report in (strict, mild)] == [0, 1]


def unreachable(request: ModelRequest) -> str | Exception:
    return ModelConnectionError("nobody is there", model="m") if double(request) > 12 else right(request)


async def test_what_says_nothing_of_a_way_does_not_count_and_is_asked_again(tmp_path: Path) -> None:
    journal = f"sqlite:///{tmp_path}/runs.db"
    report = await compared({"a": way(unreachable)}, journal=journal)
    assert [each.score for each in report["a"].outcomes] == [1] * 6 + [None] * 2
    assert "| a | 6 | 100.0 % |" in report.table()
    (remark,) = report.remarks
    assert remark.startswith("a: not counted, as they say nothing of it (2 runs): ")
    assert "nobody is there" in remark
    again = ScriptedModel(right)
    report = await compared({"a": way(again)}, journal=journal)
    assert [each.score for each in report["a"].outcomes] == [1] * 8
    assert len(again.requests) == 2


async def test_a_way_that_finds_no_answer_is_wrong() -> None:
    program = planners.sample(1, strategies=[strategies.code])
    none = Contemplator(
        ScriptedModel("```python\nprint(unknown)\n```"), planner=program, aggregator=aggregators.first()
    )
    report = await compared({"a": none}, SUMS[:2])
    assert [each.score for each in report["a"].outcomes] == [0, 0]
    assert all(each.usage.calls for each in report["a"].outcomes)
    assert report.remarks[0].startswith("a: without an answer, and so wrong (2 runs): ")


async def test_a_budget_that_is_used_up_says_nothing_of_a_way() -> None:
    report = await compared({"a": way()}, concurrency=1, budget=Budget("all", calls=3))
    assert [each.score for each in report["a"].outcomes] == [1] * 3 + [None] * 5


def down_after(calls: int) -> ScriptedModel:
    async def script(request: ModelRequest) -> str:
        if len(model.requests) > calls:
            raise ModelConnectionError("nobody is there", model="m")
        return right(request)

    model = ScriptedModel(script)
    return model


@pytest.mark.parametrize(
    ("calls", "budget", "limits", "scores"),
    [(9, 2, None, [None]), (2, 9, None, [None]), (9, 9, Limits(calls=2), [1])],
)
async def test_an_answer_that_lacks_something_counts_if_the_way_is_to_blame(
    calls: int, budget: int, limits: Limits | None, scores: list[float | None]
) -> None:
    vote = Contemplator(down_after(calls), mode="vote", limits=limits)
    report = await compared({"a": vote}, SUMS[:1], give_up_after=1, budget=Budget("all", calls=budget))
    (found,) = report["a"].outcomes
    assert (found.complete, [found.score]) == (False, scores)
    assert found.output is not None
    assert report["a"].stopped is None
    assert len(report.remarks) == scores.count(None)
    assert all("something is missing from the answer" in each for each in report.remarks)


@pytest.mark.parametrize(("budget", "limits", "score"), [(9, Limits(calls=2), 0), (2, None, None)])
async def test_a_way_that_finds_no_answer_within_its_limits_is_wrong(
    budget: int, limits: Limits | None, score: float | None
) -> None:
    unread = aggregators.vote(key=lambda answer: None)
    vote = Contemplator(ScriptedModel(right), planner=planners.sample(5), aggregator=unread, limits=limits)
    report = await compared({"a": vote}, SUMS[:1], budget=Budget("all", calls=budget))
    assert [each.score for each in report["a"].outcomes] == [score]


async def test_an_answer_that_lacked_something_is_completed_and_counts(tmp_path: Path) -> None:
    journal, models = f"sqlite:///{tmp_path}/runs.db", [down_after(2), ScriptedModel(right)]
    found = [await compared({"a": Contemplator(m, mode="vote")}, SUMS[:1], journal=journal) for m in models]
    assert [dict(each["a"].scores) for each in found] == [{}, {0: 1}]


class Single:
    """A number of another library, as those of NumPy are."""

    def __init__(self, number: float) -> None:
        self._number = number

    def __float__(self) -> float:
        return self._number


@pytest.mark.parametrize(
    ("given", "score"), [(Single(1.0), 1.0), (Single(0.5), 0.5), (Single(math.nan), None), ("1", None), (None, None)]
)
async def test_whatever_is_a_number_is_a_score(given: Any, score: float | None) -> None:
    report = await compared({"a": way()}, SUMS[:1], metric=lambda result, expected: given)
    assert report["a"].outcomes[0].score == score


async def test_no_secret_is_in_what_is_said_of_a_way() -> None:
    def refuse(request: ModelRequest) -> str:
        raise ValueError("the key sk-0123456789abcdef is not known")

    report = await compared({"a": way(refuse)}, give_up_after=1)
    assert report["a"].stopped is not None
    assert "sk-0123" not in f"{report} {report!r} {report.to_records()} {report['a'].stopped}"
    assert report["a"].stopped.count("[secret]") == 1


async def test_a_metrics_error_that_cannot_be_shown_ends_nothing() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError

    def metric(result: RunResult[str], expected: object) -> bool:
        raise Mute

    report = await compared({"a": way()}, SUMS[:1], metric=metric)
    assert report["a"].outcomes[0].error == "the metric failed: Mute: it has no message"


async def test_a_metric_that_fails_costs_nothing_but_its_score() -> None:
    given: dict[str, Any] = {"2": True, "4": "yes", "6": float("nan")}
    report = await compared({"a": way()}, SUMS[:4], metric=lambda result, expected: given[expected])
    assert [each.score for each in report["a"].outcomes] == [1, None, None, None]
    assert [each.output for each in report["a"].outcomes] == [f"Answer: {2 * n}" for n in range(1, 5)]
    assert "a: not counted, as they say nothing of it (3 runs): the metric failed: KeyError: '8'" in str(report)
    assert "it returned nan (return True, False or a finite number)" in str(report["a"].outcomes[2].error)


async def test_a_metric_that_fails_again_and_again_ends_its_way() -> None:
    model = ScriptedModel(right)
    report = await compared(
        {"a": way(model)}, metric=lambda result, expected: result.typo, concurrency=1, give_up_after=2
    )
    assert 2 <= len(model.requests) < 8
    assert len(report["a"].outcomes) >= 2
    assert "a: the metric failed on 2 answers in a row, and the rest is not asked" in str(report)


async def test_a_way_that_cannot_be_opened_costs_the_others_nothing() -> None:
    class Closed:
        name = "closed"

        def connect(self) -> AbstractAsyncContextManager[None]:
            raise ModelConnectionError("nobody is there", model="m")

        async def request(self, request: ModelRequest, on_delta: Any = None) -> ModelResponse:
            raise AssertionError

    closed = Contemplator(Closed(), mode="instant")
    report = await compared({"a": way(), "b": closed})
    assert [len(report[each].scores) for each in report] == [8, 0]
    assert report.remarks == ("b: m: nobody is there",)


async def test_what_a_listener_raises_is_raised_as_it_is() -> None:
    def broken(way: str, progress: BatchProgress) -> None:
        raise LookupError("oh")

    with pytest.raises(LookupError, match="oh"):
        await compared({"a": way()}, on_progress=broken)


async def test_a_journal_that_cannot_be_read_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    (tmp_path / "no.db").write_text("not a journal, and long enough to be told from an empty file")
    model = ScriptedModel(right)
    with pytest.raises(JournalError, match="no.db"):
        await compared({"a": way(model)}, journal=f"sqlite:///{tmp_path}/no.db")
    assert not model.requests


async def test_a_way_that_fails_again_and_again_is_stopped_and_the_others_are_not() -> None:
    refused = ScriptedModel(lambda request: ModelAuthError("the key is wrong", model="m"))
    report = await compared({"a": way(refused), "b": way()}, concurrency=1, give_up_after=3)
    assert len(refused.requests) == 3
    assert len(report["a"].scores) == 0
    assert "| a |" not in report.table()
    assert any("a: 3 questions in a row failed, and the rest is not asked" in remark for remark in report.remarks)
    assert len(report["b"].scores) == 8
    assert report.difference("b") is None


async def test_it_goes_on_where_it_was(tmp_path: Path) -> None:
    journal = f"sqlite:///{tmp_path}/runs.db"
    asked: list[str] = []
    held = anyio.Event()

    async def told(request: ModelRequest) -> str:
        asked.append(request.messages[-1].text)
        if len(asked) == 11:
            held.set()
            await anyio.sleep_forever()
        return right(request)

    def ways() -> dict[str, Contemplator[str]]:
        return {"one": way(told), "two": way(told, instructions="Be brief.")}

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: contemplate.compare(ways(), SUMS, journal=journal, concurrency=1))
            await held.wait()
            group.cancel_scope.cancel()
    assert len(asked) == 11
    report = await compared(ways(), journal=journal)
    assert [len(report[each].scores) for each in report] == [8, 8]
    # What was under way when it ended is asked once more.
    assert len(asked) == 17
    assert (await compared(ways(), journal=journal)).to_records() == report.to_records()
    assert len(asked) == 17


async def test_a_way_that_was_changed_is_asked_anew() -> None:
    journal, model = Journal(), ScriptedModel(right)
    await compared({"a": way(model)}, journal=journal)
    await compared({"a": way(model)}, SUMS[::-1], journal=journal)
    assert len(model.requests) == 8
    await compared({"a": way(model, instructions="Be brief.")}, journal=journal)
    assert len(model.requests) == 16
    await compared({"b": way(model)}, journal=journal)
    assert len(model.requests) == 24
    assert {run.labels["way"] for run in journal.runs()} == {"a", "b"}
    assert {run.labels["comparison"] for run in journal.runs()} == {"comparison"}


async def test_the_ways_keep_their_own_journals() -> None:
    own = Journal()
    mind = way(journal=own)
    await compared({"a": mind}, journal="memory:")
    assert mind.journal is own
    assert own.runs() == []
    await compared({"a": mind})
    assert len(own.runs()) == 8


async def test_progress_is_told() -> None:
    told: list[tuple[str, int]] = []

    def on_progress(way: str, progress: BatchProgress) -> None:
        told.append((way, progress.done))

    await compared({"a": way(), "b": way()}, SUMS[:2], on_progress=on_progress)
    assert told == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]


async def later(way: str, progress: BatchProgress) -> None: ...


async def key_later(answer: str) -> str:
    return answer


@pytest.mark.parametrize(
    ("questions", "options", "part"),
    [
        ([], {}, "is empty"),
        ("What is 1 and 1?", {}, "is a str"),
        (5, {}, "is a int"),
        ([" "], {}, "the question is empty"),
        ([5], {}, r"a question is a int \(Example\(question, expected\)\)"),
        ([("What?", "1")], {}, "a question is a tuple"),
        ([Example(5, "1")], {}, "a question of the batch is a int"),  # type: ignore[arg-type]
        (["What?"], {}, "no answer is expected of it"),
        ([BatchItem("What?", id="x")], {}, "no answer is expected of it"),
        ([Example("What?", " ")], {}, "the answer that is expected has no key"),
        ([Example("a", "1", id="x"), Example("b", "1", id="x")], {}, "the id 'x' stands twice"),
        ([Example("a", "1", id=""), Example("b", "1", id="")], {}, "the id is empty"),
        ([*SUMS, Example("a", "1", temperatur=1)], {}, r"Example\(temperatur=...\): there is no such option"),  # type: ignore[call-arg]
        (SUMS, {"key": {}.__getitem__}, r"sum-1.*compare\(key=...\) fails on .*: KeyError: '2'"),
        (SUMS, {"key": key_later}, r"compare\(key=...\) is async"),
        (SUMS, {"against": "c"}, r"compare\(against='c'\) \(one of the ways: 'a'\)"),
        (SUMS, {"name": "a b"}, "compare.name='a b'"),
        (SUMS, {"name": "a" * 24}, "1 to 23 letters"),
        (SUMS, {"metric": 5}, r"compare\(metric=...\) is a int"),
        (SUMS, {"metric": lambda result: True}, "is called with 2 arguments"),
        (SUMS, {"metric": lambda result, expected: True, "key": answers.math}, "a key is for the default metric"),
        (SUMS, {"concurrency": 0}, "must be at least 1"),
        (SUMS, {"journal": "runs.db"}, "unknown form"),
        (SUMS, {"on_progress": later}, "is async"),
        (SUMS, {"ways": {}}, r"compare\(ways=...\) is empty"),
        (SUMS, {"ways": {"a\nb": way()}}, "a text of one line"),
        (SUMS, {"ways": {"a" * 61: way()}}, "of at most 60"),
        (SUMS, {"ways": {" ": way()}}, "the way ' '"),
        (SUMS, {"ways": {5: way()}}, "the way 5"),
        (SUMS, {"ways": {"a": "instant"}}, "the way 'a' is a str"),
        (SUMS, {"ways": {"a": Contemplator}}, "the way 'a' is a Contemplator .an instance"),
        (SUMS, {"ways": [way()]}, r"compare\(ways=...\) is a list"),
    ],
)
async def test_what_is_wrong_is_said_before_anything_is_asked(questions: Any, options: Any, part: str) -> None:
    model = ScriptedModel(right)
    given = {"ways": {"a": way(model)}, **options}
    with pytest.raises(ConfigurationError, match=part):
        await contemplate.compare(questions=questions, **given)
    assert not model.requests


def test_it_can_be_called_from_synchronous_code() -> None:
    assert len(contemplate.compare_sync({"a": way()}, SUMS)["a"].scores) == 8
