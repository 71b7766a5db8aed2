"""Puzzles that are made and checked by programs, and the ways in which they are asked."""

from __future__ import annotations

import re
from datetime import date
from fractions import Fraction
from itertools import permutations
from pathlib import Path
from random import Random

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import measured
from benchmarks.game24 import makes_24
from benchmarks.measured_cli import asked_in, together
from benchmarks.puzzle_kinds import KINDS, NAMES, puzzles, solvable, stated
from benchmarks.puzzles import found_of, questions_of, report, ways
from contemplate.journal import Journal
from contemplate.models import ModelRequest
from contemplate.testing import ScriptedModel

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "ways.md"
RAW = ROOT / "benchmarks/results/puzzles-1.5b.jsonl.gz"


def guesses() -> list[str]:
    """All answers to puzzles of logic."""
    return [", ".join(each) for size in (1, 2, 3, 4) for each in permutations(NAMES, size)]


def test_puzzles_are_the_same_for_a_seed_and_of_all_kinds_in_turn() -> None:
    made = puzzles(4, 0)
    assert [each.question for each in made] == [each.question for each in puzzles(4, 0)]
    assert [each.id.split("-")[0] for each in made] == [*KINDS] * 4
    # More of them begin with the same.
    assert [each.question for each in made] == [each.question for each in puzzles(6, 0)][:12]
    assert {each.question for each in made}.isdisjoint(each.question for each in puzzles(4, 1))


@given(st.integers(0, 10_000))
def test_a_puzzle_of_logic_has_one_solution(seed: int) -> None:
    made = KINDS["logic"](Random(seed))
    for question, check in (next(made), next(made)):
        right = [each for each in guesses() if not check(each)]
        assert len({frozenset(each.split(", ")) for each in right}) == 1, question
        if "race" in question:
            assert len(right) == 1
        assert check("nobody")


@given(st.integers(0, 10_000))
def test_a_game_of_24_can_be_won(seed: int) -> None:
    question, check = next(KINDS["24"](Random(seed)))
    numbers = [int(each) for each in re.findall(r"\d+", question.partition("numbers")[2])[:4]]
    assert solvable(tuple(map(Fraction, numbers)))
    assert check(" + ".join(map(str, numbers))) == ("" if sum(numbers) == 24 else "The expression does not equal 24.")
    assert "uses no numbers" in check("I do not know")


def test_an_expression_is_read_as_people_write_it() -> None:
    question, check = next(KINDS["24"](Random("0/24")))
    assert "1, 3, 4, 10" in question
    assert not makes_24("1 3 4 10", "(10 - 4) * 3 + 1")
    for right in ("(10 - 4) * (3 + 1)", "(10 - 4) \u00d7 (3 + 1) = 24", r"(10 - 4) \times (3 + 1)"):
        assert check(stated(f"So it is.\n**Answer: `{right}`**")) == ""


def test_dates_are_those_of_the_calendar() -> None:
    made = KINDS["dates"](Random(0))
    (weekday, _), (_, days), (then, is_then) = next(made), next(made), next(made)
    assert "What day of the week" in weekday
    assert sum(not days(str(each)) for each in range(20, 200)) == 1
    assert "Answer in the form" in then
    assert sum(not is_then(date.fromordinal(each).isoformat()) for each in range(730_000, 742_000)) == 1


def test_what_was_said_is_checked_again_without_the_model(tmp_path: Path) -> None:
    made = puzzles(2, 0)
    logic = [each for each in made if "logic" in each.id]
    right = {each.question: next(say for say in guesses() if not each.check(say)) for each in logic}

    def model(request: ModelRequest) -> str:
        said = "\n".join(message.text for message in request.messages)
        answer = next((right[question] for question in right if question in said), "nothing")
        if "from tools import ask" in said:
            return '```python\nprint(ask("What is it?"))\n```'
        if "```python" in said:
            return f"```python\nprint({answer!r})\n```"
        greedy = request.settings.temperature == 0 and "fence" not in said
        return f"Answer: {'nothing' if greedy else answer}"

    asked, questions, journal = ways(made), questions_of(made), Journal()
    kept = measured.Kept()
    for name, way in asked.items():
        asked_model = ScriptedModel(model, name="m")
        anyio.run(asked_in, {name: way}, questions, measured.Models(asked_model, asked_model), journal, kept)
        kept = together(asked, questions, journal, kept)
    measured.write(tmp_path / "raw.gz", kept)
    again = measured.read(tmp_path / "raw.gz")
    found = found_of("logic", made, again)
    shares = {way: [each.score for each in found[way].outcomes] for way in found}
    assert shares.pop("greedy") == [0, 0]
    assert all(all(rights) for rights in shares.values()), shares
    calls_made = {way: [each.usage.calls for each in found[way].outcomes] for way in found}
    assert calls_made["verify by the check"] == [2, 2]
    assert calls_made["first of 5 that passes"] == calls_made["code, mended by the check"] == [1, 1]
    assert report(made, again).count("| vote |") == 3


@pytest.mark.skipif(not RAW.exists(), reason=f"{RAW.name} is not there")
def test_the_docs_show_what_was_measured() -> None:
    assert report(puzzles(20, 0), measured.read(RAW)) in PAGE.read_text("utf-8")
