"""The clock of a run, its speed and the time it has left; and the sign of life where nothing else moves."""

from __future__ import annotations

import threading

import pytest

from contemplate.cli.heartbeat import Heartbeat
from contemplate.cli.plain_view import PlainView
from contemplate.events import (
    CallName,
    ModelCalled,
    OutputDelta,
    PlanDelta,
    PlanReady,
    RunStarted,
    TaskDelta,
    TaskFinished,
    TaskPlanned,
)
from contemplate.plan import Plan, Task
from contemplate.result import RunResult, TaskResult
from contemplate.usage import Usage
from contemplate.views.pace import ANSWER_TOKENS, PART_TOKENS, Pace

PATIENCE = 240
CALLED = ModelCalled(name=CallName(run="r", role="planner"), model="m", usage=Usage(), seconds=10)
FOUR_TOKENS = "word " * 3 + "."


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    return Pace(clock)


def test_before_anything_is_written_it_is_a_clock(pace: Pace, clock: Clock) -> None:
    clock.seconds = 83
    assert pace.text() == "1:23"


def test_the_speed_is_that_of_the_last_seconds(pace: Pace, clock: Clock) -> None:
    clock.seconds = 5
    pace.add(PlanDelta(text=FOUR_TOKENS * 10))
    assert pace.text() == "0:05 · 8 tokens/s"
    clock.seconds = 60
    assert pace.speed == 0
    pace.add(TaskDelta(task_id="1", text=FOUR_TOKENS * 5, reasoning=FOUR_TOKENS * 5))
    assert pace.text() == "1:00 · 4 tokens/s"
    assert pace.tokens == 80


def test_the_time_left_is_told_once_the_speed_and_the_plan_are_known(pace: Pace, clock: Clock) -> None:
    clock.seconds = 10
    pace.add(PlanDelta(text=FOUR_TOKENS * 25))
    for name in ("1", "2"):
        pace.add(TaskPlanned(task=Task(id=name, prompt="p")))
    assert pace.seconds_left is None
    pace.add(CALLED)
    assert pace.seconds_left is None
    pace.add(PlanReady(plan=Plan()))
    # 100 tokens took ten seconds.
    assert pace.seconds_left == pytest.approx((2 * PART_TOKENS + ANSWER_TOKENS) / 10)
    pace.add(TaskFinished(result=TaskResult(task=Task(id="1", prompt="p"), index=0, outcome="answered", text="x")))
    assert pace.seconds_left == pytest.approx((PART_TOKENS + ANSWER_TOKENS) / 10)
    assert pace.text() == "0:10 · 10 tokens/s · about 35 s left"
    pace.add(TaskFinished(result=TaskResult(task=Task(id="2", prompt="p"), index=1, outcome="answered", text="x")))
    pace.add(OutputDelta(text="x" * 4 * ANSWER_TOKENS))
    assert pace.seconds_left == 0, "what is longer than usual is told no time"


def test_of_a_direct_answer_no_time_is_guessed_and_its_text_counts_once(pace: Pace, clock: Clock) -> None:
    clock.seconds = 1
    pace.add(TaskPlanned(task=Task(id="answer", prompt="p", kind="answer")))
    pace.add(PlanReady(plan=Plan()))
    pace.add(TaskDelta(task_id="answer", text=FOUR_TOKENS))
    pace.add(OutputDelta(text=FOUR_TOKENS))
    pace.add(CALLED)
    assert pace.tokens == 4
    assert pace.seconds_left is None


def test_a_heartbeat_beats_until_it_is_stopped() -> None:
    twice = threading.Semaphore(0)
    heart = Heartbeat(0.001, twice.release)
    heart.start()
    heart.start()
    assert twice.acquire(timeout=PATIENCE)
    assert twice.acquire(timeout=PATIENCE)
    heart.stop()
    assert heart._thread is not None
    assert not heart._thread.is_alive()


def test_who_cannot_be_told_is_told_no_more() -> None:
    def beat() -> None:
        raise BrokenPipeError

    heart = Heartbeat(0.001, beat)
    heart.start()
    assert heart._thread is not None
    heart._thread.join(PATIENCE)
    assert not heart._thread.is_alive()
    heart.stop()


@pytest.mark.parametrize("quiet", [False, True])
def test_in_a_pipe_a_line_shows_now_and_then_that_a_run_goes_on(
    quiet: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    beaten = threading.Event()

    def say(line: str) -> None:
        lines.append(line)
        beaten.set()

    lines: list[str] = []
    monkeypatch.setattr("contemplate.cli.plain_view.say", say)
    view = PlainView(quiet=quiet, beat=0.001)
    view.show(RunStarted(question="q", model="m"))
    assert quiet or beaten.wait(PATIENCE)
    result = RunResult[str](run_id="r", question="q", output="a", text="a", plan=Plan(), tasks=(), usage=Usage())
    view.finish(result)
    assert capsys.readouterr().out == "a\n"
    assert [line for line in lines if line.startswith("... 0:0")] if not quiet else lines == []
