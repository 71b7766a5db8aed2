"""Ways of thinking beside a vote of the same cost, as a table in markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import fmean
from typing import NamedTuple

from contemplate import ComparisonReport
from contemplate.comparison.intervals import paired_difference
from contemplate.comparison.table import percent, signed


class Sample(NamedTuple):
    """A recorded sample of a vote: the key of its answer, None for an abstention, whether it is right, its tokens."""

    key: str | None
    right: bool
    written: int


class Voted(NamedTuple):
    """What a vote comes to: whether it is right, for how many written tokens."""

    right: float
    written: float


def vote_of(samples: Sequence[Sample], k: int, most: int) -> Voted:
    """The vote of at most `k` samples, drawn one after the other until it is decided.

    Ties go to the answer that came first. There may be fewer `samples` than `k`: those after which the vote of `most`
    was decided, which decide any smaller one.
    """
    votes: dict[str, int] = {}
    right: dict[str, bool] = {}
    written = 0
    for drawn, sample in enumerate(samples[:k], start=1):
        written += sample.written
        if sample.key is not None:
            votes[sample.key] = votes.get(sample.key, 0) + 1
            right.setdefault(sample.key, sample.right)
        if _decided(votes, min(k, most) - drawn):
            break
    leader = max(votes, key=votes.__getitem__, default=None)
    return Voted(leader is not None and right[leader], written)


def _decided(votes: Mapping[str, int], left: int) -> bool:
    """Whether no `left` further votes could change the winner. `votes` are in the order in which the answers came."""
    if not votes:
        return False
    # The first of those with the most.
    leader = max(votes, key=votes.__getitem__)
    order = list(votes)
    return left <= votes[leader] and all(
        votes[each] + left < votes[leader] + (order.index(leader) < order.index(each))
        for each in votes
        if each != leader
    )


def at_equal_cost(
    found: ComparisonReport, samples: Mapping[str, Sequence[Sample]], most: int, *, skipped: Sequence[str] = ()
) -> str:
    """Each way beside a vote that writes as many tokens on the same questions.

    Such a vote takes k samples on some questions and k + 1 on the others, drawn by lot, so that the mean is the same;
    what it expects is computed. Beside a way that writes less than a single sample stands one, and beside what writes
    more than the vote of `most`, that.

    Args:
        found: what came of each question, in each way.
        samples: the recorded samples of a vote, by question.
        most: the number of samples after which none were recorded.
        skipped: ways that are not shown.
    """
    lines = [
        "| | questions | tokens written | right | vote: samples | tokens written | right | way against vote |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for way, report in found.ways.items():
        asked = [each for each in report.outcomes if each.score is not None and each.id in samples]
        if not asked or way in skipped:
            continue
        written = fmean(each.usage.output_tokens for each in asked)
        k, votes = _vote_for(written, [samples[str(each.id)] for each in asked], most)
        rights = [each.score or 0.0 for each in asked]
        spent = fmean(each.written for each in votes)
        gain = paired_difference(rights, [float(each.right) for each in votes])
        size = (
            f"{k:.1f}" if math.isclose(spent, written) else f"at least {k:.0f}" if spent > written else f"only {k:.0f}"
        )
        lines.append(
            f"| {way} | {len(asked)} | {written:.0f} | {percent(fmean(rights))} | {size} | {spent:.0f} "
            f"| {percent(fmean(each.right for each in votes))} | {signed(gain)} |"
        )
    return "\n".join(lines)


def _vote_for(written: float, samples: Sequence[Sequence[Sample]], most: int) -> tuple[float, list[Voted]]:
    """Return how many samples a vote takes in the mean for so many written tokens, and what it then expects."""
    sizes = [[vote_of(each, k, most) for each in samples] for k in range(1, most + 1)]
    costs = [fmean(each.written for each in votes) for votes in sizes]
    if written <= costs[0]:
        return 1, sizes[0]
    for k, (low, high) in enumerate(pairwise(costs), start=1):
        if low <= written <= high:
            more = (written - low) / (high - low) if high > low else 0.0
            pairs = zip(sizes[k - 1], sizes[k], strict=True)
            return k + more, [
                Voted(a.right + more * (b.right - a.right), a.written + more * (b.written - a.written))
                for a, b in pairs
            ]
    return most, sizes[-1]
