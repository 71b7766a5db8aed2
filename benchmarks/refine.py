"""What revising and asking again bring, with a local model: `python -m benchmarks.refine --out FILE`.

Each question has two parts, which are given, so that all ways are about the same parts. Without chance, calls that are
the same in several ways are made once: a way differs from the plain one by what it adds, and by nothing else.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio

from contemplate import Agent, Contemplator, ModelSettings, RunContext, Task, aggregators, refined
from contemplate.errors import ContemplateError
from contemplate.models import DeltaSink, LocalModel, Model, ModelRequest, ModelResponse
from contemplate.models.wrappers.base import Wrapper
from contemplate.run.protocols import Planner

PLAIN, REFINED, ASKED = "contemplating", "refine=1", "ask_again=1"
WAYS = (PLAIN, REFINED, ASKED)
AT_ONCE = 2
SETTINGS = ModelSettings(temperature=0, seed=0, max_tokens=160)
BRIEFLY = "Show the calculation in a few short lines, and stop."


@dataclass(frozen=True)
class Question:
    """A question, its parts, and the numbers that a right answer contains."""

    name: str
    question: str
    parts: tuple[str, str]
    numbers: tuple[str, ...]


QUESTIONS = (
    Question(
        "bakery",
        "On Monday a bakery sells 36 loaves at 4 euros each and 52 rolls at 2 euros each; on Tuesday, at the same "
        "prices, 41 loaves and 47 rolls. How much does it take on each day, and how much more on the better one?",
        ("What does the bakery take on Monday?", "What does the bakery take on Tuesday?"),
        ("248", "258", "10"),
    ),
    Question(
        "tank",
        "A tank holds 900 litres. One tap fills it with 15 litres a minute, another with 12, and a leak loses 7. How "
        "many minutes do both taps take with the leak, and how many minutes does the first tap take alone without it?",
        (
            "How many minutes do both taps take, with the leak?",
            "How many minutes does the first tap take alone, without the leak?",
        ),
        ("45", "60"),
    ),
    Question(
        "coats",
        "A coat costs 120 euros; 25 % are taken off, then 10 % of what is left. Another costs 100 euros, less 20 %. "
        "What does each cost in the end, and how much cheaper is the cheaper one?",
        ("What does the first coat cost in the end?", "What does the second coat cost in the end?"),
        ("81", "80", "1"),
    ),
    Question(
        "gardens",
        "One garden is 18 metres by 12, another is a square with sides of 15 metres. What is the area of each, how "
        "long is the fence around each, and by how many square metres do they differ?",
        (
            "What are the area and the fence of the first garden?",
            "What are the area and the fence of the second garden?",
        ),
        ("216", "225", "60", "9"),
    ),
    Question(
        "sums",
        "What is the sum of the primes between 20 and 40, what is the sum of the multiples of 7 between 20 and 40, and "
        "what is the difference of these two sums?",
        (
            "What is the sum of the primes between 20 and 40?",
            "What is the sum of the multiples of 7 between 20 and 40?",
        ),
        ("120", "84", "36"),
    ),
    Question(
        "wages",
        "One job pays 14 euros an hour for 38 hours a week, another 2050 euros for four weeks. What does the first one "
        "pay for four weeks, which pays more for them, and by how much?",
        ("What does the first job pay for four weeks?", "What does the second job pay for each week?"),
        ("2128", "78"),
    ),
)


@dataclass(frozen=True)
class Run:
    """What came of a question in one way.

    Attributes:
        right: how many of the numbers are in the answer.
        numbers: how many there are.
        changed: how many of the parts have another answer after their revision.
        asked: the points that were asked again.
        seconds: of its calls, which share the machine with those of another question.
    """

    way: str
    question: str
    right: int
    numbers: int
    calls: int
    tokens: int
    seconds: float
    changed: int
    asked: tuple[str, ...]
    complete: bool
    notes: tuple[str, ...]
    answer: str
    parts: tuple[str, ...]


class _Known(Wrapper):
    """Makes each call once, and remembers how long it took."""

    def __init__(self, inner: Model) -> None:
        super().__init__(inner)
        self._known: dict[str, tuple[ModelResponse, float]] = {}
        self.seconds = 0.0

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Return the response to `request`, from memory if it is known."""
        key = repr(request)
        if key not in self._known:
            began = time.perf_counter()
            response = await self.inner.request(request)
            self._known[key] = response, time.perf_counter() - began
        response, seconds = self._known[key]
        self.seconds += seconds
        return response


