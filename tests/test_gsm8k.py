"""The ways of thinking on school mathematics: what a model said is kept, and can be counted again without it."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import anyio
import pytest

from benchmarks import gsm8k
from benchmarks.gsm8k import Question
from benchmarks.ways import WAYS
from contemplate import Contemplator, Usage
from contemplate.errors import AggregationError
from contemplate.journal import Entry, Journal
from contemplate.journal.entries import CallOutcome
from contemplate.messages import Message
from contemplate.models import ModelRequest, ModelResponse
from contemplate.testing import ScriptedModel

from .support import cancelled_after

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "ways.md"
FILE = Path(os.environ.get("CONTEMPLATE_DATA", ROOT.parent / "shared" / "data")) / "gsm8k_test_half.jsonl.gz"
QUESTIONS = [Question(str(number), f"What is {number} and {number}?", str(2 * number)) for number in range(1, 4)]


def sums(request: ModelRequest) -> str:
    """Right, but where it is asked once and not told to write a program: there it is right on the first question."""
    said = "\n".join(message.text for message in request.messages)
    number = next(int(each.gold) // 2 for each in QUESTIONS if each.question in said)
    if "```" in said:
        return f"```python\nprint({number} + {number})\n```"
    greedy = request.settings.temperature == 0
    return f"Answer: {number + 1 if greedy else 2 * number}"


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return tmp_path / "raw.jsonl.gz"


def asked(raw: Path, questions: list[Question] = QUESTIONS) -> str:
    """The table after a model was asked; what it said is in `raw`."""
    journal = Journal()
    anyio.run(gsm8k.ask, list(WAYS), questions, ScriptedModel(sums, name="sums"), journal)
    gsm8k.give_out(journal, raw, QUESTIONS)
    return gsm8k.table(QUESTIONS, journal)


def row(table: str, way: str) -> list[str]:
    (found,) = [line for line in table.splitlines() if line.startswith(f"| {way} ")]
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_what_was_said_is_counted_again_without_the_model(raw: Path) -> None:
    table = asked(raw)
    assert row(table, "greedy")[1:3] == ["3", "33.3 %"]
    for way in WAYS.keys() - {"greedy"}:
        assert row(table, way)[1:3] == ["3", "100.0 %"], way
        assert row(table, way)[4] == "+66.7 ± 65.3", way
    assert [row(table, way)[5] for way in ("greedy", "vote, exact stop", "code")] == ["1.0", "4.0", "1.0"]
    again = gsm8k.count_again(raw, QUESTIONS)
    assert again == table


def test_questions_are_not_given_out(raw: Path) -> None:
    asked(raw)
    with gzip.open(raw, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    assert len(rows) > 30
    assert not any("What is" in json.dumps(each) for each in rows)


def test_a_question_that_was_not_asked_to_the_end_does_not_count(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked(raw, QUESTIONS[:2])
    again = gsm8k.count_again(raw, QUESTIONS)
    assert [row(again, way)[1] for way in WAYS] == ["2"] * len(WAYS)
    assert "greedy.3" in capsys.readouterr().err


def test_it_goes_on_where_it_was(raw: Path) -> None:
    asked(raw, QUESTIONS[:2])
    model = ScriptedModel(sums, name="sums")
    journal = Journal()
    gsm8k.take_in(journal, raw, QUESTIONS)
    anyio.run(gsm8k.ask, list(WAYS), QUESTIONS, model, journal)
    assert model.requests
    assert all(QUESTIONS[2].question in request.messages[-1].text for request in model.requests)
    assert row(gsm8k.table(QUESTIONS, journal), "mixed")[1] == "3"


@pytest.mark.skipif(not FILE.exists(), reason=f"the questions are not in {FILE}; set CONTEMPLATE_DATA to their folder")
def test_the_docs_show_what_was_measured() -> None:
    questions = gsm8k.load(FILE, 200, 0)
    assert gsm8k.count_again(ROOT / "benchmarks/results/gsm8k-1.5b.jsonl.gz", questions) in PAGE.read_text("utf-8")


@pytest.mark.anyio
async def test_a_call_is_known_by_its_place_and_not_by_its_words() -> None:
    def call(outcome: CallOutcome, turn: int, **more: Any) -> gsm8k.Call:
        return "r", Entry(role="subagent", task="answer", turn=turn, digest="", name="m", outcome=outcome, **more)

    response = ModelResponse(message=Message.assistant("Answer: 2"), finish="stop", usage=Usage(calls=1), model="m")

    def mind(*calls: gsm8k.Call) -> Contemplator[str]:
        return Contemplator(gsm8k.Recorded("m", calls), mode="instant")

    recorded = mind(call("answered", 0, response=response), call("cancelled", 1))
    assert (await recorded.run("What is 1 and 1?", run_id="r")).output == "Answer: 2"
    assert not await cancelled_after(30, lambda: recorded.run("Say it again.", run_id="r"))
    with pytest.raises(AggregationError, match="no model is asked"):
        await mind(call("answered", 0, response=response)).run("q", run_id="other")
