"""What benchmarks of ways of thinking have in common: asking a model, and counting again without it.

The runs are those of `contemplate.compare`. What their calls brought is kept, and found again by their places: the way,
the question, the task, and the number of the call. So a way can have calls in common with another one, and all of it
can be counted again when prompts have changed.
"""

from __future__ import annotations

import gzip
import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from itertools import groupby, takewhile
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import anyio

from contemplate import ComparisonReport, Contemplator, Example, RunResult, compare
from contemplate.comparison import Scored, WayReport
from contemplate.comparison.grid import run_of
from contemplate.errors import ModelResponseError
from contemplate.journal import Entry, Journal, RunRecord
from contemplate.journal.entries import Voice
from contemplate.models import DeltaSink, Model, ModelRequest, ModelResponse
from contemplate.models.wrappers.base import Wrapper
from contemplate.run.calls import Calls
from contemplate.run.current_run import current_scope
from contemplate.usage import FREE, NOTHING, Usage

AT_ONCE = 24
NAME = "measured"
# The way with which the others are compared.
BASE = "greedy"
# Of log-probabilities, which fill most of a file.
DECIMALS = 3
Call = tuple[str, Entry]
_Place = tuple[str, str, Voice, str | None]


@dataclass(frozen=True)
class Question:
    """A question; `right` tells whether a text answers it."""

    id: str
    question: str
    right: Callable[[str], bool]


class Models(NamedTuple):
    """The model that is asked, and for ways of two models a cheap one beside it."""

    main: Model
    cheap: Model


@dataclass(frozen=True)
class Way:
    """A way of thinking.

    Args:
        set_up: makes the contemplator of the models and a journal.
        samples_of: the way whose calls it begins with, so that the two do not differ by luck.
        tasks: for its tasks, whose calls these are, the names that they have there; all have the same if None.
    """

    set_up: Callable[[Models, Journal], Contemplator[Any]]
    samples_of: str | None = None
    tasks: Mapping[str, str] | None = None


Ways = Mapping[str, Way]


def run_id(way: str, question: Question) -> str:
    """What the run that asks `question` in this way is called among what is kept."""
    return _run_id(way, question.id)


def _run_id(way: str, question: str) -> str:
    return f"{way}.{question}".replace(", ", "-").replace(" ", "-")


async def ask(
    ways: Ways, questions: Sequence[Question], models: Callable[[str], Models], journal: Journal, done: Set[str]
) -> dict[str, WayReport]:
    """Ask all `questions` in all ways, each with models of its own, but for the runs that are `done`.

    Returns:
        What came of those questions of each way that were asked.
    """
    found = {}
    for way, how in ways.items():
        left = [question for question in questions if run_id(way, question) not in done]
        if left:
            found[way] = await _asked(way, how.set_up(models(way), journal), left)
    return found


async def _asked(way: str, mind: Contemplator[Any], questions: Iterable[Question]) -> WayReport:
    # Without a journal of its own: the contemplator has one, and samples that were drawn without seeds are not to be
    # had in common with others of today's seeds.
    examples = [Example(each.question, each, id=each.id) for each in questions]
    report = await compare({way: mind}, examples, metric=_is_right, name=NAME, concurrency=AT_ONCE, give_up_after=None)
    return report[way]


def _is_right(result: RunResult[Any], question: Question) -> bool:
    return question.right(str(result.output or ""))


@dataclass(frozen=True)
class Kept:
    """What is kept of runs that came to an end: their names, and the calls of their own."""

    runs: frozenset[str] = frozenset()
    calls: tuple[Call, ...] = ()

    def __or__(self, other: Kept) -> Kept:
        """Both; of runs that are in both, those here."""
        return Kept(
            self.runs | other.runs, self.calls + tuple(each for each in other.calls if each[0] not in self.runs)
        )