def _planner(parts: Sequence[str]) -> Planner:
    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        for number, part in enumerate(parts, start=1):
            yield Task(id=str(number), prompt=part, instructions=BRIEFLY)

    return plan


def right_numbers(answer: str, numbers: Sequence[str]) -> int:
    """Return how many of `numbers` stand in `answer`."""
    found = set(re.findall(r"\d+(?:\.\d+)?", answer.replace(",", "")))
    return sum(each in found or f"{each}.00" in found or f"{each}.0" in found for each in numbers)


async def run(model: _Known, question: Question, way: str) -> Run:
    """Answer a question in one way."""
    agent = Agent(settings=SETTINGS)
    asks = 1 if way == ASKED else 0
    mind = Contemplator(
        model,
        planner=_planner(question.parts),
        agent=refined(agent) if way == REFINED else agent,
        aggregator=aggregators.synthesize(
            settings=SETTINGS, ask_again=asks, ask_instructions=BRIEFLY if asks else None
        ),
        stream=False,
    )
    before = model.seconds
    result = await mind.run(question.question)
    planned = result.tasks[: len(question.parts)]
    return Run(
        way=way,
        question=question.name,
        right=right_numbers(result.text, question.numbers),
        numbers=len(question.numbers),
        calls=result.usage.calls,
        tokens=result.usage.total_tokens,
        seconds=model.seconds - before,
        changed=sum(
            _changed(way, [m.text for m in each.messages if m.role == "assistant"], each.text) for each in planned
        ),
        asked=tuple(each.task.prompt for each in result.tasks[len(question.parts) :]),
        complete=result.complete,
        notes=result.notes,
        answer=result.text,
        parts=tuple(each.text for each in result.tasks),
    )


def _changed(way: str, said: Sequence[str], answer: str) -> bool:
    return way == REFINED and bool(said) and said[0] != answer


async def measured(model: Model, questions: Sequence[Question], seconds: float) -> list[Run]:
    """Ask all `questions` in all ways, as far as the time suffices."""
    runs: list[Run] = []
    slots = anyio.Semaphore(AT_ONCE)

    async def one(question: Question) -> None:
        async with slots:
            # What a question costs is counted by itself.
            known = _Known(model)
            for way in WAYS:
                try:
                    runs.append(await run(known, question, way))
                except ContemplateError as error:
                    print(f"{question.name}, {way}: {error}", file=sys.stderr)
                else:
                    print(f"{question.name}, {way}: {runs[-1].right} of {runs[-1].numbers}", file=sys.stderr)

    with anyio.move_on_after(seconds):
        async with anyio.create_task_group() as group:
            for question in questions:
                group.start_soon(one, question)
    return runs


def show(runs: Sequence[Run]) -> None:
    """Print the table, as markdown, of the questions that were answered in all ways."""
    whole = {
        name for name in {each.question for each in runs} if sum(each.question == name for each in runs) == len(WAYS)
    }
    print("| Way | right numbers | better, worse than plain | calls | tokens | seconds of calls | what it did |")
    print("|---|--:|--:|--:|--:|--:|---|")
    plain = {each.question: each for each in runs if each.way == PLAIN}
    for way in WAYS:
        mine = [each for each in runs if each.way == way and each.question in whole]
        right, of = sum(each.right for each in mine), sum(each.numbers for each in mine)
        better = sum(each.right > plain[each.question].right for each in mine)
        worse = sum(each.right < plain[each.question].right for each in mine)
        did = {
            PLAIN: "",
            REFINED: f"{sum(each.changed for each in mine)} of {2 * len(mine)} parts changed",
            ASKED: f"{sum(bool(each.asked) for each in mine)} of {len(mine)} questions asked again",
        }[way]
        calls, tokens = sum(each.calls for each in mine), sum(each.tokens for each in mine)
        seconds = sum(each.seconds for each in mine)
        print(f"| {way} | {right} of {of} | {better}, {worse} | {calls} | {tokens} | {seconds:.0f} | {did} |")


def main() -> int:
    """Measure, print the table, and write the raw outputs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    parser.add_argument("--seconds", type=float, default=540.0, help="the most that it may take")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()

    async def all_of_it() -> list[Run]:
        model = LocalModel(options.model)
        async with model.connect():
            return await measured(model, QUESTIONS, options.seconds)

    runs = anyio.run(all_of_it)
    if options.out is not None:
        text = json.dumps([asdict(each) for each in runs], indent=1, ensure_ascii=False)
        options.out.write_text(f"{text}\n", encoding="utf-8")
    show(runs)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
