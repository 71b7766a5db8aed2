"""The mode "auto" over recorded answers: small recordings of the test's own, and the real ones where they are."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest

from benchmarks import auto
from benchmarks.auto import Recorded, Row, Tried
from benchmarks.recordings import Question, Sample, load

FOLDER = Path(os.environ.get("CONTEMPLATE_DATA", Path(__file__).parents[2] / "shared" / "data")) / "votes"


def said(*given: str | None, right: str = "8") -> list[Sample]:
    return [Sample(answer=each, correct=each == right) for each in given]


def tried(*given: str | None, program: str | None = None, right: str = "8") -> Tried:
    calculated = None if program is None else said(program, right=right)[0]
    recorded = Recorded("What is 2 times 4?", said(*given, right=right), calculated, has_program=program is not None)
    return anyio.run(auto.once, recorded, None)


@pytest.mark.parametrize(
    ("given", "program", "expected"),
    [
        (("8", "8", "8"), None, Tried(True, True, 3, "instant")),
        (("7", "8", "9", *["8"] * 6), None, Tried(False, True, 9, "vote")),
        (("8", "7", "7", *["7"] * 6), None, Tried(True, False, 9, "vote")),
        (("7", "8", "9"), "8", Tried(False, True, 4, "program")),
        (("8", "7", "7"), "9", Tried(True, False, 4, "program")),
        # What follows was not recorded: the first answer stands.
        (("8", None, None), None, Tried(True, True, 3, "decompose")),
    ],
)
def test_the_first_answer_is_instant_and_the_rest_is_auto(
    given: tuple[str | None, ...], program: str | None, expected: Tried
) -> None:
    assert tried(*given, program=program) == expected


def test_a_check_asks_for_the_next_answer_until_one_passes() -> None:
    question = Question(id="1", question="4 5 6 10", gold=None, samples=tuple(said("4+5+6+10", right="")))
    (worst,) = auto.in_orders(question, 1, checked=True)
    assert (worst.instant, worst.auto, worst.way) == (False, False, "verify")
    right = "(5*(10-4))-6"
    good = question.model_copy(update={"samples": tuple(said("4+5+6+10", right, right=right))})
    runs = auto.in_orders(good, 6, checked=True)
    assert all(each.auto for each in runs)
    assert {(each.instant, each.samples) for each in runs if each.instant} == {(True, 1)}
    assert any(not each.instant for each in runs)


def test_the_table_tells_what_was_won_and_lost() -> None:
    row = Row(
        "mine", [[Tried(False, True, 9, "vote")], [Tried(True, False, 9, "vote")], [Tried(True, True, 3, "instant")]]
    )
    *_, last = auto.table([row]).splitlines()
    assert last == "| mine | 3 | 66.7 % | 66.7 % | +0.0 ± 113.2 | 33.3 % | 33.3 % | 7.0 | vote 67 %, instant 33 % |"
    assert auto.worse([row]) == []
    assert auto.worse([Row("bad", [[Tried(True, False, 9, "vote")]] * 9)]) == ["bad"]


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"there are no recordings in {FOLDER}; set CONTEMPLATE_DATA")
def test_on_real_answers_it_is_not_worse() -> None:
    questions = load(FOLDER)["zeroeval_gsm"][:40]
    row = Row("zeroeval_gsm", [auto.in_orders(each, 1, checked=False) for each in questions])
    assert auto.worse([row]) == []
    assert sum(each.auto for each in row.runs) >= sum(each.instant for each in row.runs)
    assert {each.way for each in row.runs} <= {"instant", "vote"}
    assert all(3 <= each.samples <= 9 for each in row.runs)
