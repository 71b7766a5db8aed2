"""Results and plans as HTML: what they say is there, nothing of it is markup, and there is not too much of it."""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contemplate import BatchResult, PendingCall, Plan, RunResult, Task, TaskResult
from contemplate.errors import LimitExceeded, ModelServerError
from contemplate.events import TaskDelta, TaskPlanned, TaskStarted
from contemplate.messages import ImagePart
from contemplate.result import ErrorInfo, Outcome
from contemplate.views.html import shown_end, shown_live, shown_question
from contemplate.views.html.answer import answer_html
from contemplate.views.html.elements import Markup, element
from contemplate.views.html.task_list import MOST_WRITTEN
from contemplate.views.task_states import TaskStates

TAGS = {*("a", "b", "blockquote", "br", "code", "details", "div", "em", "hr", "li", "ol", "p", "pre", "s", "span")}
TAGS |= {*("strong", "style", "summary", "table", "tbody", "td", "th", "thead", "tr", "ul")}
TAGS |= {"h1", "h2", "h3", "h4", "h5", "h6"}
ATTRIBUTES = {"class", "href", "open", "rel", "start", "style", "target", "title"}
EMPTY = {"br", "hr"}
HOSTILE = [
    *("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</div>", "</style>", "<style>", "<!--", "-->"),
    *("[a](javascript:alert(1))", "[a](http://x/'onclick=alert(1))", '[a](https://x "t" onload=1)', "<http://x>"),
    *(
        "![a](http://x/y.png)",
        "[a]: javascript:alert(1)",
        "&lt;b&gt;",
        "&#106;",
        '"',
        "'",
        "`",
        "```\n",
        "| a |\n|-|\n",
    ),
    *("\x00", "\x1b[2J", "\ud800", "\n\n", "# ", "- ", "**", "$", "{", '{"a": "<b>"}'),
]
TEXTS = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=5), max_size=5).map("".join)


