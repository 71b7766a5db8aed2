"""`synthesize(cite=True)`: which sentence of an answer rests on which task."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contemplate import Contemplator, RunResult, Task, aggregators
from contemplate.aggregators.citations import _marks
from contemplate.events import Event, OutputDelta, RunFinished
from contemplate.journal import Journal
from contemplate.testing import ScriptedModel
from contemplate.views.recorded_events import events_of

from .every_prompt import of_tasks

pytestmark = pytest.mark.anyio
PARTS = [Task(id=each, prompt=f"What of {each}?", title=each.title()) for each in ("rent", "buy", "borrow")]
CITED = "Rent it [1]. Buying is dear, and needs a cellar [2, 3]! One may borrow one. All agree on that.[1][3] So be it."


async def cited(answer: str, *more: str, ask_again: int = 0, events: list[Event] | None = None) -> RunResult[str]:
    """The result of a merge of three parts whose answer is this."""
    model = ScriptedModel(["r", "b", "o", answer, *more])
    aggregator = aggregators.synthesize(cite=True, ask_again=ask_again)
    mind = Contemplator(model, planner=of_tasks(*PARTS), aggregator=aggregator)
    return await mind.run("Rent or buy?", on_event=None if events is None else events.append)


def said(result: RunResult[str]) -> list[tuple[str, tuple[str, ...]]]:
    return [(result.text[each.start : each.end], each.tasks) for each in result.citations]


async def test_sentences_name_the_tasks_on_which_they_rest() -> None:
    events: list[Event] = []
    result = await cited(CITED, events=events)
    assert said(result) == [
        ("Rent it", ("rent",)),
        ("Buying is dear, and needs a cellar", ("buy", "borrow")),
        ("All agree on that.", ("rent", "borrow")),
    ]
    # What streams is what there is in the end.
    assert result.text == CITED == "".join(each.text for each in events if isinstance(each, OutputDelta))
    uncited = "Rent it. Buying is dear, and needs a cellar! One may borrow one. All agree on that. So be it."
    assert result.uncited == uncited
    assert isinstance(events[-1], RunFinished)
    assert events[-1].citations == result.citations
    assert result.notes == ()
    assert result.support == ("rent", "buy", "borrow")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("No marks at all.", []),
        ("# Heading\n\n- Rent it [1]\n- Buy it **now** [2]", [("Rent it", "rent"), ("Buy it **now**", "buy")]),
        ("See [1](https://x.example), `a[1]` and\n```\nb[2]\n```\nso rent it [1].", [("so rent it", "rent")]),
        ("借りる。買うな[2]。", [("買うな", "buy")]),
        ("借りる。買うな。[2]", [("買うな。", "buy")]),
        ("Rent it [answer 1; text 1].", [("Rent it", "rent")]),
        ("[1] begins", []),
    ],
)
async def test_marks_are_read_where_they_are_marks(answer: str, expected: list[tuple[str, str]]) -> None:
    result = await cited(answer)
    assert said(result) == [(text, (task,)) for text, task in expected]
    assert result.notes == ()


async def test_what_was_not_shown_is_dropped_with_a_note() -> None:
    result = await cited("Rent it [1, 7]. Or fly [9]. Or walk [0].")
    assert said(result) == [("Rent it", ("rent",))]
    assert result.notes == ("the answer cites what it was not shown: 7, 9, 0",)


async def test_what_was_found_on_a_point_is_cited_by_its_name() -> None:
    result = await cited("ASK 1, 2: Which is cheaper?", "Renting.", "Rent it [1, point 1].", ask_again=1)
    assert said(result) == [("Rent it", ("rent", "ask-1"))]


async def test_nobody_is_told_of_marks_who_does_not_ask() -> None:
    model = ScriptedModel(["r", "b", "o", "Rent it [1]."])
    mind = Contemplator(model, planner=of_tasks(*PARTS), aggregator=aggregators.synthesize())
    result = await mind.run("Rent or buy?")
    assert result.citations == ()
    assert "square brackets" not in model.requests[-1].messages[-1].text


async def test_a_typed_answer_cites_nothing() -> None:
    model = ScriptedModel(["1", "2", "3", '{"value": 1}'])
    mind = Contemplator(model, planner=of_tasks(*PARTS), aggregator=aggregators.synthesize(cite=True), output_type=int)
    result = await mind.run("How many?")
    assert (result.output, result.citations) == (1, ())
    assert "square brackets" not in model.requests[-1].messages[-1].text


async def test_a_journal_keeps_them() -> None:
    journal = Journal()
    mind = Contemplator(
        ScriptedModel(["r", "b", "o", CITED]),
        planner=of_tasks(*PARTS),
        aggregator=aggregators.synthesize(cite=True),
        journal=journal,
    )
    result = await mind.run("Rent or buy?", run_id="cited")
    record = journal.load("cited")
    assert record is not None
    assert record.result is not None
    assert record.result.citations == result.citations != ()
    last = events_of(journal, record)[-1]
    assert isinstance(last, RunFinished)
    assert last.citations == result.citations


@given(st.text(st.sampled_from("ab .\n[]12,;`*(!é")))
def test_passages_stand_in_order_before_their_marks(text: str) -> None:
    place = 0
    for begin, end, behind in _marks(text):
        assert place <= begin <= end < behind <= len(text)
        assert text[behind - 1] == "]"
        place = behind
