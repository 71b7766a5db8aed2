"""Ways of thinking, with a real model, on puzzles whose answers are checked: `python -m benchmarks.puzzles`.

The questions are made here, a kind after the other in turn, so that the first of them are of all kinds. All else is as
in `benchmarks.gsm8k`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial

from contemplate import (
    Agent,
    ComparisonReport,
    Contemplator,
    ModelSettings,
    TaskResult,
    aggregators,
    checked,
    planners,
    strategies,
)
from contemplate.journal import Journal

from .measured import Kept, Models, Question, Way, Ways, counted
from .measured_cli import add_arguments, kept_of
from .puzzle_kinds import KINDS, Puzzle, puzzles, stated

EACH = 20
SAMPLES = 5
TRIES = 3
BRIEFLY = (
    "Think step by step, briefly: one short sentence for each step. "
    'Then end with one line of the form "Answer: ..." that holds the final answer and nothing else.'
)
GREEDY = ModelSettings(temperature=0, max_tokens=320)
SAMPLED = ModelSettings(temperature=0.7, max_tokens=320)
WRITING = ModelSettings(temperature=0, max_tokens=500)
VOTE = "vote"


class Checks:
    """The check of each puzzle, by its question."""

    def __init__(self, made: Sequence[Puzzle]) -> None:
        self._puzzles = {each.question: each for each in made}

    def __call__(self, result: TaskResult) -> bool | str:
        """Return True, or what is wrong with the answer."""
        return self._puzzles[result.task.prompt].check(stated(result.text)) or True


def ways(made: Sequence[Puzzle]) -> Ways:
    """The ways in which these puzzles are asked."""
    check = Checks(made)

    def greedy(models: Models, journal: Journal) -> Contemplator[str]:
        once = planners.direct(instructions=BRIEFLY, settings=GREEDY)
        return Contemplator(models.main, planner=once, aggregator=aggregators.first(), journal=journal)

    def code(models: Models, journal: Journal) -> Contemplator[str]:
        once = planners.sample(1, strategies=[strategies.code], settings=GREEDY)
        return Contemplator(models.main, planner=once, aggregator=aggregators.first(), journal=journal)

    def vote(models: Models, journal: Journal) -> Contemplator[str]:
        samples = planners.sample(SAMPLES, wave=1, instructions=BRIEFLY, settings=SAMPLED)
        return Contemplator(models.main, planner=samples, aggregator=aggregators.vote(key=stated), journal=journal)

    def first_good(models: Models, journal: Journal) -> Contemplator[str]:
        samples = planners.sample(SAMPLES, wave=1, instructions=BRIEFLY, settings=SAMPLED)
        return Contemplator(models.main, planner=samples, aggregator=aggregators.check(check), journal=journal)

    def code_mended(models: Models, journal: Journal) -> Contemplator[str]:
        once = planners.sample(1, strategies=[strategies.code], settings=GREEDY)
        agent = checked(Agent(), check, attempts=TRIES)
        return Contemplator(models.main, planner=once, agent=agent, aggregator=aggregators.first(), journal=journal)

    def verified(models: Models, journal: Journal) -> Contemplator[str]:
        mended = planners.verified(check, rejections=TRIES, lines=1, instructions=BRIEFLY, settings=GREEDY)
        return Contemplator(models.main, planner=mended, aggregator=aggregators.first(), journal=journal)

    def program(models: Models, journal: Journal) -> Contemplator[str]:
        return Contemplator(
            models.main,
            planner=planners.program(max_tasks=8, settings=WRITING),
            aggregator=aggregators.synthesize(settings=GREEDY, instructions=BRIEFLY),
            settings=GREEDY,
            journal=journal,
        )

    return {
        "greedy": Way(greedy),
        VOTE: Way(vote),
        "code": Way(code),
        "code, mended by the check": Way(code_mended, "code"),
        "verify by the check": Way(verified, "greedy", {"solution-1-1": "answer"}),
        "first of 5 that passes": Way(first_good, VOTE),
        "program": Way(program),
    }


def questions_of(made: Sequence[Puzzle]) -> list[Question]:
    """The puzzles as questions."""
    return [Question(each.id, each.question, partial(solved, each)) for each in made]


def solved(puzzle: Puzzle, text: str) -> bool:
    """Whether a text states a solution."""
    return not puzzle.check(stated(text))


def found_of(kind: str, made: Sequence[Puzzle], kept: Kept) -> ComparisonReport:
    """What came of the puzzles of one kind."""
    own = [each for each in made if each.id.startswith(f"{kind}-")]
    return counted(ways(own), questions_of(own), kept)


def report(made: Sequence[Puzzle], kept: Kept) -> str:
    """A table for each kind."""
    return "\n\n".join(f"### {kind}\n\n{found_of(kind, made, kept).table()}" for kind in KINDS)


def main() -> None:
    """Ask what was not asked yet, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--each", type=int, default=EACH, help="puzzles of each kind")
    add_arguments(parser, ways(()))
    given = parser.parse_args()
    made = puzzles(given.each, given.seed)
    print(report(made, kept_of(given, ways(made), questions_of(made))))


if __name__ == "__main__":
    main()
