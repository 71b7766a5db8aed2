"""A run's calls as bars over time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contemplate import Task, TaskResult
from contemplate.cli.timeline import MOST_LANES, fitted, timeline, wrapped
from contemplate.events import Speaker
from contemplate.journal import Entry
from contemplate.usage import Usage


def entry(
    role: str,
    task: str | None,
    started: float,
    seconds: float,
    *,
    path: str = "",
    queued: float = 0,
    first: float | None = None,
) -> Entry:
    return Entry(
        path=path,
        role=role,  # type: ignore[arg-type]
        task=task,
        name="scripted",
        digest="0" * 32,
        outcome="answered",
        usage=Usage(calls=1),
        started=started,
        seconds=seconds,
        queued=queued,
        first=first,
    )


def result(task: str, title: str) -> TaskResult:
    return TaskResult(task=Task(id=task, prompt="?", title=title), outcome="answered")


RUN = (
    entry("planner", None, 0, 4, first=2),
    entry("subagent", "a", 4, 4, queued=2, first=1),
    entry("tool", "a", 8, 2),
    entry("subagent", "a", 10, 2),
    entry("subagent", "sample-1", 4, 6, path="b", first=0),
    entry("subagent", "sample-2", 4, 8, path="b", first=0),
    entry("aggregator", None, 12, 4, first=4),
)


def test_each_character_says_what_went_on() -> None:
    lines = [*timeline(RUN, {"a": result("a", "The first"), "b": result("b", "")}, 25)]
    assert (
        lines
        == [
            "         0 s       16.0 s",
            "planner  ░░██",
            "The fir…     ··░█▒▒██",
            "b            ████████",
            "aggrega…             ░░░░",
            "· waits for its turn  ░ to the first token  █ writes  ▒ tool",
        ][: len(lines)]
    )
    assert len(lines) == 5
    assert [*timeline(RUN, {}, 80)][-1] == "· waits for its turn  ░ to the first token  █ writes  ▒ tool"


def test_nothing_has_no_timeline_and_a_great_run_is_cut() -> None:
    assert [*timeline((), {}, 80)] == []
    assert [*timeline([entry("planner", None, 0, 0)], {}, 80)] == []
    many = [entry("subagent", str(number), number, 1) for number in range(1000)]
    lines = [*timeline(many, {}, 80)]
    assert len(lines) == MOST_LANES + 3
    assert "and 940 more" in lines[-2]


ROLES: st.SearchStrategy[Speaker] = st.sampled_from(["planner", "subagent", "aggregator"])
ENTRIES = st.builds(
    entry,
    ROLES,
    st.sampled_from(["a", "b", None]),
    st.floats(0, 1e6),
    st.floats(0, 1e6),
    path=st.sampled_from(["", "a", "b/sample-1", "a#2"]),
    queued=st.floats(0, 10),
    first=st.none() | st.floats(0, 1e6),
)


@given(st.lists(ENTRIES, max_size=12), st.integers(36, 250))
def test_no_line_is_too_long_and_no_call_is_missing(entries: list[Entry], columns: int) -> None:
    lines = [*timeline(entries, {}, columns)]
    assert all(len(line) <= columns for line in lines)
    for entry in entries:
        lane = entry.path[:1] or entry.task or entry.role
        if lines and entry.seconds > 0:
            (bar,) = (line[columns // 3 + 1 :] for line in lines if line.startswith(fitted(lane, columns // 3) + " "))
            assert bar.strip()


@given(st.text(), st.integers(1, 40))
def test_a_text_is_as_wide_as_it_may_be(text: str, columns: int) -> None:
    short = fitted(text, columns)
    assert "\n" not in short
    assert fitted(short, columns) == short


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("abc", "abc  "),
        ("abcdef", "abcd…"),
        ("日本語", "日本…"),
        ("日本", "日本 "),
        ("a\n b", "a b  "),
        ("é" * 5, "ééééé"),
    ],
)
def test_wide_letters_take_two_columns(text: str, fits: str) -> None:
    assert fitted(text, 5) == fits


def test_a_long_line_is_broken_between_words_behind_its_margin() -> None:
    assert [*wrapped("  one two three", 9)] == ["  one two", "  three"]
    assert [*wrapped("    " + "x" * 30 + " y", 9)] == ["    " + "x" * 30, "    y"]
    assert [*wrapped("日本 日本 日本", 9)] == ["日本 日本", "日本"]
    assert [*wrapped("", 9)] == [""]


@given(st.text("ab 日", max_size=40), st.integers(1, 20))
def test_however_a_line_is_broken_its_words_stay(line: str, columns: int) -> None:
    assert " ".join(wrapped(line, columns)).split() == line.split()
    assert [*wrapped(line, 1000)] == [line] or not line.strip()
