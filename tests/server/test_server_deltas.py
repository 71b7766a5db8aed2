"""What a client reads of a run: progress first, then the answer, and never a wrong one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from contemplate.events import CallName, Event, ModelCalled, Noted, OutputDelta, TaskPlanned
from contemplate.models.base import Finish
from contemplate.plan import Task
from contemplate.result import RunResult
from contemplate.server.deltas import ReplyDeltas
from contemplate.usage import Usage


def result(text: str, *, complete: bool = True, stopped_by: str | None = None) -> RunResult[str]:
    return RunResult[str](run_id="run", question="?", output=text, text=text, complete=complete, stopped_by=stopped_by)


def called(finish: Finish | None, *, task: str | None = None) -> ModelCalled:
    name = CallName(run="run", role="subagent" if task else "aggregator", task=task)
    return ModelCalled(name=name, model="m", usage=Usage(), seconds=0.1, finish=finish)


def read(events: list[Event], end: RunResult[str]) -> tuple[str, bool]:
    """The answer as a client puts it together, and whether it would have had to be called back."""
    deltas, text, restarted = ReplyDeltas(), "", False
    for delta in [*map(deltas.of, events), deltas.rest(end)]:
        if delta is not None:
            restarted |= delta.restart
            text = delta.content if delta.restart else text + delta.content
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
    deltas = ReplyDeltas()
    assert [delta.content for delta in map(deltas.of, events) if delta is not None] == ["The sea ", "is salty."]
    assert deltas.rest(result("The sea is salty.")) is None


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
    deltas = ReplyDeltas()
    events: list[Event] = [OutputDelta(reasoning="Hmm, "), OutputDelta(reasoning="salt"), Noted(message="mended")]
    said = [delta.reasoning for delta in map(deltas.of, events) if delta is not None]
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
    deltas = ReplyDeltas()
    deltas.of(called("stop"))
    assert deltas.finish_reason(result("whole")) == "stop"
    assert deltas.finish_reason(result("a part is missing", complete=False)) == "stop"
    assert deltas.finish_reason(result("so far", complete=False, stopped_by="seconds")) == "length"
    deltas.of(called("length"))
    assert deltas.finish_reason(result("cut in the mid", complete=False)) == "length"


def test_a_deadline_in_the_answer_leaves_what_was_read() -> None:
    text, restarted = read([OutputDelta(text="Half an ")], result("## Cost\n...", complete=False, stopped_by="seconds"))
    assert (text, restarted) == ("Half an ", False)


pieces = st.builds(OutputDelta, text=st.text("ab", max_size=3), reasoning=st.text("ab\n", max_size=3))
notes = st.builds(Noted, message=st.text("ab1", min_size=1, max_size=3))
turns = st.just(called("tool_calls", task="answer"))


@given(st.lists(pieces | notes | turns), st.lists(pieces | notes | turns))
def test_a_run_that_goes_on_repeats_nothing_and_leaves_nothing_out(before: list[Event], after: list[Event]) -> None:
    planned: Event = TaskPlanned(task=Task(id="answer", prompt="?", kind="answer"))

    def told(deltas: ReplyDeltas, events: list[Event]) -> tuple[str, list[str]]:
        said = [delta for delta in map(deltas.of, [planned, *events]) if delta is not None]
        lines = [line for delta in said for line in delta.reasoning.splitlines() if line.startswith("Note")]
        return "".join(delta.content for delta in said).replace("\n\n", ""), lines

    first = ReplyDeltas()
    content, lines = told(first, before)
    more_content, more_lines = told(ReplyDeltas(told=first.told), [*before, *after])
    whole = "".join(event.text for event in (*before, *after) if isinstance(event, OutputDelta))
    assert content + more_content == whole
    assert len(lines) + len(more_lines) == sum(isinstance(event, Noted) for event in (*before, *after))
