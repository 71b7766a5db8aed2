"""Ways of thinking, with a real model, on school mathematics: `python -m benchmarks.gsm8k QUESTIONS --journal FILE`.

Every call is kept in the journal, from which the table is made. Stopped at any point, it goes on where it was. Ways
that only count the same samples otherwise begin with what the journal has of them. With `--raw FILE` what all calls
brought is read from there first, and written there at the end, without the questions. With `--offline` no model is
asked: each way concludes again from what is known.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from statistics import NormalDist, fmean, stdev

import anyio

from contemplate import answers
from contemplate.errors import ConfigurationError, ContemplateError
from contemplate.journal import Entry, Journal, RunRecord
from contemplate.journal.entries import Voice
from contemplate.models import DeltaSink, Model, ModelRequest, ModelResponse, OpenAIModel, resolve
from contemplate.run.calls import Calls
from contemplate.run.current_run import current_scope
from contemplate.usage import FREE, NOTHING, Usage

from .ways import WAYS

AT_ONCE = 24
Call = tuple[str, Entry]


@dataclass(frozen=True)
class Question:
    """A question with its right answer, a number as text."""

    id: str
    question: str
    gold: str


@dataclass(frozen=True)
class Outcome:
    """What came of a question, and its cost: seconds are those of its calls, of which `AT_ONCE` share the machine."""

    right: bool
    usage: Usage
    seconds: float


def load(path: Path, n: int, seed: int) -> list[Question]:
    """`n` of the questions in a file, always the same ones for a seed."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [Question(str(row["id"]), row["question"], row["gold"]) for row in random.Random(seed).sample(rows, n)]


def run_id(way: str, question: Question) -> str:
    """What the run that asks `question` in this way is called in the journal."""
    return f"{way}.{question.id}".replace(", ", "-").replace(" ", "-")


async def ask(ways: Sequence[str], questions: Iterable[Question], model: Model, journal: Journal) -> None:
    """Ask all `questions`, `AT_ONCE` at a time, each in all ways; what was answered is not asked again."""
    minds = {way: WAYS[way].set_up(model, journal) for way in ways}
    slots = anyio.Semaphore(AT_ONCE)

    async def one(question: Question) -> None:
        async with slots:
            for way, mind in minds.items():
                name = run_id(way, question)
                source = WAYS[way].samples_of
                if source is not None and journal.load(name) is None:
                    begin_with(journal, run_id(source, question), name)
                try:
                    await mind.run(question.question, run_id=name)
                except ContemplateError as error:
                    print(f"{name}: {error}", file=sys.stderr)

    async with AsyncExitStack() as stack, anyio.create_task_group() as group:
        for mind in minds.values():
            await stack.enter_async_context(mind)
        for question in questions:
            group.start_soon(one, question)


def begin_with(journal: Journal, source: str, name: str) -> None:
    """Give the run `name`, which is not there yet, all the calls that the run `source` has made."""
    record = journal.load(source)
    if record is None:
        return
    fresh = {"run_id": name, "parent": source, "status": "interrupted", "result": None, "error": None}
    journal.save(record.model_copy(update=fresh))
    journal.append(name, journal.entries(source), {})


def take_in(journal: Journal, raw: Path, questions: Iterable[Question]) -> list[Call]:
    """Put what `raw` has into `journal`, but for runs that it knows; returns all its calls, with their runs' names."""
    known = {run_id(way, question): question.question for question in questions for way in WAYS}
    with gzip.open(raw, "rt", encoding="utf-8") as lines:
        calls = [(row["run"], Entry.model_validate(row["call"])) for row in map(json.loads, lines)]
    for name, group in groupby(calls, key=itemgetter(0)):
        if name in known and journal.load(name) is None:
            entries = [entry for _, entry in group if entry.outcome == "answered"]
            model = next(entry.name for entry in entries if entry.role != "tool")
            journal.save(RunRecord(run_id=name, question=known[name], model=model, status="interrupted"))
            journal.append(name, entries, {})
    return calls


