"""Votes that stop at a consensus, on recorded answers with confidences: `python -m benchmarks.consensus_votes FOLDER`.

Needs no model. A vote weighs as much as the lowest confidence of any group of the answer's tokens, where the recording
has it, as with `by_logprobs()`; answers that were cut off do not count. Each question is asked in many orders.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from contemplate.aggregators.consensus import Consensus
from contemplate.aggregators.early_stopping import Ballot

from .recordings import Question, Sample, load

THRESHOLDS = (0.95, 0.8, 0.6)
WARMUP = 16


@dataclass
class Stopped:
    """Sums over votes: how many there were, stopped early, were right, and said otherwise than the full vote; calls."""

    votes: int = 0
    early: int = 0
    right: int = 0
    other: int = 0
    calls: int = 0


def weighed(samples: Sequence[Sample]) -> list[tuple[str | None, float]]:
    """The answers with their weights; one that was cut off, or has no confidence, weighs nothing."""
    return [(each.answer, 0.0 if each.group == "truncated" else each.conf_min or 0.0) for each in samples]


def winner(votes: Sequence[tuple[str | None, float]]) -> str | None:
    """The answer of the full vote."""
    ballot = Ballot()
    ballot.launch(len(votes), heaviest=max(weight for _, weight in votes))
    for call, (key, weight) in enumerate(votes):
        ballot.cast(call, key, weight)
    return ballot.leader()


def stopped(votes: Sequence[tuple[str | None, float]], threshold: float, after: int) -> tuple[str | None, int]:
    """The answer with which a vote ends, and after how many calls."""
    consensus = Consensus(threshold, after)
    for call, (key, weight) in enumerate(votes):
        consensus.cast(call, key, weight)
        if consensus.reached is not None:
            return consensus.reached, call + 1
    return winner(votes), len(votes)


def measure(questions: Sequence[Question], seeds: int, threshold: float, after: int = WARMUP) -> tuple[Stopped, float]:
    """What came of all votes, and the share of full votes that are right."""
    total, full_right = Stopped(), 0
    for question in questions:
        votes = weighed(question.samples)
        for seed in range(seeds):
            random.Random(f"{seed}:{question.id}").shuffle(votes)
            full, (answer, calls) = winner(votes), stopped(votes, threshold, after)
            full_right += full in question.right
            total.votes += 1
            total.early += calls < len(votes)
            total.right += answer in question.right
            total.other += answer != full
            total.calls += calls
    return total, full_right / total.votes


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=40, help="orders of each question")
    given = parser.parse_args()
    print("| Set | Share | Full vote | Stopped | Right | Other answer | Calls |\n|---|--:|--:|--:|--:|--:|--:|")
    for name, questions in load(given.folder).items():
        if not any(each.conf_min for each in questions[0].samples):
            continue
        for threshold in THRESHOLDS:
            found, full = measure(questions, given.seeds, threshold)
            shares = (full, found.early / found.votes, found.right / found.votes, found.other / found.votes)
            cells = " | ".join(f"{100 * each:.1f} %" for each in shares)
            print(f"| {name} | {threshold:.0%} | {cells} | {found.calls / found.votes:.1f} |")


if __name__ == "__main__":
    main()
