"""How many programs a model writes that organise a run to its end: `python -m benchmarks.programs --out FILE`.

Twenty fixed questions of the kinds that are split, compared, checked and voted on. What is counted is whether the
program that the model wrote ran to its end, whether it asked anybody, and how often it was mended; not whether the
answer is right.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import anyio

from contemplate import Contemplator, Limits, ModelSettings, aggregators, planners
from contemplate.errors import ContemplateError
from contemplate.events import Event, ModelCalled
from contemplate.models import resolve
from contemplate.plan import Program

MODEL = "local:qwen2.5-coder-1.5b"
MAX_TASKS = 12
SECONDS = 400
WRITING = ModelSettings(temperature=0, seed=0, max_tokens=500)
# A verdict says why, and must not be cut off.
ANSWERS = ModelSettings(temperature=0, seed=0, max_tokens=160)

QUESTIONS = (
    "Compare paper books and e-books for a student: cost, comfort and environment.",
    "Which of these are prime: 91, 97, 119, 127? Let several experts check each.",
    "Is it true that the Great Wall of China is visible from the Moon, that bats are blind, and that lightning never "
    "strikes the same place twice? Check each claim.",
    "Write three slogans for a bakery, and choose the best one.",
    "What is 17 * 24? Let five experts calculate, and give the answer of the majority.",
    "Summarise the advantages and disadvantages of working from home.",
    "Find three names for a black cat, and say which fits best and why.",
    "Which is larger, 3/7 or 5/12? Have the result checked by a sceptic.",
    "Explain photosynthesis in two sentences; improve the text until a checker finds no error, three times at most.",
    "List four European capitals, and write one sentence about each of them.",
    "Should a small shop sell online? Let an optimist and a pessimist argue, and then decide.",
    "A train leaves at 9:40 and arrives at 13:05. How long does it take? Verify the answer.",
    "Translate 'good morning' into French, German and Spanish.",
    "Rank tea, coffee and water as drinks for the evening.",
    "What could go wrong when a team moves its database to another server? Collect risks for data, people and time.",
    "Is 2027 a leap year? Ask three experts and take the majority.",
    "Write a two-line poem about rain in two versions, and pick the better one.",
    "For each of the numbers 12, 15 and 20, list its divisors.",
    "Plan a birthday party: food, games and music, each by an expert, then a schedule.",
    "What are two arguments for and two against school uniforms? Have each of them checked.",
)


@dataclass(frozen=True)
class Outcome:
    """What became of one question.

    Args:
        question: its number.
        completed: whether a program ran to its end, and asked somebody.
        asked: how many subagents it asked.
        written: how many programs were written.
        calls, input_tokens, output_tokens: of the whole run.
        seconds: it took.
        notes: of the run; or its error.
        program: the last program that ran to its end.
        text: the answer.
    """

    question: int
    completed: bool
    asked: int
    written: int
    calls: int
    input_tokens: int
    output_tokens: int
    seconds: float
    notes: tuple[str, ...]
    program: str | None
    text: str


async def outcome_of(number: int, mind: Contemplator[str]) -> Outcome:
    """Ask one question."""
    written = 0

    def listen(event: Event) -> None:
        nonlocal written
        written += isinstance(event, ModelCalled) and event.name.role == "planner"

    started = time.monotonic()
    try:
        result = await mind.run(QUESTIONS[number], on_event=listen)
    except ContemplateError as error:
        seconds = time.monotonic() - started
        return Outcome(number, False, 0, written, 0, 0, 0, seconds, (str(error),), None, "")
    asked = [each for each in result.tasks if each.id.startswith("ask-")]
    # Where time ran out there is none.
    ended = result.program is not None and not any("ended early" in note for note in result.notes)
    return Outcome(
        number,
        ended and bool(asked),
        len(asked),
        written,
        result.usage.calls,
        result.usage.input_tokens,
        result.usage.output_tokens,
        time.monotonic() - started,
        result.notes,
        result.program,
        result.text,
    )


def kept(out: Path) -> list[dict[str, Any]]:
    """Return the outcomes in the file."""
    return [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []


def keep(out: Path, outcome: dict[str, Any]) -> None:
    """Add an outcome to the file."""
    with out.open("a") as file:
        file.write(json.dumps(outcome) + "\n")


async def main(model: str, out: Path, numbers: range) -> int:
    """Ask the questions that `out` does not have yet, and print a line for each."""
    done = {each["question"] for each in kept(out)}
    resolved = resolve(model)
    mind = Contemplator(
        resolved,
        planner=planners.program(max_tasks=MAX_TASKS, settings=WRITING, limits=Program(repairs=2)),
        aggregator=aggregators.synthesize(settings=ANSWERS),
        settings=ANSWERS,
        limits=Limits(seconds=SECONDS),
    )
    async with mind:
        for number in numbers:
            if number in done:
                continue
            outcome = await outcome_of(number, mind)
            keep(out, asdict(outcome) | {"model": model})
            state = "completed" if outcome.completed else "not completed"
            print(
                f"{number:2} {state:13} {outcome.asked:2} asked, {outcome.written} written, {outcome.calls} calls, "
                f"{outcome.seconds:.0f} s; {'; '.join(outcome.notes)[:120]!r}",
                flush=True,
            )
    outcomes = kept(out)
    print(f"{summary(outcomes)}; {model}, {platform.platform()}")
    return 0


def summary(outcomes: Sequence[dict[str, Any]]) -> str:
    """How many programs ran to their ends."""
    completed = [each for each in outcomes if each["completed"] and each["program"] is not None]
    first = sum(each["written"] == 1 for each in completed)
    return f"{len(completed)} of {len(outcomes)} completed, {first} at the first try"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=len(QUESTIONS))
    options = parser.parse_args()
    sys.exit(anyio.run(main, options.model, options.out, range(options.first, options.first + options.count)))