class Read(HTMLParser):
    """What a page says, and of what it is made."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self.links: list[str] = []
        self.used: set[str] = set()
        self.attributes: set[str] = set()
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.used.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name == "href"]
        if tag not in EMPTY:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in EMPTY:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text += data


def task(name: str = "a", **fields: Any) -> Task:
    return Task(**{"id": name, "prompt": f"What of {name}?", **fields})


def result_of(*outcomes: Outcome, **fields: Any) -> RunResult[Any]:
    tasks = [task(str(number)) for number in range(len(outcomes))]
    done = [TaskResult(task=each, outcome=outcome, text="so") for each, outcome in zip(tasks, outcomes, strict=True)]
    given = {"run_id": "r1", "question": "q", "output": "", "text": "So it is.", "plan": Plan(tasks=tuple(tasks))}
    return RunResult[Any](**{**given, "tasks": tuple(done), **fields})


def pages_of(text: str) -> list[str]:
    """A page of each kind, in which every text is this one."""
    error = ErrorInfo(kind="Failed", message=text, hint=text)
    said = task("a", title=text, prompt=text)
    done = [TaskResult(task=said, outcome="answered", text=text)]
    done.append(TaskResult(task=task("b", title=text, needs=("a",)), outcome="failed", text=text, error=error))
    pending = PendingCall(id="c", run_id="r1", tool=text, arguments={"a": text})
    fields: dict[str, Any] = {
        "output": text,
        "text": text,
        "notes": (text,) * 20,
        "missing": (text,),
        "complete": False,
    }
    fields |= {"plan": Plan(tasks=tuple(each.task for each in done)), "tasks": tuple(done), "votes": {text: 2}}
    fields["points"] = {text: 2.5}
    result = result_of(**fields, answer=text, stopped_by=text)
    waiting = result_of(**fields, pending=(pending,))
    shown = [each._repr_html_() for each in (result, waiting, result.plan)]
    shown += [shown_question(text, result, None), shown_question(text, result, error)]
    return [*shown, shown_live(result, TaskStates.of(result), text), shown_end(result, error)]


@given(TEXTS)
def test_what_anybody_wrote_is_never_markup(text: str) -> None:
    for page in pages_of(text):
        read = Read(page)
        assert read.used <= TAGS
        assert read.attributes <= ATTRIBUTES
        assert all(link.startswith(("http://", "https://")) for link in read.links)
        page.encode()
        assert page.count("<style>") == 1


def test_links_lead_to_the_web_only() -> None:
    text = (
        "[a](https://a.org) [b](javascript:x) [c](data:text/html,x) [d](file:///x) [e](HTTP://e.org) [f](/g) [g](//g)"
    )
    read = Read(answer_html(text))
    assert read.links == ["https://a.org", "HTTP://e.org"]
    assert "[f](/g)" in read.text
    assert 'rel="noopener noreferrer"' in answer_html(text)


def test_a_question_of_a_batch_is_shown_with_what_came_of_it() -> None:
    result = result_of("answered", text="It is **so**.")
    text = Read(BatchResult(0, None, "Is <it> so?", result)._repr_html_()).text
    assert all(part in text for part in ("Is <it> so?", "It is so.", "run r1"))
    down: BatchResult[str] = BatchResult(1, "b", "Why?", error=ModelServerError("down", model="m", hint="wait"))
    assert all(part in Read(down._repr_html_()).text for part in ("Why?", "ModelServerError: ", "down", "wait"))
    limited = LimitExceeded("no more", limit="calls")
    limited.partial = result
    partly: BatchResult[str] = BatchResult(2, None, "Why?", error=limited)
    assert all(part in Read(partly._repr_html_()).text for part in ("Why?", "It is so.", "no more", "run r1"))


def test_an_answer_is_markdown() -> None:
    page = answer_html("# So\n\nIt is **so**.\n\n| a |\n|---|\n| b |\n\n```python\nx < 1\n```")
    assert {"h1", "strong", "table", "code"} <= Read(page).used
    assert "x &lt; 1" in page
    assert Read(answer_html('{"a": "*b*"}')).used == {"div", "pre"}


@pytest.mark.parametrize(
    ("text", "money"),
    [
        ("from $5 to $10, or $50-$100, US$3, \\$4 and 5$", 7),
        ("$1,000", 1),
        ("$$x$$ $x$ $2x$, $E=mc^2$, \\(y\\)", 0),
        ("$5 and $x$ and $6", 2),
    ],
)
def test_money_is_no_formula(text: str, money: int) -> None:
    page = answer_html(text)
    assert page.count('<span class="mathjax_ignore tex2jax_ignore">$</span>') == money
    assert Read(page).text.strip() == text.replace("\\$", "$")


@given(st.lists(st.sampled_from(["> ", "- ", "1. "]), min_size=15, max_size=40), st.sampled_from(["\n", "\n\n"]))
def test_what_is_nested_deeply_is_there(marks: list[str], gap: str) -> None:
    lines = ["".join(mark if mark == "> " else " " * len(mark) for mark in marks[:n]) for n in range(len(marks))]
    text = gap.join(f"{before}{mark}word{n}." for n, (before, mark) in enumerate(zip(lines, marks, strict=True)))
    shown = Read(answer_html(text, len(text))).text
    assert [n for n in range(len(marks)) if f"word{n}." not in shown] == []
    at_once = Read(answer_html("".join(marks) + "word\n\nafter")).text
    assert "word" in at_once
    assert "after" in at_once


def test_without_what_reads_markdown_it_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("markdown_it", "contemplate.views.html.markdown", "contemplate.views.markdown_parser"):
        monkeypatch.setitem(sys.modules, name, None)
    assert answer_html("It is **<so>**.") == (
        '<div class="answer"><div class="written">It is **&lt;so&gt;**.</div></div>'
    )


def test_a_result_says_what_came_of_it() -> None:
    result = result_of(
        *("answered", "failed"),
        missing=("1",),
        complete=False,
        votes={"42": 2, "7": 1},
        points={"1": 1.5, "2": 0},
        answer="42",
        notes=("Mended.",),
    )
    text = Read(result._repr_html_()).text
    for said in (
        "So it is.",
        "incomplete, missing: 1",
        "2 tasks: 1 answered, 1 failed",
        "votes for 2 answers",
        "points of 2 answers",
        "1: 1.5",
    ):
        assert said in text
    for said in (
        "2 of 3 said 42",
        "1 of 3 said 7",
        "points of 2 answers",
        "1: 1.5",
        "1 note",
        "Mended.",
        "0 calls",
        "run r1",
    ):
        assert said in text


SO = '<div class="answer"><div class="mathjax_process tex2jax_process"><p>{}</p>\n</div></div>'
ROW = '<span class="mark {0}">{1}</span> <b>{2}</b> <span class="dim">{0} after 0.0 s, 0 tokens</span>'
OPENED = "<li><details><summary>" + ROW + "</summary>" + SO.format("so") + "</details></li>"
TASKS = (
    '<details{}><summary>2 tasks: 1 answered, 1 failed</summary><ul class="tasks">'
    + OPENED.format("answered", "✓", "0")
    + OPENED.format("failed", "✗", "1")
    + "</ul></details>"
)
VOTES = (
    "<details><summary>votes for 2 answers</summary><ul><li>2 of 3 said 42</li><li>1 of 3 said 7</li></ul></details>"
    "<details><summary>1 note</summary><ul><li>Mended.</li></ul></details>"
    '<p class="dim">2 of 3 said 42 · 0 calls · 0 tokens in, 0 out · 0.0 s · run r1</p>'
)


def without_style(page: str) -> str:
    """What is within a view, behind its style."""
    begin, end = '<div class="contemplate mathjax_ignore tex2jax_ignore"><style>', "</div>"
    assert page.startswith(begin)
    assert page.endswith(end)
    style, _, body = page.removeprefix(begin).removesuffix(end).partition("</style>")
    assert ".contemplate .answer" in style
    return body


def test_how_each_view_is_made() -> None:
    said: dict[str, Any] = {"votes": {"42": 2, "7": 1}, "answer": "42", "notes": ("Mended.",)}
    result = result_of("answered", "failed", missing=("1",), complete=False, **said)
    answer = SO.format("So it is.")
    incomplete = '<div class="notice"><b>incomplete</b>, missing: 1</div>'
    assert without_style(result._repr_html_()) == answer + incomplete + TASKS.format("") + VOTES
    error = '<div class="notice error"><p><b>K: </b>m</p><p>h</p></div>'
    shown = shown_end(result, ErrorInfo(kind="K", message="m", hint="h"))
    assert without_style(shown) == answer + error + TASKS.format(' open=""') + VOTES
    rows = (ROW.format("answered", "✓", "0"), ROW.format("failed", "✗", "1"))
    tasks = f'<ul class="tasks"><li>{rows[0]}</li><li>{rows[1]}</li></ul>'
    live = shown_live(result, TaskStates.of(result), "merging")
    assert without_style(live) == tasks + answer + '<p class="dim">merging</p>'
    assert without_style(shown_live(result_of(text=""), TaskStates(), "asking")) == '<p class="dim">asking</p>'
    plan = '<p class="dim">1 task</p><ul class="tasks"><li><details><summary><b>a</b> </summary>{}</details></li></ul>'
    assert without_style(Plan(tasks=(task(),))._repr_html_()) == plan.format(SO.format("What of a?"))


def test_the_runs_within_a_task_are_told_of_while_it_goes_on() -> None:
    states = TaskStates()
    within = TaskPlanned(task=task("sample-1")), TaskPlanned(task=task("sample-2"))
    for each in within:
        each.stamp("r", "a", 0)
    for event in (TaskPlanned(task=task()), TaskStarted(task_id="a", model="m"), *within):
        states.add(event)
    assert '<span class="dim">0/2 tasks</span>' in shown_live(result_of(), states, "")
    states.add(TaskDelta(task_id="a", text="x" * 500))
    assert f'<span class="dim">…{"x" * MOST_WRITTEN}</span>' in shown_live(result_of(), states, "")
    states.stop()
    assert '<span class="dim">stopped</span>' in shown_live(result_of(), states, "")


def test_a_suspended_run_says_what_it_waits_for() -> None:
    pending = PendingCall(id="c1", run_id="r1", tool="pay", arguments={"usd": 5})
    text = Read(result_of(pending=(pending,), complete=False)._repr_html_()).text
    assert "waits for:" in text
    assert "pay" in text


def test_images_are_told_of() -> None:
    images = (ImagePart(data=b"x"), ImagePart(data=b"y"))
    assert "2 images: result.images" in Read(result_of(images=images)._repr_html_()).text


def test_a_plan_is_a_tree_with_what_each_task_asks() -> None:
    tasks = (task("a", title="Ink"), task("b"), task("c", needs=("a", "b")))
    page = Plan(tasks=tasks)._repr_html_()
    text = Read(page).text
    assert '<b>c</b> <span class="dim">after Ink, b</span>' in page
    assert "3 tasks" in text
    assert "└ c after Ink, b" in text
    assert "What of a?" in text


def test_what_is_large_is_cut_and_counted() -> None:
    tasks = tuple(task(str(number), title="t" * 500, prompt="p" * 9000) for number in range(1000))
    done = [TaskResult(task=each, outcome="answered", text="x" * 9000) for each in tasks]
    done[500] = TaskResult(task=tasks[500], outcome="failed", text="the one that failed")
    large = result_of(text="a" * 50_007, plan=Plan(tasks=tasks), tasks=tuple(done), notes=("n",) * 1000)
    page = large._repr_html_()
    assert len(page) < 500_000
    text = Read(page).text
    assert "and 900 more; 1,000 of 1,000 are done" in text
    assert "... and 7 more characters" in text
    assert "... and 8,000 more characters" in text
    assert '<p class="dim">... and 7 more characters</p>' in page
    assert "the one that failed" in text
    assert "1,000 notes" in text
    assert "and 990 more" in text
    assert "and 900 more" in Read(Plan(tasks=tasks)._repr_html_()).text


def test_what_anybody_named_or_noted_is_cut() -> None:
    long, call = "x" * 100_000, PendingCall(id="1", run_id="r", tool="rm", arguments={"path": "x" * 100_000})
    for fields in (
        {"notes": (long,)},
        {"points": {long: 1.0}},
        {"missing": (long,), "complete": False},
        {"pending": (call,)},
    ):
        assert len(result_of(**fields)._repr_html_()) < 10_000
    assert len(shown_end(result_of(text=""), ErrorInfo(kind="E", message=long, hint=long))) < 10_000


def test_what_is_just_as_large_as_it_may_be_is_whole() -> None:
    tasks = (task("a", title="t" * 160, prompt="p" * 1000), *(task(str(number)) for number in range(99)))
    page = result_of(text="a" * 50_000, plan=Plan(tasks=tasks), notes=("n",) * 10)._repr_html_()
    assert "more" not in page + Plan(tasks=tasks)._repr_html_()
    assert "…" not in page


def test_a_tree_is_indented_as_far_as_eight_levels() -> None:
    tasks = tuple(task(str(number), needs=(str(number - 1),) if number else ()) for number in range(11))
    page = Plan(tasks=tasks)._repr_html_()
    depths = [page.partition(f"<b>{number}</b>")[0].rpartition("<summary>")[2] for number in range(11)]
    assert depths == ["", *("\u2003" * (depth - 1) + "└ " for depth in (1, 2, 3, 4, 5, 6, 7, 8, 8, 8))]


def test_a_live_run_shows_what_each_task_is_doing() -> None:
    reached = result_of("answered")
    text = Read(shown_live(reached, TaskStates.of(reached), "0:03 · merging")).text
    assert "0answered" in text.replace(" ", "")
    assert "0:03 · merging" in text
    assert "So it is." in text


def test_of_a_long_answer_that_is_being_written_the_end_is_seen() -> None:
    text = Read(shown_live(result_of(text="begin " + "x " * 9000 + "end"), TaskStates(), "")).text
    assert "end" in text
    assert "begin" not in text
    assert len(text) < 9000
    assert "..." not in shown_live(result_of(text="x" * 8000), TaskStates(), "")


def test_an_error_stands_with_what_was_reached() -> None:
    error = ErrorInfo(kind="LimitExceeded", message="the limit on USD", hint="raise it; sk-proj-abcdefghijklmnop1234")
    text = Read(shown_end(result_of("answered", text=""), error)).text
    assert "LimitExceeded: the limit on USD" in text
    assert "1 task: 1 answered" in text
    assert "sk-proj-abcdefghijklmnop1234" not in text


def test_only_markup_is_taken_as_it_is() -> None:
    assert element("p", "<b>", Markup("<b></b>"), class_='"') == '<p class="&quot;">&lt;b&gt;<b></b></p>'
