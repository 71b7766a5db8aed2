"""The ways of thinking on school mathematics: what a model said is kept, and can be counted again without it."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import gsm8k, measured
from benchmarks.measured import Known, Question, Recorded
from benchmarks.measured_cli import asked_in, together
from benchmarks.tables import Sample, Voted, at_equal_cost, vote_of
from benchmarks.ways import CANDIDATES, SAMPLES, VOTE, WAYS
from contemplate import ComparisonReport, Contemplator, Usage
from contemplate.agents.verdicts import written_program_verdict
from contemplate.answers.numbers import constant
from contemplate.cli import main
from contemplate.comparison import Scored, WayReport
from contemplate.errors import AggregationError
from contemplate.journal import Entry, Journal
from contemplate.journal.entries import CallOutcome
from contemplate.messages import Message
from contemplate.models import Model, ModelRequest, ModelResponse
from contemplate.prompts import Prompts
from contemplate.testing import ScriptedModel

from .support import cancelled_after

SQUEEZED = "rounds-of-a-cheap-and-a-strong-model"
ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "ways.md"
RAW = ROOT / "benchmarks/results/gsm8k-1.5b.jsonl.gz"
FILE = Path(os.environ.get("CONTEMPLATE_DATA", ROOT.parent / "shared" / "data")) / "gsm8k_test_half.jsonl.gz"
GOLD = {f"What is {number} and {number}?": 2 * number for number in range(1, 4)}
QUESTIONS = [
    Question(str(number), asked, partial(gsm8k.equals, str(gold)))
    for number, (asked, gold) in enumerate(GOLD.items(), 1)
]


def sums(request: ModelRequest) -> str:
    """Right, but where it is asked once and not told to write a program: there it is right on the first question.

    A verifier finds that out, and who is told is right then.
    """
    said = "\n".join(message.text for message in request.messages)
    gold = next(gold for asked, gold in GOLD.items() if asked in said)
    if "JSON" in said:
        fault = "none" if f"Answer: {gold}" in said else "critical"
        return json.dumps(
            {"steps": [{"step": "the sum", "why": "counted", "fault": fault}], "better": "1", "reason": ""}
        )
    if "CORRECT" in said:
        return f"```python\nprint('CORRECT' if {f'Answer: {gold}' in said} else 'The sum is wrong.')\n```"
    if "```" in said:
        return f"```python\nprint({gold})\n```"
    wrong = request.settings.temperature == 0 and "CRITICAL" not in said
    return f"Answer: {gold // 2 + 1 if wrong else gold}"


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return tmp_path / "raw.jsonl.gz"


class Asked(NamedTuple):
    """What models said, and the table of it."""

    raw: Path
    table: str


@pytest.fixture(scope="module")
def all_asked(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """All questions were asked; what was said is only read."""
    raw = tmp_path_factory.mktemp("all") / "raw.jsonl.gz"
    return Asked(raw, asked(raw))


@pytest.fixture(scope="module")
def two_asked(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """Two questions were asked."""
    raw = tmp_path_factory.mktemp("two") / "raw.jsonl.gz"
    return Asked(raw, asked(raw, QUESTIONS[:2]))


def asked(
    raw: Path, questions: list[Question] = QUESTIONS, model: Model | None = None, cheap: Model | None = None
) -> str:
    """The table after models were asked; what they said is in `raw`."""
    journal, kept = Journal(), measured.read(raw)
    main = model or ScriptedModel(sums, name="sums")
    for name, way in WAYS.items():
        anyio.run(asked_in, {name: way}, questions, measured.Models(main, cheap or main), journal, kept)
        kept = together(WAYS, QUESTIONS, journal, kept)
    measured.write(raw, kept)
    return counted_again(raw)


def counted_again(raw: Path) -> str:
    return measured.counted(WAYS, QUESTIONS, measured.read(raw)).table()


def row(table: str, way: str) -> list[str]:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    (found,) = [cells for cells in rows if cells[0] == way]
    return found


def test_what_was_said_is_counted_again_without_the_model(all_asked: Asked) -> None:
    table = all_asked.table
    assert row(table, "greedy")[1:3] == ["3", "33.3 %"]
    for way in WAYS.keys() - {"greedy"}:
        assert row(table, way)[1:3] == ["3", "100.0 %"], way
        assert row(table, way)[4] == "+66.7 (-5.9 to +93.9)", way
    assert [row(table, way)[5] for way in ("greedy", VOTE, "code")] == ["1.0", "4.0", "1.0"]
    assert counted_again(all_asked.raw) == table


def test_ways_have_calls_in_common(all_asked: Asked) -> None:
    calls = measured.read(all_asked.raw).calls
    own = {name.rpartition(".")[0] for name, _ in calls}
    assert {"vote-exact-stop", "greedy", "verify", "verify-by-a-program"} <= own
    # They only count the samples of others, which all agree.
    assert own.isdisjoint({"vote-beta-stop", "vote-certificate-stop", "tournament-of-4", "mixture-of-3"})
    first = [call.task for name, call in calls if name == "verify.2"]
    assert first == ["check-1-1-1", "solution-1-2", "check-1-2-1"]


def test_rounds_of_two_models_ask_the_cheap_one_where_the_strong_one_agrees_with_itself(raw: Path) -> None:
    """The four attempts of the first round are the vote's samples, and agree: the two rounds after it are cheap."""
    strong, cheap = ScriptedModel(sums, name="strong"), ScriptedModel(sums, name="cheap")
    table = asked(raw, model=strong, cheap=cheap)
    assert len(cheap.requests) == len(QUESTIONS) * 2 * CANDIDATES
    by_model = {call.task: call.name for name, call in measured.read(raw).calls if name == f"{SQUEEZED}.1"}
    assert by_model == {f"round-{n}-{i}": "cheap" for n in (2, 3) for i in range(1, CANDIDATES + 1)}
    assert counted_again(raw) == table