def give_out(journal: Journal, raw: Path, questions: Iterable[Question]) -> None:
    """Write what all calls brought, a line of JSON each, into `raw`."""
    with gzip.open(raw, "wt", encoding="utf-8") as lines:
        for name in sorted(run_id(way, question) for question in questions for way in WAYS):
            for entry in journal.entries(name):
                if entry.outcome == "failed":
                    continue
                call = entry.model_dump(mode="json", exclude_none=True, exclude={"parts"})
                if entry.response is not None:
                    # Some servers say where on their machine the model is.
                    call["response"]["model"] = Path(entry.response.model).name
                print(json.dumps({"run": name, "call": call}), file=lines)


def looked_up(way: str, question: Question, journal: Journal, measured: Journal) -> Outcome | None:
    """What the journal has of `question` asked in this way, with the seconds that its calls took in `measured`.

    None if it was not asked to the end.
    """
    name = run_id(way, question)
    record = journal.load(name)
    if record is None or (record.result is None and record.status != "failed"):
        return None
    entries = measured.entries(name)
    if not entries or any(entry.outcome == "failed" and entry.role != "tool" for entry in entries):
        # The server was not there: that says nothing of the model.
        return None
    result = record.result
    if result is None:
        return Outcome(False, Usage(), 0.0)
    # A run may begin with more samples than it looked at.
    used = {None, *(task.id for task in result.tasks if task.usage.calls)}
    seconds = sum(entry.seconds for entry in entries if entry.task in used and entry.outcome == "answered")
    right = record.status != "failed" and answers.math(str(result.output or "")) == answers.math(question.gold)
    return Outcome(right, result.usage, seconds / AT_ONCE)


def wilson(right: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953)."""
    z = NormalDist().inv_cdf(0.975)
    middle = (right + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(right * (n - right) / n + z * z / 4)
    return middle - half, middle + half


def gain(outcomes: Sequence[Outcome], base: Sequence[Outcome]) -> tuple[float, float]:
    """How much more is right than in `base`, which are the same questions; and half the 95 % interval of that."""
    differences = [float(new.right) - float(old.right) for new, old in zip(outcomes, base, strict=True)]
    spread = stdev(differences) if len(differences) > 1 else math.inf
    return fmean(differences), NormalDist().inv_cdf(0.975) * spread / math.sqrt(len(differences))


def table(questions: Sequence[Question], journal: Journal, measured: Journal | None = None) -> str:
    """All ways that were asked, in markdown, over the questions that each of them was asked.

    The seconds are those of the calls in `measured`, where they were made before; else of those in `journal`.
    """
    found = {way: _found(way, questions, journal, measured or journal) for way in WAYS}
    lines = [
        "| | questions | right | 95 % interval | against greedy | calls | tokens read | tokens written | seconds |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for way, outcomes in found.items():
        if outcomes:
            lines.append(_row(way, outcomes, found["greedy"]))
    return "\n".join(lines)


def _found(way: str, questions: Sequence[Question], journal: Journal, measured: Journal) -> dict[str, Outcome]:
    found = {each.id: looked_up(way, each, journal, measured) for each in questions}
    return {name: outcome for name, outcome in found.items() if outcome is not None}


def _row(way: str, outcomes: Mapping[str, Outcome], greedy: Mapping[str, Outcome]) -> str:
    n = len(outcomes)
    right = sum(each.right for each in outcomes.values())
    low, high = wilson(right, n)
    both = outcomes.keys() & greedy.keys()
    more, half = gain([outcomes[each] for each in both], [greedy[each] for each in both]) if both else (0.0, math.inf)
    costs = [(each.usage.calls, each.usage.input_tokens, each.usage.output_tokens) for each in outcomes.values()]
    calls, read, written = (fmean(column) for column in zip(*costs, strict=True))
    seconds = fmean(each.seconds for each in outcomes.values())
    against = "" if way == "greedy" else f"{100 * more:+.1f} ± {100 * half:.1f}"
    return (
        f"| {way} | {n} | {100 * right / n:.1f} % | {100 * low:.1f} to {100 * high:.1f} | {against} "
        f"| {calls:.1f} | {read:.0f} | {written:.0f} | {seconds:.1f} |"
    )


class Recorded:
    """In place of the model whose answers are known: the n-th call of a task in a run gets the answer that it got.

    The request is not compared: a later version may word its prompts otherwise, and draw other seeds. What was cut off
    waits for its end again.
    """

    price = FREE

    def __init__(self, name: str, calls: Iterable[Call]) -> None:
        self.name = name
        self._calls = {(run, call.path, call.role, call.task, call.turn): call for run, call in calls}
        self._unused: defaultdict[str, set[tuple[str, str, Voice, str | None, int]]] = defaultdict(set)
        for place in self._calls:
            self._unused[place[0]].add(place)
        self._turns: Counter[tuple[str, str, str, str | None]] = Counter()

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Return what was answered, or wait.

        Raises:
            ConfigurationError: the call is not known.
        """
        scope = current_scope()
        assert scope is not None
        assert isinstance(scope.run, Calls)
        place = (scope.run.run_id, scope.run.path, scope.role, scope.task)
        call = self._calls.get((*place, self._turns[place]))
        self._turns[place] += 1
        if call is not None and call.outcome == "cancelled":
            await anyio.sleep_forever()
        if call is None or call.response is None:
            raise ConfigurationError("this call is not known, and no model is asked")
        self._unused[scope.run.run_id].discard((*place, call.turn))
        # With what earlier attempts cost that failed.
        return call.response.model_copy(update={"usage": call.usage})

    def unused(self, run: str) -> Usage:
        """Return the usage of answers that `run` began with and did not look at."""
        calls = (self._calls[place] for place in self._unused[run])
        return sum((call.usage for call in calls if call.response is not None), NOTHING)


