"""A run as HTML: its answer, what is missing from it, its tasks, its vote and its cost; live, or when it is over."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

from ...plan import Plan
from ...redaction import redact
from ...result import ErrorInfo, RunResult
from ..summary import cost_line, majority
from ..task_states import TaskStates
from .answer import answer_html
from .elements import Markup, element
from .task_list import MOST_TEXT, beginning_of, plan_html, states_html

# Characters of an answer that is being written: it is read as Markdown five times a second.
MOST_LIVE = 8000
# Answers of a vote, and notes, which may be as many as tasks.
MOST_LINES = 10


def shown_plan(plan: Plan) -> Markup:
    """Return a plan as a view of its own."""
    return _view(element("p", _count(len(plan.tasks), "task"), class_="dim"), plan_html(plan))


def shown_result(result: RunResult[Any]) -> Markup:
    """Return a result as a view of its own."""
    return _view(*_whole(result))


def shown_question(question: str, reached: RunResult[Any] | None, error: ErrorInfo | None) -> Markup:
    """Return a question of several, and what came of it, as a view of its own.

    Args:
        question: the question.
        reached: its result, or what was reached before the error.
        error: why it has no result; None if it has one.
    """
    asked = element("p", element("b", beginning_of(redact(question), MOST_TEXT)))
    if error is not None:
        return _view(asked, *_ended(reached, error))
    return _view(asked, *(() if reached is None else _whole(reached)))


def shown_live(reached: RunResult[Any], states: TaskStates, doing: str) -> Markup:
    """Return a run that goes on as a view of its own.

    Args:
        reached: what it has reached.
        states: its tasks.
        doing: what there is to say of it as a whole.
    """
    text = reached.text if len(reached.text) <= MOST_LIVE else f"...{reached.text[-MOST_LIVE:]}"
    parts = [states_html(states, texts=False)] if states else []
    parts += [answer_html(text)] if text.strip() else []
    return _view(*parts, _line(doing))


def shown_end(reached: RunResult[Any], error: ErrorInfo) -> Markup:
    """Return a run that ended with an error, or was interrupted, as a view of its own."""
    return _view(*_ended(reached, error))


def _whole(result: RunResult[Any]) -> Iterator[Markup]:
    yield from _answer(result)
    yield from _incomplete(result)
    yield from _details(result, opened=False)
    yield _footer(result)


def _ended(reached: RunResult[Any] | None, error: ErrorInfo) -> Iterator[Markup]:
    said = [element("p", element("b", f"{error.kind}: "), beginning_of(redact(error.message), MOST_TEXT))]
    said += [element("p", beginning_of(redact(error.hint), MOST_TEXT))] if error.hint else []
    if reached is not None:
        yield from _answer(reached)
    yield element("div", *said, class_="notice error")
    if reached is not None:
        yield from _details(reached, opened=True)
        yield _footer(reached)


def _view(*parts: Markup) -> Markup:
    # Money is not mathematics; only answers may have formulas.
    return element("div", element("style", _style()), *parts, class_="contemplate mathjax_ignore tex2jax_ignore")


@cache
def _style() -> Markup:
    return Markup(files(__package__).joinpath("style.css").read_text("utf-8"))


def _answer(result: RunResult[Any]) -> list[Markup]:
    parts = [answer_html(result.text)] if result.text.strip() else []
    if result.images:
        parts.append(element("p", f"{_count(len(result.images), 'image')}: result.images", class_="dim"))
    return parts


def _incomplete(result: RunResult[Any]) -> list[Markup]:
    if result.pending:
        waiting = [element("p", beginning_of(redact(str(call)), MOST_TEXT)) for call in result.pending[:MOST_LINES]]
        return [element("div", element("p", element("b", "suspended, and waits for:")), *waiting, class_="notice")]
    if result.complete:
        return []
    missing = f", missing: {', '.join(map(beginning_of, result.missing[:MOST_LINES]))}" if result.missing else ""
    left = len(result.missing) - MOST_LINES
    return [
        element("div", element("b", "incomplete"), missing, f" and {left:,} more" if left > 0 else "", class_="notice")
    ]


def _details(result: RunResult[Any], *, opened: bool) -> Iterator[Markup]:
    states = TaskStates.of(result)
    if states:
        yield _opened(_outcomes(states), states_html(states, texts=True), opened=opened)
    if result.votes:
        votes = [
            element("li", majority(each, count, sum(result.votes.values()))) for each, count in result.votes.items()
        ]
        yield _opened(f"votes for {_count(len(votes), 'answer')}", element("ul", *_some(votes)), opened=False)
    if result.points:
        points = [element("li", f"{beginning_of(task)}: {each:.6g}") for task, each in result.points.items()]
        yield _opened(f"points of {_count(len(points), 'answer')}", element("ul", *_some(points)), opened=False)
    if result.notes:
        notes = [element("li", beginning_of(redact(each), MOST_TEXT)) for each in result.notes]
        yield _opened(_count(len(notes), "note"), element("ul", *_some(notes)), opened=False)


def _outcomes(states: TaskStates) -> str:
    counts: dict[str, int] = {}
    for state in states:
        counts[state.status] = counts.get(state.status, 0) + 1
    said = ", ".join(f"{count:,} {status}" for status, count in counts.items())
    return f"{_count(len(states), 'task')}: {said}"


def _opened(title: str, body: Markup, *, opened: bool) -> Markup:
    attributes = {"open": ""} if opened else {}
    return element("details", element("summary", title), body, **attributes)


def _some(lines: list[Markup]) -> list[Markup]:
    left = len(lines) - MOST_LINES
    return lines[:MOST_LINES] + ([element("li", f"and {left:,} more")] if left > 0 else [])


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}" if number == 1 else f"{number:,} {name}s"


def _footer(result: RunResult[Any]) -> Markup:
    return _line(f"{cost_line(result)} · run {result.run_id}")


def _line(text: str) -> Markup:
    return element("p", redact(text), class_="dim")
