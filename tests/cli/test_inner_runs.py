"""Runs within tasks, told in their tasks' lines, and plans as trees."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from contemplate import Task, TaskResult
from contemplate.cli.live_view import LiveView
from contemplate.cli.plain_view import PlainView
from contemplate.cli.task_rows import TaskRows
from contemplate.events import (
    CallName,
    Event,
    ModelCalled,
    Noted,
    RunStarted,
    StandingsChanged,
    TaskFinished,
    TaskPlanned,
    TaskStarted,
    VoteCounted,
)
from contemplate.usage import Usage
from contemplate.views.inner_runs import InnerRuns
from contemplate.views.plan_tree import PlanTree
from contemplate.views.task_states import TaskStates

TITLED = Task(id="a", prompt="?", title="Count")


def within(event: Event, path: str = "a") -> Event:
    event.stamp("r", path, 0)
    return event


def called(role: str = "subagent", **usage: float) -> ModelCalled:
    name = CallName(run="r", role=role)  # type: ignore[arg-type]
    return ModelCalled(name=name, model="m", usage=Usage(calls=1, **usage), seconds=1)  # type: ignore[arg-type]


def sampled() -> list[Event]:
    """Three samples of a task, of which two are answered, and one asks a run of its own."""
    samples = [Task(id=f"sample-{number}", prompt="?") for number in (1, 2, 3)]
    events: list[Event] = [TaskPlanned(task=TITLED), TaskStarted(task_id="a", model="m")]
    events += [within(TaskPlanned(task=sample)) for sample in samples]
    events += [within(called()), within(called()), within(called(), "a/sample-3")]
    events += [within(TaskFinished(result=TaskResult(task=sample, outcome="answered"))) for sample in samples[:2]]
    events.append(within(VoteCounted(task_id="sample-2", votes={"42": 2}, decided=False)))
    events.append(within(VoteCounted(task_id="x", votes={"elsewhere": 9}, decided=False), "a/sample-3"))
    return events


def test_a_run_within_a_task_is_a_few_words() -> None:
    runs = InnerRuns()
    assert runs.text("a") == ""
    for event in sampled():
        runs.add(event)
    assert runs.text("a") == "2/3 tasks, 3 calls, 2 of 2 said 42"


@pytest.mark.parametrize(
    ("path", "owner"),
    [("a", "a"), ("a/b", "a/b"), ("a/b/c", "a/b"), ("a#2", "a"), ("a/search:0123ab", "a"), ("ab", "")],
)
def test_a_run_belongs_to_the_task_that_its_path_names(path: str, owner: str) -> None:
    runs = InnerRuns()
    for task in ("a", "a/b"):
        runs.add(TaskPlanned(task=Task(id=task, prompt="?")))
    runs.add(within(called(), path))
    assert {task for task in ("a", "a/b") if runs.text(task) == "1 call"} == {owner} - {""}


def test_rows_tell_it() -> None:
    console = Console(width=80)
    states = TaskStates()
    rows = TaskRows(console, states)
    for event in sampled():
        states.add(event)
    with console.capture() as shown:
        console.print(*rows.lines(9))
    assert shown.get().split() == ["▸", "Count", "2/3", "tasks,", "3", "calls,", "2", "of", "2", "said", "42"]
    states.add(TaskFinished(result=TaskResult(task=TITLED, outcome="answered", seconds=2)))
    with console.capture() as shown:
        console.print(rows.table())
    assert "answered after 2.0 s, 0 tokens (2/3 tasks, 3 calls, 2 of 2 said 42)" in " ".join(shown.get().split())


def test_lines_tell_it_once_the_task_is_over(capsys: pytest.CaptureFixture[str]) -> None:
    view = PlainView(quiet=False, beat=1000)
    for event in [*sampled(), within(Noted(message="mended"))]:
        view.show(event)
    view.show(TaskFinished(result=TaskResult(task=TITLED, outcome="answered", seconds=2)))
    assert capsys.readouterr().err.splitlines() == [
        "a (Count): planned",
        "a (Count): started",
        "[a] Note: mended",
        "a (Count): answered after 2.0 s (2/3 tasks, 3 calls, 2 of 2 said 42)",
    ]


def test_the_last_lines_tell_the_calls_the_money_and_the_vote() -> None:
    view = LiveView(markdown=False)
    view._console = Console(width=80)
    view._area = None
    view._over = True  # nothing is drawn
    view.show(RunStarted(question="?", model="m"))
    view.show(called(cost_usd=0.0123))
    view.show(VoteCounted(task_id="1", votes={"42": 3, "41": 1}, decided=False))
    line = view._footer()[0].plain
    assert "· 1 call · $0.0123 · 3 of 4 said 42" in line
    view.show(StandingsChanged(points={"sample-2": 2, "sample-1": 1}, decided=False))
    assert "· $0.0123 · sample-2 is first with 2 points" in view._footer()[0].plain
    view._console = Console(width=40)
    assert [len(each.plain) <= 37 for each in view._footer()] == [True, True]


@given(st.lists(st.sets(st.integers(0, 11)), max_size=12))
def test_a_tree_has_each_task_below_one_that_it_needs(plan: list[set[int]]) -> None:
    tree = PlanTree()
    needs = {str(at): [str(need) for need in sorted(each) if need < at] for at, each in enumerate(plan)}
    for name, needed in needs.items():
        at_end = tree.add(Task(id=name, prompt="?", needs=tuple(needed)))
        assert at_end == (tree.order[-1] == name)
    assert sorted(tree.order, key=int) == list(needs)
    above: list[str] = []
    for name in tree.order:
        depth = tree.depth(name)
        assert depth <= len(above)
        del above[depth:]
        assert depth == max((tree.depth(need) + 1 for need in needs[name]), default=0)
        if depth:
            assert above[-1] in needs[name]
        above.append(name)
