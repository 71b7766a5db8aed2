"""Plurality votes with exact early stopping. Pure: no clock, no model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from ..events import STRONGEST


@dataclass(slots=True, eq=False)
class _Tally:
    key: str
    weight: int | Fraction
    first: int

    def beats(self, other: _Tally) -> bool:
        return self.weight > other.weight or (self.weight == other.weight and self.first < other.first)


class Ballot:
    """A plurality vote among calls that are launched in the order 0, 1, 2, ... and answer in any order.

    Most votes win; a tie goes to the answer whose earliest supporter was launched first. Weights are added exactly, so
    that the result does not depend on the order of arrival. The time per vote is independent of the number of answers.
    """

    def __init__(self) -> None:
        self._tallies: dict[str, _Tally] = {}
        # The strongest few, in order. Tallies only grow, so another one can overtake them only by a vote of its own.
        self._best: list[_Tally] = []
        self._out: dict[int, int | Fraction] = {}
        self._reach: int | Fraction = 0
        self._lost: dict[int, int | Fraction] = {}
        self._cut_off: dict[int, int | Fraction] = {}
        self._launched = 0
        self._earliest_out = 0
        self._weighted = False

    @property
    def out(self) -> int:
        """The number of calls that have not answered."""
        return len(self._out)

    @property
    def votes(self) -> Mapping[str, float]:
        """The total weight of each answer's votes."""
        return {key: float(tally.weight) for key, tally in self._tallies.items()}

    @property
    def strongest(self) -> tuple[str, ...]:
        """The answers with the most votes, at most ten, the leader first."""
        return tuple(tally.key for tally in self._best)

    def launch(self, calls: int, *, heaviest: float = 1) -> None:
        """Raise the total number of calls to `calls`; it never decreases.

        Args:
            calls: total number of calls.
            heaviest: maximum weight of a vote of the new calls.
        """
        bound = _exact(heaviest)
        for call in range(self._launched, calls):
            self._out[call] = bound
            self._reach += bound
        self._launched = max(self._launched, calls)
        self._weighted = self._weighted or bound != 1

    def cast(self, call: int, key: str | None, weight: float = 1) -> None:
        """Record that call number `call` answered `key`; None or a weight of 0 is an abstention.

        Raises:
            ValueError: the call is not pending, or its weight is not finite or exceeds the bound given at its launch.
        """
        bound = self._bound_of(call)
        exact = _exact(weight)
        if exact > bound:
            raise ValueError(f"call {call} weighs {weight}, more than the {float(bound)} that it was launched with")
        self._take_in(call)
        if key is None or exact <= 0:
            return
        self._weighted = self._weighted or exact != 1
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = _Tally(key, 0, call)
        tally.weight += exact
        tally.first = min(tally.first, call)
        self._rank(tally)

    def lose(self, call: int, *, cut_off: bool = False) -> None:
        """Record that call number `call` failed, or was cut off: nobody knows what it would have answered.

        Raises:
            ValueError: the call is not pending.
        """
        (self._cut_off if cut_off else self._lost)[call] = self._bound_of(call)
        self._take_in(call)

    def _bound_of(self, call: int) -> int | Fraction:
        bound = self._out.get(call)
        if bound is None:
            raise ValueError(f"call {call} was never launched, or has already answered")
        return bound

    def _take_in(self, call: int) -> None:
        self._reach -= self._out.pop(call)

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
        """Return the answer that wins if no more votes come; None if there are no votes."""
        return self._best[0].key if self._best else None

    def decided(self) -> bool:
        """Return whether no pending vote can change the winner: the exact rule.

        With r pending calls, the leader L is safe from a challenger c if v_c + r < v_L, or if v_c + r = v_L and L's
        earliest supporter was launched before any that c has or could get. Challengers include an answer that has not
        been given yet. If weights differ, r is the maximum pending weight, and a tie is not safe.
        """
        while self._earliest_out not in self._out and self._earliest_out < self._launched:
            self._earliest_out += 1
        return not self._out or self._safe_from(self._reach, self._earliest_out)

    def certain(self, *, cut_off: bool = False) -> bool:
        """Return whether the vote is decided, and would be even if the lost calls had answered: the same rule.

        Args:
            cut_off: whether those that were cut off count as lost, too.
        """
        lost = self._lost | self._cut_off if cut_off else self._lost
        if not lost:
            return self.decided()
        earliest = min(min(lost), min(self._out, default=self._launched))
        return self._safe_from(self._reach + sum(lost.values()), earliest)

    def _safe_from(self, reach: int | Fraction, earliest: int) -> bool:
        """Return whether calls with the total weight `reach`, of which the first is `earliest`, change no winner."""
        if not self._best or self._best[0].weight < reach:
            return False
        leader, *others = self._best
        room = leader.weight - reach
        wins_ties = not self._weighted and leader.first < earliest
        if room == 0 and not wins_ties:
            return False
        if not others:
            return True
        # A leader that is safe from the strongest challenger is safe from all.
        rival = others[0]
        return rival.weight < room or (rival.weight == room and wins_ties and leader.first < rival.first)

    def confidence(self) -> float:
        """Return the probability, given the two largest counts, that the leader is the most likely answer."""
        first, second = (*(round(each.weight) for each in self._best[:2]), 0, 0)[:2]
        return beta_confidence(first, second)


def _exact(weight: float) -> int | Fraction:
    """Return `weight` as an exact number, since sums of floats depend on the order of addition."""
    if not math.isfinite(weight):
        raise ValueError(f"a vote cannot weigh {weight}")
    return int(weight) if int(weight) == weight else Fraction(weight)


@lru_cache(maxsize=4096)
def beta_confidence(first: int, second: int) -> float:
    """Return P(p > 1/2) under Beta(first + 1, second + 1): the probability that the leader beats the runner-up.

    Adaptive-Consistency, Aggarwal et al. 2023, https://arxiv.org/abs/2305.11860. Not a guarantee under repeated
    testing, and biased towards answers that arrive early, which are the short ones.

    Args:
        first: number of votes of the leader.
        second: number of votes of the runner-up.
    """
    total = first + second + 1
    against, ways = 0, 1
    # The complement of the sum over i > first, which has fewer terms.
    for i in range(second + 1):
        against += ways
        ways = ways * (total - i) // (i + 1)
    return ((1 << total) - against) / (1 << total)
