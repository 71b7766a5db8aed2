"""What each task is doing, and how a run stands as a whole, by its events."""

from __future__ import annotations

import pytest

from contemplate import Plan, RunResult, Task, TaskResult
from contemplate.events import (
    CallName,
    Event,
    ModelCalled,
    OutputDelta,
    PlanDelta,
    PlanReady,
    RunFailed,
    RunStarted,
    TaskDelta,
    TaskFinished,
    TaskPlanned,
    TaskStarted,
    ToolFinished,
    ToolProgress,
    ToolStarted,
    VoteCounted,
)
from contemplate.result import ErrorInfo, Outcome
from contemplate.usage import Usage
from contemplate.views.run_progress import RunProgress
from contemplate.views.run_stage import RunStage
from contemplate.views.task_states import TAIL, TaskStates

A, B = Task(id="a", prompt="?", title="Ink"), Task(id="b", prompt="?", needs=("a",))


def states_after(*events: Event) -> TaskStates:
    states = TaskStates()
    for event in events:
        states.add(event)
    return states


def said(*events: Event) -> list[str]:
    return [state.said for state in states_after(*events)]


def ended(task: Task, outcome: Outcome = "answered", **fields: object) -> TaskFinished:
    return TaskFinished(result=TaskResult(task=task, outcome=outcome, seconds=2, **fields))  # type: ignore[arg-type]


PLANNED = (TaskPlanned(task=A), TaskPlanned(task=B))
BEGUN = (*PLANNED, TaskStarted(task_id="a", model="m"))


@pytest.mark.parametrize(
    ("events", "first"),
    [
        ((), ""),
        ((TaskDelta(task_id="a", text="so "), TaskDelta(task_id="a", reasoning="it is")), "so it is"),
        ((TaskDelta(task_id="a", text="so"), TaskDelta(task_id="a", text="no", restart=True)), "no"),
        ((TaskDelta(task_id="a", text="x" * 900),), "x" * TAIL),
        ((ToolStarted(task_id="a", tool="look", call_id="c"),), "uses look ..."),
        ((ToolProgress(task_id="a", tool="look", call_id="c", message="page 2"),), "look: page 2 ..."),
        (
            (
                ToolStarted(task_id="a", tool="t", call_id="c"),
                ToolFinished(task_id="a", tool="t", call_id="c", seconds=1),
            ),
            "",
        ),
        ((ended(A, usage=Usage(output_tokens=1234)),), "answered after 2.0 s, 1,234 tokens"),
        ((ended(A, "failed", error=ErrorInfo(kind="E", message="no ink")),), "failed after 2.0 s: no ink"),
    ],
)
def test_what_a_task_is_doing_is_said(events: tuple[Event, ...], first: str) -> None:
    assert said(*BEGUN, *events) == [first, "waits for Ink"]


def test_what_is_not_in_view_is_of_no_task() -> None:
    answer = Task(id="x", prompt="?", kind="answer")
    elsewhere: tuple[Event, ...] = (
        *(TaskStarted(task_id="x", model="m"), TaskDelta(task_id="x", text="t"), ended(answer)),
        *(
            ToolStarted(task_id="x", tool="t", call_id="c"),
            ToolProgress(task_id="x", tool="t", call_id="c", message="m"),
        ),
        ToolFinished(task_id="x", tool="t", call_id="c", seconds=1),
    )
    assert said(TaskPlanned(task=answer), *elsewhere) == []
    inner = TaskDelta(task_id="a", text="of a run within it")
    inner.stamp("r", "b", 0)
    assert said(*PLANNED, inner) == ["waiting", "waits for Ink"]
    assert said(TaskPlanned(task=Task(id="c", prompt="?", needs=("x",)))) == ["waits for x"]


def test_a_run_that_is_stopped_leaves_no_task_at_work() -> None:
    states = states_after(*BEGUN)
    assert (states.ended, states.done, len(states)) == (0, False, 2)
    states.stop()
    assert [(state.status, state.said) for state in states] == [("stopped", "stopped"), ("not started", "not started")]
    assert (states.ended, states.done) == (2, True)


def test_of_many_those_come_first_that_are_at_work_or_went_wrong() -> None:
    tasks = [Task(id=name, prompt="?") for name in "abcd"]
    states = states_after(*(TaskPlanned(task=task) for task in tasks), TaskStarted(task_id="d", model="m"))
    states.add(ended(tasks[0]))
    states.add(ended(tasks[1], "capped"))
    for room, chosen in enumerate(["", "d", "cd", "bcd", "abcd"]):
        assert "".join(state.task.id for state in states.chosen(room)) == chosen


def test_a_result_has_the_states_in_which_its_run_left_them() -> None:
    late = Task(id="c", prompt="?")
    done = (TaskResult(task=A, outcome="answered"), TaskResult(task=late, outcome="failed"))
    result = RunResult[str](run_id="r", question="q", output="", text="", plan=Plan(tasks=(A, B)), tasks=done)
    states = TaskStates.of(result)
    assert [(state.task.id, state.status) for state in states] == [
        ("a", "answered"),
        ("b", "not started"),
        ("c", "failed"),
    ]
    assert [state.result for state in states] == [done[0], None, done[1]]
    assert [states.depth(each) for each in "abc"] == [0, 1, 0]


def test_how_a_run_stands_is_told_stage_by_stage() -> None:
    stage, tasks = RunStage(), TaskStates()

    def after(*events: Event) -> list[str]:
        for event in events:
            stage.add(event)
            tasks.add(event)
        # Behind the clock and the speed, which are real.
        return [each for each in stage.parts(tasks, str.upper)[1:] if "tokens/s" not in each and "left" not in each]

    called = ModelCalled(
        name=CallName(run="r", role="planner"), model="m", usage=Usage(calls=1, cost_usd=0.5), seconds=1
    )
    assert after(RunStarted(question="q", model="gpt")) == ["asking gpt"]
    assert after(PlanDelta(text='{"title": "In')) == ["planning In"]
    assert after(PlanDelta(text='k", "title": "Pap')) == ["planning Pap"]
    assert after(called, *PLANNED, PlanReady(plan=Plan())) == ["1 call", "$0.5000"]
    assert after(VoteCounted(task_id="a", votes={"42": 2, "7": 1}, decided=False)) == [
        "1 call",
        "$0.5000",
        "2 of 3 said 42",
    ]
    assert after(called, ended(A), ended(B))[::3] == ["2 calls", "merging"]
    assert after(OutputDelta(reasoning="so it is"))[-1] == "thinking SO IT IS"
    called.stamp("r", "a", 0)
    assert after(called, PlanDelta(text="x"))[0] == "3 calls"


def test_what_was_reached_is_a_result() -> None:
    progress = RunProgress()
    started = RunStarted(question="q", model="m")
    started.stamp("r1", "", 0)
    failed = RunFailed(error=ErrorInfo(kind="E", message="m"), usage=Usage(), seconds=3)
    texts = (OutputDelta(text="No."), OutputDelta(text="It ", restart=True), OutputDelta(text="is."))
    for event in (started, *PLANNED, ended(A), *texts, failed):
        progress.add(event)
    reached = progress.partial()
    assert (reached.run_id, reached.question, reached.text, reached.seconds) == ("r1", "q", "It is.", 3)
    assert (reached.complete, [each.id for each in reached.tasks], len(reached.plan.tasks)) == (False, ["a"], 2)
