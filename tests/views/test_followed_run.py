"""A run whose record is followed: however it is cut into pieces, all is told once that is told afterwards."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contemplate import Contemplator, Message
from contemplate.events import Event
from contemplate.journal import Journal, RunRecord
from contemplate.journal.following import AT_ONCE, calls_after, counts, records_of, statuses_of
from contemplate.messages import ToolCall
from contemplate.models import ModelRequest
from contemplate.testing import ScriptedModel
from contemplate.tools import Tool
from contemplate.views.followed_run import FollowedRun
from contemplate.views.recorded_events import events_of


def look(where: str) -> str:
    """Look somewhere."""
    return f"nothing in {where}"


def answer(request: ModelRequest) -> Message | str:
    if request.messages[-1].role == "tool":
        return f"answer {request.settings.seed}"
    return Message(role="assistant", tool_calls=(ToolCall(id="1", name="look", arguments='{"where": "there"}'),))


@pytest.fixture(scope="module")
def recorded() -> tuple[Journal, RunRecord]:
    journal = Journal()
    mind = Contemplator(ScriptedModel(answer), mode="vote", tools=[Tool(look)], journal=journal)
    mind.run_sync("Where is it?", run_id="followed")
    record = journal.load("followed")
    assert record is not None
    return journal, record


def texts(events: list[Event]) -> Counter[str]:
    return Counter(event.model_dump_json() for event in events)


@given(cuts=st.lists(st.integers(0, 15)), again=st.booleans())
def test_all_is_told_once(recorded: tuple[Journal, RunRecord], cuts: list[int], again: bool) -> None:
    journal, record = recorded
    entries, last, calls = calls_after(journal, "followed", 0)
    assert len(entries) == 15
    assert calls_after(journal, "followed", last) == ([], last, {})
    followed = FollowedRun(record.model_copy(update={"status": "running", "result": None}))
    told: list[Event] = []
    for start, end in pairwise([0, *sorted(cuts), len(entries)]):
        # What is recorded once more is no news.
        told += followed.news(entries[0 if again else start : end], calls)
    told += followed.end(record)
    assert texts(told) == texts(events_of(journal, record))


def test_a_run_is_known_in_few_words(recorded: tuple[Journal, RunRecord]) -> None:
    journal, record = recorded
    asked = ["followed", "unknown", *map(str, range(2 * AT_ONCE))]
    assert statuses_of(journal, asked) == {"followed": "answered"}
    assert records_of(journal, asked) == {"followed": journal.load("followed")}
    assert counts(journal, since=0.0) == [("answered", 1, 1)]
    assert counts(journal, since=record.created + 1) == [("answered", 1, 0)]
