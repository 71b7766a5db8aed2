"""What benchmarks of ways of thinking have in common: asking a model, and counting again without it.

A run is named by its way and its question. What its calls brought is kept, and found again by their places: the run,
the task, and the number of the call. So a way can have calls in common with another one, and all of it can be counted
again when prompts have changed.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import groupby, takewhile
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import anyio

from contemplate import Contemplator
from contemplate.errors import ConfigurationError, ContemplateError
from contemplate.journal import Entry, Journal, RunRecord
from contemplate.journal.entries import Voice
from contemplate.models import DeltaSink, Model, ModelRequest, ModelResponse
from contemplate.models.wrappers.base import Wrapper
from contemplate.run.calls import Calls
from contemplate.run.current_run import current_scope
from contemplate.usage import FREE, NOTHING, Usage

AT_ONCE = 24
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


@dataclass(frozen=True)
class Outcome:
    """What came of a question, and its cost: seconds are those of its calls, of which `AT_ONCE` share the machine."""

    right: bool
    usage: Usage
    seconds: float


def run_id(way: str, question: Question) -> str:
    """What the run that asks `question` in this way is called."""
    return f"{way}.{question.id}".replace(", ", "-").replace(" ", "-")


async def ask(
    ways: Ways,
    questions: Iterable[Question],
    models: Models,
    journal: Journal,
    done: Set[str],
    on_error: Callable[[str, ContemplateError], None] = lambda name, error: None,
) -> None:
    """Ask all `questions`, `AT_ONCE` at a time, each in all ways, but for the runs that are `done`."""
    minds = {name: way.set_up(models, journal) for name, way in ways.items()}
    slots = anyio.Semaphore(AT_ONCE)

    async def one(question: Question) -> None:
        async with slots:
            for way, mind in minds.items():
                name = run_id(way, question)
                if name in done:
                    continue
                try:
                    await mind.run(question.question, run_id=name)
                except ContemplateError as error:
                    on_error(name, error)

    async with AsyncExitStack() as stack, anyio.create_task_group() as group:
        for mind in minds.values():
            await stack.enter_async_context(mind)
        for question in questions:
            group.start_soon(one, question)


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
    with gzip.open(raw, "wt", encoding="utf-8") as lines:
        for _, row in sorted(rows, key=itemgetter(0)):
            print(json.dumps(row), file=lines)


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
    runs: set[str] = set()
    calls: list[Call] = []
    for name in (run_id(way, question) for question in questions for way in ways):
        record = journal.load(name)
        if record is None or not (record.status == "failed" or record.result is not None):
            continue
        entries = journal.entries(name)
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

    def next(self) -> tuple[str, Entry | None]:
        """Return the run that is asking, and the call that it is making; None if that is not known."""
        scope = current_scope()
        assert scope is not None
        assert isinstance(scope.run, Calls)
        place = (scope.run.run_id, scope.run.path, scope.role, scope.task)
        call = self._calls.get((*place, self._turns[place]))
        self._turns[place] += 1
        return scope.run.run_id, call


class Sharing(Wrapper):
    """A model, but for calls that are known."""

    def __init__(self, inner: Model, known: Known) -> None:
        super().__init__(inner)
        self._known = known

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Return what was answered, or ask."""
        _, call = self._known.next()
        if call is None or call.response is None:
            return await self.inner.request(request, on_delta)
        return call.response.model_copy(update={"usage": call.usage})


@dataclass
class _Served:
    """What a run was given of what is known."""

    usage: Usage = NOTHING
    tasks: set[str | None] = field(default_factory=set)


class Recorded:
    """In place of a model all of whose answers are known. What was cut off waits for its end again."""

    name = "recorded"
    price = FREE

    def __init__(self, known: Known) -> None:
        self._known = known
        self.served: dict[str, _Served] = defaultdict(_Served)

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Return what was answered, or wait.

        Raises:
            ConfigurationError: the call is not known.
        """
        run, call = self._known.next()
        served = self.served[run]
        if call is not None and call.outcome == "cancelled":
            await anyio.sleep_forever()
        if call is None or call.response is None:
            raise ConfigurationError("this call is not known, and no model is asked")
        served.tasks.add(call.task)
        served.usage += call.usage
        # With what earlier attempts cost that failed.
        return call.response.model_copy(update={"usage": call.usage})


Found = Mapping[str, Mapping[str, Outcome]]


def counted(ways: Ways, questions: Sequence[Question], kept: Kept) -> Found:
    """What comes of each question in each way, by what is kept and without a model.

    Of each way only the first questions count, up to the first that was not asked to the end: which these are then says
    nothing of how hard they are.
    """
    shared = sorted(with_shared(ways, questions, kept.calls), key=itemgetter(0))
    calls = {name: [entry for _, entry in group] for name, group in groupby(shared, key=itemgetter(0))}
    names = {run_id(way, question): question.question for way in ways for question in questions}
    journal, recorded = Journal(), Recorded(Known(shared))
    for name in names.keys() & kept.runs:
        journal.save(RunRecord(run_id=name, question=names[name], model=recorded.name, status="interrupted"))
        # Programs are not run again.
        programs = [each for each in calls.get(name, ()) if each.role == "tool" and each.outcome == "answered"]
        journal.append(name, programs, {})
    anyio.run(ask, ways, questions, Models(recorded, recorded), journal, names.keys() - kept.runs)

    def outcomes(way: str) -> Iterator[tuple[str, Outcome]]:
        for question in takewhile(lambda each: run_id(way, each) in kept.runs, questions):
            name = run_id(way, question)
            yield question.id, _outcome(question, journal.load(name), recorded.served[name], calls.get(name, ()))

    return {way: dict(outcomes(way)) for way in ways}


def _outcome(question: Question, record: RunRecord | None, served: _Served, entries: Iterable[Entry]) -> Outcome:
    assert record is not None
    result = record.result
    # A failed run may have no result; what it asked is paid for.
    usage = served.usage if result is None else result.usage
    right = result is not None and record.status != "failed" and question.right(str(result.output or ""))
    seconds = sum(each.seconds for each in entries if each.task in served.tasks and each.outcome == "answered")
    return Outcome(right, usage, seconds / AT_ONCE)
