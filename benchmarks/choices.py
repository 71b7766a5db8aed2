"""Vote, tournament, best of n and majority of the bests, simulated: `python -m benchmarks.choices`.

Needs no model. Answers are drawn from a known distribution, in which one is right; a judge is right with a stated
probability, and sometimes names the first whatever it is; scores are normally distributed, and err. It tells when a way
pays, not how often models are right.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from contemplate.aggregators.majority_of_bests import chances
from contemplate.aggregators.standings import Knockout, Standings, Swiss

RIGHT = 0
# The share of the right answer, and those of the wrong ones.
QUESTIONS: Mapping[str, Sequence[float]] = {
    "mostly right: 50, 30, 10, 10 %": [50, 30, 10, 10],
    "even: 40, 30, 30 %": [40, 30, 30],
    "mostly wrong: 25, 30, 15, 15, 15 %": [25, 30, 15, 15, 15],
    "scattered: 30 %, eight of 8.75 %": [30, *[8.75] * 8],
}
JUDGES = (0.6, 0.7, 0.8, 0.9)
# How far the mean score of right answers is above that of wrong ones, in standard deviations.
GAPS = (0.5, 1.0, 2.0)
NAMES_THE_FIRST = 0.2
SYSTEMS: Sequence[Callable[[Sequence[int]], Standings]] = (Swiss.of, Knockout.of)


@dataclass(frozen=True, slots=True)
class Drawn:
    """The distinct answers of a question, in the order in which they came, and how often each did."""

    answers: Sequence[int]
    keys: Sequence[int]
    votes: Sequence[int]

    @property
    def voted(self) -> int:
        """The answer of a vote."""
        return self.keys[self.votes.index(max(self.votes))]


def drawn(shares: Sequence[float], n: int, rng: random.Random) -> Drawn:
    """Return n answers."""
    answers = rng.choices(range(len(shares)), shares, k=n)
    keys = list(dict.fromkeys(answers))
    return Drawn(answers, keys, [answers.count(key) for key in keys])


def played(standings: Standings, keys: Sequence[int], accuracy: float, rng: random.Random) -> tuple[int, int]:
    """Return the winner of a tournament, and how many calls it took."""

    def shown(first: int, second: int) -> int:
        """What the one shown first scores."""
        if rng.random() < NAMES_THE_FIRST:
            return 1
        if RIGHT not in (first, second):
            return rng.randrange(2)
        return int((rng.random() < accuracy) == (first == RIGHT))

    calls = 0
    while pairs := standings.pairs():
        scores = {}
        for one, other in pairs:
            there, back = shown(keys[one], keys[other]), shown(keys[other], keys[one])
            scores[one, other] = (there + 1 - back) / 2
        calls += 2 * len(pairs)
        standings = standings.after(scores)
    return keys[standings.ranking()[0]], calls


def scored(answers: Sequence[int], gap: float, subset: int, rng: random.Random) -> int:
    """Return the answer with the highest sum of chances; with a very large subset, best of n."""
    found = chances([rng.gauss(gap if answer == RIGHT else 0, 1) for answer in answers], subset)
    return max(dict.fromkeys(answers), key=lambda key: sum(c for a, c in zip(answers, found, strict=True) if a == key))


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--samples", type=int, default=8, help="of a question that a model judges")
    parser.add_argument("--scored", type=int, default=32, help="of a question with scores")
    given = parser.parse_args()
    tournaments(given.trials, given.samples)
    print()
    scores(given.trials, given.scored)


def tournaments(trials: int, n: int, questions: Mapping[str, Sequence[float]] = QUESTIONS) -> None:
    """Print how often votes and tournaments are right."""
    print(f"| n = {n} | vote |" + "".join(f" Swiss, judge {each:.0%} | knockout |" for each in JUDGES) + " calls |")
    print("|---|--:|" + "--:|" * (2 * len(JUDGES) + 1))
    for name, shares in questions.items():
        rng = random.Random(name)
        voted = sum(drawn(shares, n, rng).voted == RIGHT for _ in range(trials))
        cells = [f"{100 * voted / trials:.1f} %"]
        calls = [0, 0]
        for accuracy in JUDGES:
            for place, begin in enumerate(SYSTEMS):
                rng, right = random.Random(name), 0
                for _ in range(trials):
                    asked = drawn(shares, n, rng)
                    winner, made = played(begin(asked.votes), asked.keys, accuracy, rng)
                    right += winner == RIGHT
                    calls[place] += made
                cells.append(f"{100 * right / trials:.1f} %")
        means = (f"{each / trials / len(JUDGES):.1f}" for each in calls)
        print(f"| {name} | {' | '.join(cells)} | {', '.join(means)} |", flush=True)


def scores(trials: int, n: int, questions: Mapping[str, Sequence[float]] = QUESTIONS) -> None:
    """Print how often votes, best of n and majorities of the bests are right."""
    subset = next(each for each in range(1, n + 1) if each * each >= n)
    print(f"| n = {n} | vote |" + "".join(f" gap {each}: best of n | majority |" for each in GAPS))
    print("|---|--:|" + "--:|--:|" * len(GAPS))
    for name, shares in questions.items():
        cells = []
        for gap, size in [(0.0, 1), *((gap, size) for gap in GAPS for size in (1000, subset))]:
            rng = random.Random(name)
            right = sum(scored(drawn(shares, n, rng).answers, gap, size, rng) == RIGHT for _ in range(trials))
            cells.append(f"{100 * right / trials:.1f} %")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
