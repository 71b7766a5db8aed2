"""Counting votes, and knowing when the rest can no longer matter. Pure: no clock, no model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

STRONGEST = 10


@dataclass(slots=True, eq=False)
class _Tally:
    key: str
    weight: int | Fraction
    first: int

    def beats(self, other: _Tally) -> bool:
        return self.weight > other.weight or (self.weight == other.weight and self.first < other.first)


class Ballot:
    """A plurality vote among calls that were launched in the order 0, 1, 2, ... and answer in any order.

    Most votes win; a tie goes to the answer whose earliest supporter was launched first. Weights are added exactly, so
    that the result never depends on who was faster. A vote costs the same however many different answers there are.
    """

    def __init__(self) -> None:
        self._tallies: dict[str, _Tally] = {}
        # The strongest few, in order. A tally only gains, so that no other can pass them without a vote of its own.
        self._best: list[_Tally] = []
        self._out: dict[int, int | Fraction] = {}
        self._reach: int | Fraction = 0
        self._launched = 0
        self._earliest_out = 0
        self._weighted = False

    @property
    def out(self) -> int:
        """How many calls have not answered."""
        return len(self._out)

    @property
    def votes(self) -> Mapping[str, float]:
        """The weight of each answer's votes."""
        return {key: float(tally.weight) for key, tally in self._tallies.items()}

    @property
    def strongest(self) -> tuple[str, ...]:
        """The answers with the most votes, ten at most, beginning with the leader."""
        return tuple(tally.key for tally in self._best)

    def launch(self, calls: int, *, heaviest: float = 1) -> None:
        """There are now `calls` calls in all; there can only be more of them than before.

        Args:
            calls: how many calls there are.
            heaviest: the largest weight that a vote of one of the new calls can have.
        """
        bound = _exact(heaviest)
        for call in range(self._launched, calls):
            self._out[call] = bound
            self._reach += bound
        self._launched = max(self._launched, calls)
        self._weighted = self._weighted or bound != 1

    def cast(self, call: int, key: str | None, weight: float = 1) -> None:
        """Call number `call` answered `key`; None, or a weight of 0, is an abstention, as is a failure.

        Raises:
            ValueError: the call is not out, or its weight is not finite, or more than it was launched with.
        """
        bound = self._out.get(call)
        if bound is None:
            raise ValueError(f"call {call} was never launched, or has already answered")
        exact = _exact(weight)
        if exact > bound:
            raise ValueError(f"call {call} weighs {weight}, more than the {float(bound)} that it was launched with")
        del self._out[call]
        self._reach -= bound
        if key is None or exact <= 0:
            return
        self._weighted = self._weighted or exact != 1
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = _Tally(key, 0, call)
        tally.weight += exact
        tally.first = min(tally.first, call)
        self._rank(tally)

    def _rank(self, tally: _Tally) -> None:
        best = self._best
        if tally not in best:
            best.append(tally)
        place = best.index(tally)
        while place and tally.beats(best[place - 1]):
            best[place - 1 : place + 1] = tally, best[place - 1]
            place -= 1
        del best[STRONGEST:]

    def leader(self) -> str | None:
        """The answer that wins if no more votes come; None if there is no vote."""
        return self._best[0].key if self._best else None

    def decided(self) -> bool:
        """Whether no vote that is still out can change the winner: the exact rule.

        With r calls out, the leader L is safe from a challenger c if v_c + r < v_L, or if v_c + r = v_L and L's
        earliest supporter was launched before any that c has or could get. One challenger is imaginary: an answer that
        nobody has given yet. Where weights differ, r is the most weight that can still come, and a tie is not safe.
        """
        if not self._out:
            return True
        if not self._best or self._best[0].weight < self._reach:
            return False
        leader, *others = self._best
        while self._earliest_out not in self._out:
            self._earliest_out += 1
        room = leader.weight - self._reach
        wins_ties = not self._weighted and leader.first < self._earliest_out
        if room == 0 and not wins_ties:
            return False
        if not others:
            return True
        # Who is safe from the strongest of the others is safe from all.
        rival = others[0]
        return rival.weight < room or (rival.weight == room and wins_ties and leader.first < rival.first)

    def confidence(self) -> float:
        """How sure it is, by the two largest counts, that the leader is the most likely answer."""
        first, second = (*(round(each.weight) for each in self._best[:2]), 0, 0)[:2]
        return beta_confidence(first, second)


def _exact(weight: float) -> int | Fraction:
    """Sums of floats differ with the order in which they are added; sums of fractions do not."""
    if not math.isfinite(weight):
        raise ValueError(f"a vote cannot weigh {weight}")
    return int(weight) if int(weight) == weight else Fraction(weight)


@lru_cache(maxsize=4096)
def beta_confidence(first: int, second: int) -> float:
    """P(p > 1/2) under Beta(first + 1, second + 1): how sure it is that the leader would win among two.

    Adaptive-Consistency, Aggarwal et al. 2023, https://arxiv.org/abs/2305.11860. No guarantee when looked at again and
    again, and biased towards answers that arrive early, which are the short ones.

    Args:
        first: the leader's votes.
        second: the runner-up's votes.
    """
    total = first + second + 1
    against, ways = 0, 1
    # The sum over i > first, turned round, because it is the shorter one.
    for i in range(second + 1):
        against += ways
        ways = ways * (total - i) // (i + 1)
    return ((1 << total) - against) / (1 << total)
