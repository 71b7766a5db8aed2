"""What a client reads of a run: progress first, then the answer, and never a wrong one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from contemplate.events import CallName, Event, ModelCalled, Noted, OutputDelta, TaskFinished, TaskPlanned
from contemplate.models.base import Finish
from contemplate.plan import Task
from contemplate.result import ErrorInfo, RunResult, TaskResult
from contemplate.server.pieces import Pieces
from contemplate.server.progress import MAX_LINE, Progress
from contemplate.usage import Usage


def result(text: str, *, complete: bool = True, stopped_by: str | None = None) -> RunResult[str]:
    return RunResult[str](run_id="run", question="?", output=text, text=text, complete=complete, stopped_by=stopped_by)


def called(finish: Finish | None, *, task: str | None = None) -> ModelCalled:
    name = CallName(run="run", role="subagent" if task else "aggregator", task=task)
    return ModelCalled(name=name, model="m", usage=Usage(), seconds=0.1, finish=finish)


def read(events: list[Event], end: RunResult[str]) -> tuple[str, bool]:
    """The answer as a client puts it together, and whether it would have had to be called back."""
    pieces, text, restarted = Pieces(), "", False
    for piece in [*map(pieces.of, events), pieces.rest(end)]:
        if piece is not None:
            restarted |= piece.restart
            text = piece.content if piece.restart else text + piece.content
    return text, restarted


def test_an_answer_that_was_not_streamed_is_given_once() -> None:
    assert read([Noted(message="counted")], result("42")) == ("42", False)


def test_an_answer_that_repeats_itself_goes_on_where_it_broke_off() -> None:
    events: list[Event] = [
        OutputDelta(text="The sea "),
        OutputDelta(restart=True),
        OutputDelta(text="The "),
        OutputDelta(text="sea is salty."),
    ]
    pieces = Pieces()
    assert [piece.content for piece in map(pieces.of, events) if piece is not None] == ["The sea ", "is salty."]
    assert pieces.rest(result("The sea is salty.")) is None


def test_an_answer_that_changes_its_mind_is_a_restart() -> None:
    events: list[Event] = [OutputDelta(text="Yes"), OutputDelta(restart=True), OutputDelta(text="No, never")]
    assert read(events, result("No, never")) == ("No, never", True)


def test_an_answer_that_ends_earlier_than_it_did_before_is_a_restart() -> None:
    events: list[Event] = [OutputDelta(text="Yes, but"), OutputDelta(restart=True), OutputDelta(text="Yes")]
    assert read(events, result("Yes")) == ("Yes", True)


def test_words_before_a_tool_call_stay_before_the_answer() -> None:
    events: list[Event] = [
        TaskPlanned(task=Task(id="answer", prompt="?", kind="answer")),
        OutputDelta(text="Let me look."),
        called("tool_calls", task="answer"),
        OutputDelta(reasoning="Four?"),
        OutputDelta(restart=True),
        OutputDelta(text="It "),
        OutputDelta(text="is 4."),
        called("stop", task="answer"),
    ]
    assert read(events, result("It is 4.")) == ("Let me look.\n\nIt is 4.", False)


def test_words_before_a_tool_call_that_nothing_follows_are_the_answer() -> None:
    events: list[Event] = [OutputDelta(text="Let me look."), called("tool_calls")]
    assert read(events, result("Let me look.", complete=False)) == ("Let me look.", False)


def test_calls_of_other_tasks_do_not_end_the_answer() -> None:
    events: list[Event] = [OutputDelta(text="It "), called("stop", task="1"), OutputDelta(text="is 4.")]
    assert read(events, result("It is 4.")) == ("It is 4.", False)


def test_what_the_writer_thinks_is_reasoning_and_stands_on_lines_of_its_own() -> None:
    pieces = Pieces()
    events: list[Event] = [OutputDelta(reasoning="Hmm, "), OutputDelta(reasoning="salt"), Noted(message="mended")]
    said = [piece.reasoning for piece in map(pieces.of, events) if piece is not None]
    assert "".join(said) == "Hmm, salt\nNote: mended\n"


@given(st.lists(st.lists(st.sampled_from(["a", "b", "ab", "ba ", "\n"]), max_size=6), min_size=1, max_size=4))
def test_whatever_breaks_off_the_client_has_the_answer_or_knows_that_it_has_not(attempts: list[list[str]]) -> None:
    events: list[Event] = []
    for number, attempt in enumerate(attempts):
        events += [OutputDelta(restart=True)] * (number > 0)
        events += [OutputDelta(text=text) for text in attempt]
    final = "".join(attempts[-1])
    text, restarted = read(events, result(final))
    assert text == final
    if all(final.startswith("".join(attempt)) for attempt in attempts):
        assert not restarted


def test_the_finish_reason_says_whether_the_answer_was_cut() -> None:
    pieces = Pieces()
    pieces.of(called("stop"))
    assert pieces.finish_reason(result("whole")) == "stop"
    assert pieces.finish_reason(result("a part is missing", complete=False)) == "stop"
    assert pieces.finish_reason(result("so far", complete=False, stopped_by="seconds")) == "length"
    pieces.of(called("length"))
    assert pieces.finish_reason(result("cut in the mid", complete=False)) == "length"


def test_a_deadline_in_the_answer_leaves_what_was_read() -> None:
    text, restarted = read([OutputDelta(text="Half an ")], result("## Cost\n...", complete=False, stopped_by="seconds"))
    assert (text, restarted) == ("Half an ", False)


def test_a_line_is_one_line_without_secrets() -> None:
    task = Task(id="1", prompt="?", title="Look\nup")
    error = ErrorInfo(kind="ModelError", message="http://me:hunter2@host/v1 refused sk-abcdef123456 " + "x" * 999)
    line = Progress().line(TaskFinished(result=TaskResult(task=task, outcome="failed", error=error, seconds=1.5)))
    assert line is not None
    assert line.startswith("Failed: Look up (1.5 s): http://[secret]@host/v1 refused [secret] xxx")
    assert len(line) == MAX_LINE


def test_a_task_that_is_the_question_itself_is_no_news_unless_it_fails() -> None:
    progress, task = Progress(), Task(id="answer", prompt="?", kind="answer", title="Answer")
    assert progress.line(TaskPlanned(task=task)) is None
    assert progress.line(TaskFinished(result=TaskResult(task=task, outcome="answered"))) is None
    assert progress.line(TaskFinished(result=TaskResult(task=task, outcome="failed"))) == "Failed: Answer (0.0 s)"
