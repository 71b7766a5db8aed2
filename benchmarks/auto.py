"""The mode "auto" over recorded answers of real models: `python -m benchmarks.auto FOLDER --questions FILE`.

Needs no model. Each question is a whole run, whose samples are the recorded answers in a random order: the first one is
what "instant" would have said. Is auto ever worse by more than what its probe costs? Plans, and what is made of them,
were not recorded: where they would follow, the probe's best answer stands, and the table says how often.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from math import ceil
from pathlib import Path
from statistics import NormalDist, fmean, stdev

import anyio

from contemplate import Answer, Contemplator, Task, TaskContext, TaskResult, answers, modes
from contemplate.errors import ModelServerError
from contemplate.planners import Route, Situation
from contemplate.testing import ScriptedModel

from .game24 import makes_24
from .recordings import Question, Sample, load

RAW = Path(__file__).parent / "results" / "gsm8k-1.5b.jsonl.gz"
NO_ANSWER = "(nothing in it could be read as an answer: number {})"


@dataclass(frozen=True)
class Recorded:
    """A question with answers in the order in which they are drawn, and perhaps what a program printed."""

    question: str
    given: Sequence[Sample]
    program: Sample | None = None
    has_program: bool = False


@dataclass(frozen=True)
class Tried:
    """What came of one run."""

    instant: bool
    auto: bool
    samples: int
    way: str


@dataclass
class Row:
    """What came of a set: a list of runs for each question."""

    name: str
    questions: list[list[Tried]] = field(default_factory=list)

    @property
    def runs(self) -> list[Tried]:
        """All runs."""
        return [each for tried in self.questions for each in tried]


def text_of(number: int, sample: Sample) -> str:
    """An answer as a model would write it, with the recorded one at its end."""
    return NO_ANSWER.format(number) if sample.answer is None else f"Answer: {sample.answer}"


def key(text: str) -> str | None:
    """The recorded answer, which is normalised already; None where there was none."""
    return text.removeprefix("Answer: ") if text.startswith("Answer: ") else None


def only_recorded(programs: bool) -> Callable[[Situation], Route]:
    """The default route, of a router that has a program only where one was recorded."""
    return lambda situation: replace(situation, programs=situation.programs and programs).best_route()


async def once(recorded: Recorded, check: Callable[[TaskResult], bool] | None) -> Tried:
    """Run the mode "auto" on recorded answers; solutions that are mended are the next ones, which knew of no fault."""
    numbers: dict[str, int] = {}
    drawn: dict[str, Sample] = {}

    async def answer(task: Task, ctx: TaskContext) -> Answer:
        number = numbers.setdefault(task.id, len(numbers))
        sample = recorded.given[number] if task.id != "calculation" and number < len(recorded.given) else None
        if task.id == "calculation":
            sample = recorded.program
        if sample is None or task.kind != "candidate":
            raise ModelServerError("this was not recorded", model="recorded")
        drawn[text_of(number, sample)] = sample
        return Answer(text_of(number, sample))

    nobody = ScriptedModel(lambda _: ModelServerError("this was not recorded", model="recorded"))
    if check is not None:
        mode = modes.auto(check=check, key=key)
    else:
        mode = modes.auto(key=key, choose=only_recorded(recorded.has_program))
    mind = Contemplator(nobody, mode=mode, agent=answer)
    result = await mind.run(recorded.question)
    samples = sum(1 for each in result.tasks if each.task.kind == "candidate" and each.outcome != "failed")
    right = (
        drawn[result.text].correct
        if check is None
        else any(check(each) for each in result.tasks if each.id in result.support)
    )
    return Tried(recorded.given[0].correct, right, samples, result.notes[0].partition(":")[0])


def in_orders(question: Question, seeds: int, *, checked: bool) -> list[Tried]:
    """Run a question in `seeds` orders of its answers."""
    check = partial(makes_24_of, question.question) if checked else None

    async def all_of_them() -> list[Tried]:
        tried = []
        for seed in range(seeds):
            given = random.Random(f"{seed}:{question.id}").sample(question.samples, len(question.samples))
            tried.append(await once(Recorded(question.question, given), check))
        return tried

    return anyio.run(all_of_them)


def makes_24_of(numbers: str, result: TaskResult) -> bool:
    """Whether an answer makes 24 of the numbers."""
    return makes_24(numbers, key(result.text) or "")


def calculated(path: Path, raw: Path = RAW) -> list[Recorded]:
    """The questions of `benchmarks.gsm8k`: the greedy answer first, then the samples of its vote; and its program's."""
    from .gsm8k import load as load_questions

    said: dict[str, dict[str, str]] = defaultdict(dict)
    with gzip.open(raw, "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            call = row["call"]
            # Of the programs, what they printed, and of all others what the model said.
            wanted = "tool" if row["run"].startswith("code.") else "subagent"
            if call["outcome"] == "answered" and call["role"] == wanted:
                parts = call.get("response", {"message": {"parts": []}})["message"]["parts"]
                said[row["run"]][call["task"]] = call["text"] or "".join(each.get("text", "") for each in parts)
    found = []
    for question in load_questions(path, 200, 0):
        right = question.right

        def sample(text: str, right: Callable[[str], bool] = right) -> Sample:
            value = answers.math(text)
            return Sample(answer=value, correct=value is not None and right(text))

        votes, printed = said[f"vote-exact-stop.{question.id}"], said.get(f"code.{question.id}", {})
        program = [sample(f"Answer: {text.strip().splitlines()[-1]}") for text in printed.values() if text.strip()]
        greedy = sample(said[f"greedy.{question.id}"]["answer"])
        given = [greedy, *(sample(votes[name]) for name in sorted(votes))]
        found.append(Recorded(question.question, given, program[-1] if program else None, has_program=True))
    return found


def without_programs(recorded: Recorded) -> Recorded:
    """The same, for a machine on which no program can be run."""
    return replace(recorded, program=None, has_program=False)


def tried_once(recorded: Recorded) -> list[Tried]:
    """Run a question in the one order that was recorded."""
    return [anyio.run(once, recorded, None)]


def interval(row: Row) -> tuple[float, float]:
    """How much more often auto is right than instant, over the questions; and half the 95 % interval of that."""
    gains = [fmean(float(each.auto) - float(each.instant) for each in tried) for tried in row.questions]
    spread = stdev(gains) if len(gains) > 1 else 0.0
    return fmean(gains), NormalDist().inv_cdf(0.975) * spread / len(gains) ** 0.5


def table(rows: Iterable[Row]) -> str:
    """What came out, as markdown."""
    lines = [
        "| set | questions | instant | auto | difference | won | lost | samples | ways |",
        "|---|--:|--:|--:|--:|--:|--:|--:|---|",
    ]
    for row in rows:
        runs = row.runs
        more, half = interval(row)
        shares = {name: share(runs, test) for name, test in COLUMNS.items()}
        ways = Counter(each.way for each in runs)
        told = ", ".join(f"{way} {100 * count / len(runs):.0f} %" for way, count in ways.most_common())
        lines.append(
            f"| {row.name} | {len(row.questions):,} | {shares['instant']} | {shares['auto']} "
            f"| {100 * more:+.1f} ± {100 * half:.1f} | {shares['won']} | {shares['lost']} "
            f"| {fmean(each.samples for each in runs):.1f} | {told} |"
        )
    return "\n".join(lines)


COLUMNS: Mapping[str, Callable[[Tried], bool]] = {
    "instant": lambda each: each.instant,
    "auto": lambda each: each.auto,
    "won": lambda each: each.auto and not each.instant,
    "lost": lambda each: each.instant and not each.auto,
}


def share(runs: Sequence[Tried], test: Callable[[Tried], bool]) -> str:
    """Return the share of runs that pass a test, in per cent."""
    return f"{100 * sum(map(test, runs)) / len(runs):.1f} %"


def worse(rows: Iterable[Row]) -> list[str]:
    """Return the sets on which auto is right less often than instant, by more than chance."""
    return [row.name for row in rows if sum(interval(row)) < 0]


def main() -> int:
    """Print the table; 1 if auto is worse than instant on a set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="holds the recordings, *.jsonl.gz")
    parser.add_argument("--questions", type=Path, help="those of benchmarks.gsm8k, to count its raw outputs, too")
    parser.add_argument("--runs", type=int, default=500, help="of each set at least: of few questions, more orders")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    given = parser.parse_args()
    rows = []
    with ProcessPoolExecutor(given.jobs) as pool:
        for name, questions in load(given.folder).items():
            for checked in (False, True) if "game24" in name else (False,):
                orders = ceil(given.runs / len(questions))
                tried = pool.map(partial(in_orders, seeds=orders, checked=checked), questions, chunksize=8)
                rows.append(Row(f"{name}, with a check" if checked else name, list(tried)))
                print(f"{rows[-1].name}: done", file=sys.stderr)
        if given.questions is not None:
            recorded = calculated(given.questions)
            rows.append(Row("gsm8k-1.5b", list(pool.map(tried_once, recorded))))
            plain = map(without_programs, recorded)
            rows.append(Row("gsm8k-1.5b, no programs", list(pool.map(tried_once, plain))))
    print(table(rows))
    for name in worse(rows):
        print(f"{name}: auto is worse than instant")
    return 1 if worse(rows) else 0


if __name__ == "__main__":
    sys.exit(main())
