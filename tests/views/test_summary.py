"""The line that sums up a run."""

from __future__ import annotations

from contemplate import RunResult
from contemplate.events import StandingsChanged, VoteCounted
from contemplate.views.summary import leading, summary_line


def test_how_a_vote_ended() -> None:
    result = RunResult[str](
        run_id="r", question="q", output="So.\nAnswer: 7", text="", answer="7", votes={"7": 2, "8": 1}, seconds=1
    )
    assert summary_line(result).startswith("2 of 3 said 7 · 0 calls")


def test_how_a_tournament_ended() -> None:
    result = RunResult[str](run_id="r", question="q", output="So.", text="", points={"a": 2.5, "b": 1})
    assert summary_line(result).startswith("a is first with 2.5 points · 0 calls")


def test_who_is_ahead() -> None:
    assert leading(VoteCounted(task_id="a", votes={"7": 2, "8": 1}, decided=False)) == "2 of 3 said 7"
    assert leading(StandingsChanged(points={"a": 1, "b": 0.5}, decided=False)) == "a is first with 1 point"
    assert leading(VoteCounted(task_id="a", votes={}, decided=False)) == ""


def test_a_long_answer_is_cut() -> None:
    result = RunResult[str](run_id="r", question="q", output="", text="", answer="a\nb " * 100, votes={"k": 1})
    line = summary_line(result)
    assert line.startswith("1 of 1 said a b a b")
    assert "... · 0 calls" in line
    assert len(line) < 150
    assert "\n" not in line


def test_without_a_vote_nothing_is_said_of_it() -> None:
    assert summary_line(RunResult[str](run_id="r", question="q", output="", text="")).startswith("0 calls")