def test_questions_are_not_given_out(all_asked: Asked) -> None:
    with gzip.open(all_asked.raw, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    assert len(rows) > 30
    assert not any("What is" in json.dumps(each) for each in rows)


def test_questions_count_up_to_the_first_that_was_not_asked_to_the_end(raw: Path, two_asked: Asked) -> None:
    assert [row(two_asked.table, way)[1] for way in WAYS] == ["2"] * len(WAYS)
    kept = measured.read(two_asked.raw)
    calls = tuple(call for call in kept.calls if call[0] != "greedy.1")
    measured.write(raw, measured.Kept(kept.runs - {"greedy.1"}, calls))
    assert "| greedy |" not in counted_again(raw)


def test_it_goes_on_where_it_was(raw: Path, two_asked: Asked) -> None:
    shutil.copy(two_asked.raw, raw)
    model = ScriptedModel(sums, name="sums")
    assert row(asked(raw, model=model), "mixed")[1] == "3"
    assert model.requests
    assert all(
        QUESTIONS[2].question in "\n".join(message.text for message in request.messages) for request in model.requests
    )


def test_a_failed_run_costs_what_it_asked(raw: Path) -> None:
    model = ScriptedModel(lambda request: "```python\nprint(unknown)\n```")
    cells = row(asked(raw, QUESTIONS[:1], model), "code")
    assert cells[2] == "0.0 %"
    assert cells[5] == "3.0"
    assert int(cells[7]) > 0


SAMPLE = st.builds(
    lambda key, written: Sample(key, key == "a", written), st.sampled_from(["a", "b", "c", None]), st.integers(1, 9)
)


@given(st.lists(SAMPLE, min_size=8, max_size=8), st.integers(1, 8))
def test_a_vote_that_stops_early_comes_to_what_all_of_its_samples_do(samples: list[Sample], k: int) -> None:
    keys = [each.key for each in samples[:k] if each.key is not None]
    winner = max(keys, key=keys.count, default=None)
    whole = vote_of(samples, k, 8)
    assert whole.right == (winner == "a")
    assert whole.written <= sum(each.written for each in samples[:k])
    drawn = next(n for n in range(9) if sum(each.written for each in samples[:n]) == vote_of(samples, 8, 8).written)
    assert vote_of(samples[:drawn], k, 8) == whole


def test_a_vote_of_the_same_cost_is_mixed_of_two_sizes() -> None:
    def way(name: str, *written: int) -> WayReport:
        usages = [Usage(output_tokens=each) for each in written]
        return WayReport(
            name, tuple(Scored(n, str(n), "q", "e", "o", 1.0, usage=usage) for n, usage in enumerate(usages))
        )

    samples = {str(n): [Sample("b", False, 10), Sample("a", True, 10), Sample("a", True, 10)] for n in range(2)}
    ways = [way("cheap", 2, 4), way("even", 20, 32), way("dear", 50, 50)]
    rows = at_equal_cost(ComparisonReport("sums", {each.name: each for each in ways}, "cheap"), samples, 3)
    assert row(rows, "cheap")[1:7] == ["2", "3", "100.0 %", "at least 1", "10", "0.0 %"]
    assert row(rows, "even")[1:7] == ["2", "26", "100.0 %", "2.8", "26", "80.0 %"]
    assert row(rows, "dear")[1:7] == ["2", "50", "100.0 %", "only 3", "30", "100.0 %"]
    assert vote_of(samples["0"], 2, 3) == Voted(False, 10)


@pytest.mark.skipif(not FILE.exists(), reason=f"the questions are not in {FILE}; set CONTEMPLATE_DATA to their folder")
def test_the_docs_show_what_was_measured() -> None:
    questions, kept = gsm8k.load(FILE, 200, 0), measured.read(RAW)
    found = measured.counted(WAYS, questions, kept)
    samples = gsm8k.samples_of(questions, kept.calls)
    page = PAGE.read_text("utf-8")
    assert found.table() in page
    assert at_equal_cost(found, samples, SAMPLES, skipped=(VOTE,)) in page
    # Of those that were verified, so many were written anew.
    anew = {run for run, call in kept.calls if call.task == "solution-1-2"}
    for way, number in (("verify", 1), ("verify by a program", 15)):
        counted = questions[: len(found[way].outcomes)]
        assert sum(measured.run_id(way, question) in anew for question in counted) == number
    # The table counts votes as the library does.
    for outcome in found[VOTE].outcomes:
        voted = vote_of(samples[str(outcome.id)], SAMPLES, SAMPLES)
        assert (voted.right, voted.written) == (outcome.score, outcome.usage.output_tokens)


@pytest.mark.skipif(not FILE.exists(), reason=f"the questions are not in {FILE}; set CONTEMPLATE_DATA to their folder")
def test_the_command_counts_what_was_recorded_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tmp_path / "questions.jsonl"
    rows.write_text("".join(json.dumps(each) + "\n" for each in gsm8k.drawn(FILE, 200, 0)), "utf-8")
    ways = ("--ways", str(ROOT / "benchmarks/recorded_ways.py"), "--no-journal")
    columns = ("--id-column", "id", "--answer-column", "gold")
    assert main(["compare", str(rows), *ways, *columns, "--first", "8", "--quiet"]) == 0
    printed = capsys.readouterr().out
    # Those that were asked all 200 questions.
    whole = {name: way for name, way in WAYS.items() if f"| {name} " in printed}
    found = measured.counted(whole, gsm8k.load(FILE, 200, 0)[:8], measured.read(RAW)).table()
    assert len(found.splitlines()) == 2 + 7
    for line in found.splitlines()[2:]:
        way = line.split("|")[1].strip()
        # But for the seconds, which are those of counting.
        assert row(printed, way)[:-1] == row(found, way)[:-1]


def test_programs_that_are_to_check_print_the_number() -> None:
    lines = (ROOT / "benchmarks/results/checking_programs.jsonl").read_text("utf-8").splitlines()
    programs = [json.loads(line) for line in lines]
    numbers = [each for each in programs if constant(each["printed"]) is not None]
    verdicts = [(each, written_program_verdict(each["printed"], each["solution"], Prompts())) for each in programs]
    accepted = [each["right"] for each, verdict in verdicts if not verdict.faults]
    assert (len(programs), len(numbers), sum(each["right"] for each in numbers)) == (17, 13, 11)
    assert (len(accepted), sum(accepted), sum(each["right"] for each in programs)) == (14, 13, 14)


@pytest.mark.anyio
async def test_a_call_is_known_by_its_place_and_not_by_its_words() -> None:
    def call(outcome: CallOutcome, turn: int, **more: Any) -> measured.Call:
        return "way.r", Entry(role="subagent", task="answer", turn=turn, digest="", name="m", outcome=outcome, **more)

    response = ModelResponse(message=Message.assistant("Answer: 2"), finish="stop", usage=Usage(calls=1), model="m")

    def mind(*calls: measured.Call) -> Contemplator[str]:
        return Contemplator(Recorded(Known(calls), "way"), mode="instant")

    recorded = mind(call("answered", 0, response=response), call("cancelled", 1))
    assert (await recorded.run("What is 1 and 1?", run_id="measured.r")).output == "Answer: 2"
    assert not await cancelled_after(30, lambda: recorded.run("Say it again.", run_id="measured.r"))
    with pytest.raises(AggregationError, match="no model is asked"):
        await mind(call("answered", 0, response=response)).run("q", run_id="other")