def _model(name: str, base_url: str | None) -> Model:
    return resolve(name) if base_url is None else OpenAIModel(name, base_url=base_url, api_key="none", price=FREE)


def count_again(raw: Path, questions: Sequence[Question]) -> str:
    """The table, from what `raw` has and without a model."""
    measured, journal = Journal(), Journal()
    calls = take_in(measured, raw, questions)
    for run in measured.runs():
        journal.save(run)
        # Programs are not run again.
        journal.append(run.run_id, [entry for entry in measured.entries(run.run_id) if entry.role == "tool"], {})
    (model,) = {run.model for run in measured.runs()}
    recorded = Recorded(model, calls)
    anyio.run(ask, list(WAYS), questions, recorded, journal)
    for record in map(journal.load, [run.run_id for run in measured.runs()]):
        if record is not None and record.result is not None:
            whole = record.result.model_copy(update={"usage": record.result.usage + recorded.unused(record.run_id)})
            journal.save(record.model_copy(update={"result": whole}))
    return table(questions, journal, measured)


def main() -> None:
    """Ask what was not asked yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("file", type=Path, help="the questions, *.jsonl.gz: id, question, gold")
    parser.add_argument("--journal", type=Path, help="where every call is kept; in memory if not given")
    parser.add_argument("--model", default="local:qwen2.5-coder-1.5b")
    parser.add_argument("--base-url", help="where an OpenAI-compatible server runs it; in this process if not given")
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="which questions")
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=list(WAYS), metavar="WAY")
    parser.add_argument("--raw", type=Path, help="what all calls brought, *.jsonl.gz: read before, written after")
    parser.add_argument("--offline", action="store_true", help="ask no model: count what --raw has")
    given = parser.parse_args()
    if given.offline and given.raw is None:
        parser.error("--offline needs --raw, from which it counts")
    questions = load(given.file, given.questions, given.seed)
    if given.offline:
        print(count_again(given.raw, questions))
        return
    journal = Journal(given.journal)
    if given.raw is not None and given.raw.exists():
        take_in(journal, given.raw, questions)
    try:
        anyio.run(ask, given.ways, questions, _model(given.model, given.base_url), journal)
    finally:
        if given.raw is not None:
            give_out(journal, given.raw, questions)
    print(table(questions, journal))


if __name__ == "__main__":
    main()
