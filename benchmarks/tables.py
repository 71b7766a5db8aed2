"""Tables of ways of thinking, in markdown: how often each is right, what it costs, and what a vote costs as much."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import NormalDist, fmean, stdev
from typing import NamedTuple

from .measured import Found, Outcome

Z = NormalDist().inv_cdf(0.975)


def wilson(right: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953)."""
    middle = (right + Z * Z / 2) / (n + Z * Z)
    half = Z / (n + Z * Z) * math.sqrt(right * (n - right) / n + Z * Z / 4)
    return middle - half, middle + half


def gain(new: Sequence[float], old: Sequence[float]) -> tuple[float, float]:
    """How much more `new` is than `old` on the same questions, in the mean; and half the 95 % interval of that."""
    differences = [one - other for one, other in zip(new, old, strict=True)]
    spread = stdev(differences) if len(differences) > 1 else math.inf
    return fmean(differences), Z * spread / math.sqrt(len(differences))


def table(found: Found, base: str = "greedy") -> str:
    """All ways that were asked, over the questions that each of them was asked."""
    lines = [
        f"| | questions | right | 95 % interval | against {base} | calls | tokens read | tokens written | seconds |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [_row(way, outcomes, found[base], way == base) for way, outcomes in found.items() if outcomes]
    return "\n".join(lines)


def _row(way: str, outcomes: Mapping[str, Outcome], base: Mapping[str, Outcome], is_base: bool) -> str:
    n = len(outcomes)
    right = sum(each.right for each in outcomes.values())
    low, high = wilson(right, n)
    costs = [(each.usage.calls, each.usage.input_tokens, each.usage.output_tokens) for each in outcomes.values()]
    calls, read, written = (fmean(column) for column in zip(*costs, strict=True))
    seconds = fmean(each.seconds for each in outcomes.values())
    both = sorted(outcomes.keys() & base.keys())
    against = "" if is_base or not both else _signed(*gain(_rights(outcomes, both), _rights(base, both)))
    return (
        f"| {way} | {n} | {_percent(right / n)} | {100 * low:.1f} to {100 * high:.1f} | {against} "
        f"| {calls:.1f} | {read:.0f} | {written:.0f} | {seconds:.1f} |"
    )


def _rights(outcomes: Mapping[str, Outcome], names: Sequence[str]) -> list[float]:
    return [float(outcomes[each].right) for each in names]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _signed(mean: float, half: float) -> str:
    return f"{100 * mean:+.1f} ± {100 * half:.1f}"


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
    found: Found, samples: Mapping[str, Sequence[Sample]], most: int, *, skipped: Sequence[str] = ()
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
    for way, outcomes in found.items():
        names = [each for each in outcomes if each in samples]
        if not names or way in skipped:
            continue
        written = fmean(outcomes[each].usage.output_tokens for each in names)
        k, votes = _vote_for(written, [samples[each] for each in names], most)
        rights = _rights(outcomes, names)
        spent = fmean(each.written for each in votes)
        size = (
            f"{k:.1f}" if math.isclose(spent, written) else f"at least {k:.0f}" if spent > written else f"only {k:.0f}"
        )
        lines.append(
            f"| {way} | {len(names)} | {written:.0f} | {_percent(fmean(rights))} | {size} | {spent:.0f} "
            f"| {_percent(fmean(each.right for each in votes))} | {_signed(*gain(rights, [v.right for v in votes]))} |"
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
