"""What is said of a run while it works: short lines, in the same words for every face."""

from __future__ import annotations

import pytest

from contemplate.events import (
    CallName,
    ContextCondensed,
    Event,
    LimitReached,
    ModelCalled,
    Noted,
    PlanDelta,
    StandingsChanged,
    TaskFinished,
    TaskPlanned,
    TaskStarted,
    TaskTold,
    ToolFinished,
    ToolProgress,
    ToolStarted,
    VoteCounted,
)
from contemplate.plan import Task
from contemplate.result import ErrorInfo, Outcome, TaskResult
from contemplate.usage import Usage
from contemplate.views.event_lines import MAX_LINE, EventLines

COST = Task(id="1", prompt="?", title="Cost")
RISK = Task(id="2", prompt="?", title="Risk", needs=("1",))
DOWN = ErrorInfo(kind="ToolError", message="it is\ndown")
RUN: list[Event] = [
    PlanDelta(text="{"),
    TaskPlanned(task=COST),
    PlanDelta(text="}"),
    TaskPlanned(task=RISK),
    TaskStarted(task_id="1", model="m"),
    TaskTold(task_id="1", text="in metres"),
    ToolStarted(task_id="1", tool="search", call_id="c"),
    ToolProgress(task_id="1", tool="search", call_id="c", message="page\n2 with key sk-abcdefghijklmnop1234"),
    ToolFinished(task_id="1", tool="search", call_id="c", seconds=0.1, error=DOWN),
    ToolFinished(task_id="1", tool="search", call_id="d", seconds=0.1),
    ContextCondensed(task_id="1", turns=12, tokens_before=9000, tokens_after=4000),
    ModelCalled(name=CallName(run="r", role="subagent", task="1"), model="m", usage=Usage(), seconds=0.1),
    TaskFinished(result=TaskResult(task=COST, outcome="answered", seconds=1.25)),
    Noted(message="mended"),
    LimitReached(limit="seconds"),
]


def lines(events: list[Event], *, show_ids: bool = False) -> list[str]:
    shown = EventLines(show_ids=show_ids)
    return [line for line in map(shown.line, events) if line is not None]


def test_a_run_in_lines() -> None:
    assert lines(RUN) == [
        "Planning",
        "Cost: planned",
        "Risk: planned, after Cost",
        "Cost: started",
        "Cost: is sent a message",
        "Cost: uses search",
        "Cost: search: page 2 with key [secret]",
        "Cost: search failed: it is down",
        "Cost: 12 old turns condensed, from about 9,000 to 4,000 tokens",
        "Cost: answered after 1.2 s",
        "Note: mended",
        "Limit reached: seconds; concluding from what arrived",
    ]


def test_with_ids_where_they_are_of_use() -> None:
    assert lines(RUN, show_ids=True)[1:4] == [
        "1 (Cost): planned",
        "2 (Risk): planned, after 1 (Cost)",
        "1 (Cost): started",
    ]


def test_a_task_without_a_title_is_called_by_its_id() -> None:
    events: list[Event] = [TaskPlanned(task=Task(id="a", prompt="?")), TaskStarted(task_id="a", model="m")]
    assert lines(events, show_ids=True) == lines(events) == ["a: planned", "a: started"]


def test_candidates_are_not_told_of_before_they_start() -> None:
    candidate = Task(id="sample-1", prompt="?", kind="candidate")
    assert lines([TaskPlanned(task=candidate), TaskStarted(task_id="sample-1", model="m")]) == ["sample-1: started"]
    vote = VoteCounted(task_id="sample-1", votes={"42": 2, "41": 1}, decided=True)
    assert lines([vote]) == ["Votes: 42 (2), 41 (1); decided"]


@pytest.mark.parametrize(
    ("score", "said"),
    [
        (1.0, "Cost beats b"),
        (0.2, "b beats Cost"),
        (0.5, "Cost and b draw"),
        (None, "no verdict on Cost and b"),
    ],
)
def test_the_comparisons_of_a_tournament(score: float | None, said: str) -> None:
    begin = StandingsChanged(points={"1": 0.5, "b": 0}, decided=False)
    then = StandingsChanged(points={"1": 1.5, "b": 0.123}, decided=True, round=1, pair=("1", "b"), score=score)
    assert lines([TaskPlanned(task=COST), begin, then])[1:] == [
        "Tournament: Cost (0.5), b (0)",
        f"Tournament, round 1: {said}; Cost (1.5), b (0.123); decided",
    ]


@pytest.mark.parametrize(
    ("outcome", "said"),
    [("answered", "answered"), ("capped", "cut short"), ("failed", "failed"), ("cancelled", "stopped")],
)
def test_the_ends_of_tasks_in_plain_words(outcome: Outcome, said: str) -> None:
    finished = TaskFinished(result=TaskResult(task=COST, outcome=outcome))
    assert lines([TaskPlanned(task=COST), finished])[1:] == [f"Cost: {said} after 0.0 s"]


def test_a_line_is_one_line_without_secrets() -> None:
    task = Task(id="1", prompt="?", title="Look\nup")
    error = ErrorInfo(kind="ModelError", message="http://me:hunter2@host/v1 refused sk-abcdef123456 " + "x" * 999)
    finished = TaskFinished(result=TaskResult(task=task, outcome="failed", error=error, seconds=1.5))
    _, line = lines([TaskPlanned(task=task), finished])
    assert line.startswith("Look up: failed after 1.5 s: http://[secret]@host/v1 refused [secret] xxx")
    assert len(line) == MAX_LINE


def test_a_task_that_is_the_question_itself_is_no_news_unless_it_fails() -> None:
    task = Task(id="answer", prompt="?", kind="answer", title="Answer")
    events: list[Event] = [TaskPlanned(task=task), TaskStarted(task_id="answer", model="m")]
    assert lines([*events, TaskFinished(result=TaskResult(task=task, outcome="answered"))]) == []
    failed = TaskFinished(result=TaskResult(task=task, outcome="failed"))
    assert lines([*events, failed]) == ["Answer: failed after 0.0 s"]