def read(raw: Path) -> Kept:
    """What is in a file, if it is there."""
    if not raw.exists():
        return Kept()
    with gzip.open(raw, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    calls = tuple((row["run"], Entry.model_validate(row["call"])) for row in rows if "call" in row)
    return Kept(frozenset(row["run"] for row in rows), calls)


def write(raw: Path, kept: Kept) -> None:
    """Write a line of JSON for each call, and for each run without any, by their runs' names; without the questions."""
    rows = [(name, {"run": name, "call": _written(entry)}) for name, entry in kept.calls]
    rows += [(name, {"run": name}) for name in kept.runs - {name for name, _ in kept.calls}]
    # Whoever reads it meanwhile, or interrupts this, finds what was there before.
    new = raw.with_suffix(f".{os.getpid()}")
    with gzip.open(new, "wt", encoding="utf-8") as lines:
        for _, row in sorted(rows, key=itemgetter(0)):
            print(json.dumps(row), file=lines)
    new.replace(raw)


def _written(entry: Entry) -> dict[str, Any]:
    call = entry.model_dump(mode="json", exclude_none=True, exclude={"parts"})
    if entry.response is not None:
        # Some servers say where on their machine the model is.
        call["response"]["model"] = Path(entry.response.model).name
        for token in call["response"].get("logprobs", ()):
            token["logprob"] = round(token["logprob"], DECIMALS)
            token["top"] = {said: round(value, DECIMALS) for said, value in token.get("top", {}).items()}
    return call


def made(ways: Ways, questions: Iterable[Question], journal: Journal, known: Known) -> Kept:
    """What the runs in `journal` that came to an end have asked themselves, and not got from what is `known`."""
    names = {(way, question.id): run_id(way, question) for question in questions for way in ways}
    runs: set[str] = set()
    calls: list[Call] = []
    for record in journal.runs():
        name = names.get((str(record.labels.get("way")), str(record.labels.get("id"))))
        if name is None or record.status not in ("answered", "partial", "failed"):
            continue
        entries = [each for each in journal.entries(record.run_id) if each.is_call]
        if any(each.outcome == "failed" and each.role != "tool" for each in entries):
            # The server was not there: that says nothing of the model.
            continue
        runs.add(name)
        calls += [(name, each) for each in entries if each.outcome != "failed" and not known.has(name, each)]
    return Kept(frozenset(runs), tuple(calls))


def with_shared(ways: Ways, questions: Iterable[Question], calls: Iterable[Call]) -> list[Call]:
    """`calls`, and for each run those that it has in common with one of another way, under its own tasks' names."""
    by_run: dict[str, list[Entry]] = defaultdict(list)
    for name, entry in calls:
        by_run[name].append(entry)
    for question in questions:
        for way, how in ways.items():
            if how.samples_of is None:
                continue
            own = by_run[run_id(way, question)]
            places = {(each.role, each.path, each.task, each.turn) for each in own}
            names = None if how.tasks is None else {theirs: ours for ours, theirs in how.tasks.items()}
            for each in by_run[run_id(how.samples_of, question)]:
                task = each.task if names is None else names.get(each.task or "")
                renamed = each.model_copy(update={"task": task})
                if task is not None and (each.role, each.path, task, each.turn) not in places:
                    own.append(renamed)
    return [(name, each) for name, entries in by_run.items() for each in entries]


class Known:
    """Calls, by their places. The n-th call of a task in a run is the one that was its n-th.

    Requests are not compared: a later version may word its prompts otherwise, and draw other seeds.
    """

    def __init__(self, calls: Iterable[Call]) -> None:
        self._calls = {(run, call.path, call.role, call.task, call.turn): call for run, call in calls}
        self._turns: Counter[_Place] = Counter()

    def has(self, run: str, call: Entry) -> bool:
        """Whether a call at this place is known."""
        return (run, call.path, call.role, call.task, call.turn) in self._calls

    def next(self, way: str) -> tuple[str, Entry | None]:
        """Return the run of this way that is asking, and the call that it is making; None if that is not known."""
        scope = current_scope()
        assert scope is not None
        assert isinstance(scope.run, Calls)
        run = _run_id(way, scope.run.run_id.partition(".")[2])
        place = (run, scope.run.path, scope.role, scope.task)
        call = self._calls.get((*place, self._turns[place]))
        self._turns[place] += 1
        return run, call


class Sharing(Wrapper):
    """A model that is asked in one way, but for calls that are known."""

    def __init__(self, inner: Model, known: Known, way: str) -> None:
        super().__init__(inner)
        self._known = known
        self._way = way

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Return what was answered, or ask."""
        _, call = self._known.next(self._way)
        if call is None or call.response is None:
            return await self.inner.request(request, on_delta)
        return call.response.model_copy(update={"usage": call.usage})


@dataclass
class _Served:
    """What a run was given of what is known."""

    usage: Usage = NOTHING
    tasks: set[str | None] = field(default_factory=set)


class Recorded:
    """In place of a model that was asked in one way, and whose answers are known. What was cut off waits once more."""

    name = "recorded"
    price = FREE

    def __init__(self, known: Known, way: str) -> None:
        self._known = known
        self._way = way
        self.served: dict[str, _Served] = defaultdict(_Served)

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Return what was answered, or wait.

        Raises:
            ModelResponseError: the call is not known. It is the way's own failure, as it was when it was asked.
        """
        run, call = self._known.next(self._way)
        served = self.served[run]
        if call is not None and call.outcome == "cancelled":
            await anyio.sleep_forever()
        if call is None or call.response is None:
            raise ModelResponseError("this call is not known, and no model is asked", model=self.name)
        served.tasks.add(call.task)
        served.usage += call.usage
        # With what earlier attempts cost that failed.
        return call.response.model_copy(update={"usage": call.usage})


def counted(ways: Ways, questions: Sequence[Question], kept: Kept) -> ComparisonReport:
    """What comes of each question in each way, by what is kept and without a model.

    Of each way only the first questions count, up to the first that was not asked to the end: which these are then says
    nothing of how hard they are.
    """
    shared = sorted(with_shared(ways, questions, kept.calls), key=itemgetter(0))
    calls = {name: [entry for _, entry in group] for name, group in groupby(shared, key=itemgetter(0))}
    known = Known(shared)

    async def count(way: str, how: Way) -> WayReport:
        asked = list(takewhile(lambda each: run_id(way, each) in kept.runs, questions))
        journal, recorded = Journal(), Recorded(known, way)
        mind = how.set_up(Models(recorded, recorded), journal)
        for question in asked:
            _put_programs(journal, run_of(NAME, way, mind, question.question, question.id), question, calls, way)
        report = await _asked(way, mind, asked) if asked else WayReport(way, ())
        outcomes = (
            _as_recorded(each, recorded.served[run_id(way, question)], calls.get(run_id(way, question), ()))
            for each, question in zip(report.outcomes, asked, strict=True)
        )
        return WayReport(way, tuple(outcomes))

    async def count_all() -> dict[str, WayReport]:
        return {way: await count(way, how) for way, how in ways.items()}

    return ComparisonReport(NAME, anyio.run(count_all), BASE)


def _put_programs(
    journal: Journal, run: str, question: Question, calls: Mapping[str, Sequence[Entry]], way: str
) -> None:
    """Put what programs printed into the journal, from where it comes again: they are not run once more."""
    entries = calls.get(run_id(way, question), ())
    journal.save(RunRecord(run_id=run, question=question.question, model=Recorded.name, status="interrupted"))
    journal.append(run, [each for each in entries if each.role == "tool" and each.outcome == "answered"], {})


def _as_recorded(outcome: Scored, served: _Served, entries: Iterable[Entry]) -> Scored:
    """Return an outcome with the time that its calls took, of which `AT_ONCE` shared the machine, and all they cost."""
    seconds = sum(each.seconds for each in entries if each.task in served.tasks and each.outcome == "answered")
    usage = served.usage if outcome.run_id is None else outcome.usage
    return replace(outcome, seconds=seconds / AT_ONCE, usage=usage)
