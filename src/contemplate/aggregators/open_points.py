"""Points that a merging model finds open: how it names them, and the tasks that they become."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count
from typing import Any, ClassVar, NamedTuple, Optional, Self

from pydantic import BaseModel, Field, create_model, model_validator

from ..data import to_json_text
from ..plan import Task
from ..result import TaskResult
from ..run.context import RunContext
from ..run.output_type import OutputType, json_in
from .hierarchical_summary import Material

ID = "ask-"
# A line whose beginning decides whether it names a point is shown when it is so long.
DECIDED = 48
TITLE = 60
HEADING_WORDS = 12

_POINT = re.compile(r"[\W\d_]*ASK((?:[\d\s,;&#()\[\]*]|and)*):[\s*]*(\S.*)")
_NOTHING = re.compile(r"\W*(?:none|nothing|no|n/a|not applicable)\b[^?]{0,20}\W*", re.IGNORECASE)


class Point(NamedTuple):
    """A question that is open, and the numbers of the texts that it is about."""

    question: str
    about: tuple[int, ...]


class AskPoint(BaseModel):
    """A question for the experts, and the numbers of the texts that it is about."""

    question: str
    about: list[int] = Field(default_factory=list)


class PointsOrAnswer(BaseModel):
    """What a merging model gives in place of a typed answer: open points, or the answer."""

    may_be_none: ClassVar[bool] = False

    ask: list[AskPoint] = Field(default_factory=list)
    answer: Any = None

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, data: Any) -> Any:
        # An answer that is not wrapped is an answer.
        return data if _is_wrapped(data) else {"answer": data}

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.answer is None and not self.ask and not self.may_be_none:
            raise ValueError('"answer" is null, and "ask" is empty: give an answer')
        return self

    @property
    def points(self) -> list[Point]:
        """The open points."""
        return [Point(each.question, tuple(each.about)) for each in self.ask]


def form_for(output: OutputType[Any]) -> OutputType[Any]:
    """Return the type of open points or an answer of the type `output`."""
    # Of any type, also of those that are no classes and know no `|`.
    answer: Any = Optional[output.type]  # noqa: UP045
    form = create_model("Conclusion", __base__=PointsOrAnswer, answer=(answer, None))
    with suppress(Exception):
        output.adapter.validate_python(None)
        form.may_be_none = True
    return OutputType(form)


def answer_in(text: str) -> str:
    """Return the JSON of the answer in `text`, which `form_for` describes."""
    data = json_in(text)
    return to_json_text(data["answer"]) if _is_wrapped(data) else text


def _is_wrapped(data: Any) -> bool:
    return isinstance(data, dict) and bool(data) and data.keys() <= {"ask", "answer"}


def points_in(text: str) -> list[Point] | None:
    """Return the points that a model names instead of an answer; None if `text` is an answer, however odd.

    It names points if its first line does, a heading aside; what else it writes then is no answer.
    """
    lines = [line for line in text.splitlines() if re.search(r"\w", line)]
    if lines[1:] and _is_heading(lines[0]) and not _POINT.match(lines[0]):
        lines = lines[1:]
    if not lines or not _POINT.match(lines[0]):
        return None
    return [Point(found[2].strip(), _numbers(found[1])) for found in map(_POINT.match, lines) if found]


def _is_heading(line: str) -> bool:
    return line.rstrip(" *_").endswith(":") and len(line.split()) <= HEADING_WORDS


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in re.findall(r"\d{1,6}", text))


def tasks_for(
    points: Sequence[Point], most: float, material: Sequence[Material], instructions: str | None, ctx: RunContext
) -> list[Task]:
    """Return the tasks for at most `most` of `points`: none twice, and none that was a task already."""
    asked = {_plain(ctx.question), *(_plain(task.prompt) for task in ctx.planned)}
    free = (f"{ID}{number}" for number in count(1) if not ctx.is_planned(f"{ID}{number}"))
    tasks: list[Task] = []
    dropped = 0
    for point in points:
        plain = _plain(point.question)
        if not plain or plain in asked or _NOTHING.fullmatch(point.question):
            continue
        asked.add(plain)
        if len(tasks) >= most:
            dropped += 1
            continue
        about = [material[number - 1] for number in point.about if 0 < number <= len(material)]
        needs = dict.fromkeys(task for each in about for task in each.tasks)
        title = point.question if len(point.question) <= TITLE else f"{point.question[: TITLE - 3]}..."
        tasks.append(
            Task(
                id=next(free),
                prompt=point.question,
                needs=tuple(needs),
                title=title,
                instructions=instructions,
                held=True,
            )
        )
    if dropped:
        ctx.note(f"{dropped} more points were named as open than may be asked again; they stay open")
    return tasks


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def asked_before(ctx: RunContext) -> list[TaskResult]:
    """Return the results of points that were asked in the run that this one aggregates again."""
    if ctx.parent_run_id is None:
        return []
    return [
        ctx.results[task.id] for task in ctx.planned if task.held and task.id.startswith(ID) and task.id in ctx.results
    ]


def is_answer_so_far(text: str) -> bool:
    """Return whether a text, as far as it is written, will be an answer."""
    for line in _lines_so_far(text):
        if _POINT.match(line):
            return False
        if not _is_heading(line):
            return True
    return False


def _lines_so_far(text: str) -> Iterator[str]:
    """Yield the first two lines that say something; of the last, only if enough of it is written."""
    *whole, last = text.split("\n")
    said = [line for line in whole if re.search(r"\w", line)]
    if len(last) >= DECIDED:
        said.append(last)
    yield from said[:2]
