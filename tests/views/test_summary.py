"""The line that sums up a run."""

from __future__ import annotations

from contemplate import RunResult
from contemplate.views.summary import summary_line


def test_how_a_vote_ended() -> None:
    result = RunResult[str](
        run_id="r", question="q", output="So.\nAnswer: 7", text="", answer="7", votes={"7": 2, "8": 1}, seconds=1
    )
    assert summary_line(result).startswith("2 of 3 said 7 · 0 calls")


def test_a_long_answer_is_cut() -> None:
    result = RunResult[str](run_id="r", question="q", output="", text="", answer="a\nb " * 100, votes={"k": 1})
    line = summary_line(result)
    assert line.startswith("1 of 1 said a b a b")
    assert "... · 0 calls" in line
    assert len(line) < 150
    assert "\n" not in line


def test_without_a_vote_nothing_is_said_of_it() -> None:
    assert summary_line(RunResult[str](run_id="r", question="q", output="", text="")).startswith("0 calls")
