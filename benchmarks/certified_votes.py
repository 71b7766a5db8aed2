"""How often a certified answer is not the most probable one: `python -m benchmarks.certified_votes`.

Needs no model. Votes are drawn independently from known distributions, so that it is known which answer is the most
probable; a vote ends with its certificate, or by the Beta stop, or with its last draw.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from contemplate.aggregators.certificate import Certificate
from contemplate.aggregators.early_stopping import Ballot

BETA_CONFIDENCE = 0.95


def _tail(labels: int) -> list[float]:
    """Shares that fall as 1 / k."""
    return [1 / k for k in range(1, labels + 1)]


# The shares of the answers, up to a factor.
DISTRIBUTIONS: Mapping[str, Sequence[float]] = {
    "clear: 70, 20, 10 %": [70, 20, 10],
    "close: 40, 35, 25 %": [40, 35, 25],
    "nearly tied: 50.5, 49.5 %": [50.5, 49.5],
    "two tied: 45, 45, 10 %": [45, 45, 10],
    "ten nearly tied: one of 10.5 %": [10.5, *[9.95] * 9],
    "a hundred, one of 2 %": [2, *[98 / 99] * 99],
    "long tail: 1 / k, k to 1,000": _tail(1000),
    "15 % beside 850 of 0.1 %": [15, *[0.1] * 850],
}


@dataclass(slots=True)
class Ended:
    """How votes ended, as sums over them."""

    votes: int = 0
    stopped: int = 0
    wrong: int = 0
    draws: int = 0

    def add(self, key: int | None, draws: int, best: Sequence[int]) -> None:
        """Add a vote that stopped with `key`, or did not."""
        self.votes += 1
        self.stopped += key is not None
        self.wrong += key is not None and key not in best
        self.draws += draws


def measure(shares: Sequence[float], votes: int, most: int, error: float, seed: str) -> tuple[Ended, Ended]:
    """Vote `votes` times with at most `most` draws: with the certificate, and with the Beta stop."""
    rng = random.Random(seed)
    sums = list(accumulate(shares))
    best = [key for key, share in enumerate(shares) if share == max(shares)]
    certified, beta = Ended(), Ended()
    for _ in range(votes):
        drawn = rng.choices(range(len(shares)), cum_weights=sums, k=most)
        certified.add(*_end(certificates(drawn, error), most), best)
        beta.add(*_end(likely(drawn), most), best)
    return certified, beta


def _end(stops: Iterator[int | None], most: int) -> tuple[int | None, int]:
    """The answer with which a vote stopped, if it did, and after how many draws."""
    return next(((key, draws) for draws, key in enumerate(stops, start=1) if key is not None), (None, most))


def certificates(drawn: Sequence[int], error: float) -> Iterator[int | None]:
    """After each vote, the certified answer."""
    certificate = Certificate(error)
    for call, key in enumerate(drawn):
        certificate.cast(call, str(key))
        yield None if certificate.certified is None else int(certificate.certified)


def likely(drawn: Sequence[int]) -> Iterator[int | None]:
    """After each vote, the leader, if the Beta stop takes it."""
    ballot = Ballot()
    ballot.launch(len(drawn))
    for call, key in enumerate(drawn):
        ballot.cast(call, str(key))
        leader = ballot.leader()
        yield int(leader) if leader is not None and ballot.confidence() >= BETA_CONFIDENCE else None


def main() -> int:
    """Print the table; 1 if the error is above the stated one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--votes", type=int, default=4000, help="votes for each distribution")
    parser.add_argument("--most", type=int, default=200, help="draws of a vote")
    parser.add_argument("--error", type=float, default=0.05, help="the stated error")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(f"| Answers | Certificate {given.error}: stopped | wrong | draws | Beta {BETA_CONFIDENCE}: stopped ", end="")
    print("| wrong | draws |\n|---|--:|--:|--:|--:|--:|--:|")
    above = False
    for name, shares in DISTRIBUTIONS.items():
        ended = measure(shares, given.votes, given.most, given.error, f"{given.seed}:{name}")
        cells = (
            f"{100 * each.stopped / each.votes:.1f} % | {100 * each.wrong / each.votes:.2f} % "
            f"| {each.draws / each.votes:.1f}"
            for each in ended
        )
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
        above = above or ended[0].wrong > given.error * given.votes
    return 1 if above else 0


if __name__ == "__main__":
    sys.exit(main())
