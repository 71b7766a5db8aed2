"""Counting votes, and knowing when the rest can no longer matter. Pure: no clock, no model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache


@dataclass(slots=True)
class _Tally:
    weight: float
    first: float


class Ballot:
    """A plurality vote among calls that were launched in the order 0, 1, 2, ... and answer in any order.

    Most votes win; a tie goes to the answer whose earliest supporter was launched first, so that the result does not
    depend on who was faster.

    Args:
        heaviest: the largest weight that a vote can have.
    """

    def __init__(self, *, heaviest: float = 1.0) -> None:
        self._tallies: dict[str, _Tally] = {}
        self._heaviest = heaviest
        self._weighted = heaviest != 1.0
        self._launched = 0
        self._out: set[int] = set()
        self._earliest_out = 0

    @property
    def out(self) -> int:
        """How many calls have not answered."""
        return len(self._out)

    @property
    def votes(self) -> Mapping[str, float]:
        """The weight of each answer's votes."""
        return {key: tally.weight for key, tally in self._tallies.items()}

    def launch(self, calls: int) -> None:
        """There are now `calls` calls in all; there can only be more of them than before."""
        self._out.update(range(self._launched, calls))
        self._launched = max(self._launched, calls)

    def cast(self, call: int, key: str | None, weight: float = 1.0) -> None:
        """Call number `call` answered `key`; None, or a weight of 0, is an abstention, as is a failure."""
        self._out.discard(call)
        if key is None or weight <= 0:
            return
        self._weighted = self._weighted or weight != 1.0
        tally = self._tallies.setdefault(key, _Tally(0.0, call))
        tally.weight += weight
        tally.first = min(tally.first, call)

    def leader(self) -> str | None:
        """The answer that wins if no more votes come; None if there is no vote."""
        best = max(self._tallies.items(), key=lambda each: (each[1].weight, -each[1].first), default=None)
        return None if best is None else best[0]

    def decided(self) -> bool:
        """Whether no vote that is still out can change the winner: the exact rule.

        With r calls out, the leader L is safe from a challenger c if v_c + r < v_L, or if v_c + r = v_L and L's
        earliest supporter was launched before any that c has or could get. One challenger is imaginary: an answer that
        nobody has given yet. Where weights differ, r is the most weight that can still come, and a tie is not safe.
        """
        leader = self.leader()
        if leader is None:
            return not self._out
        if not self._out:
            return True
        ahead = self._tallies[leader]
        reach = len(self._out) * self._heaviest
        while self._earliest_out not in self._out:
            self._earliest_out += 1
        rivals = [tally for key, tally in self._tallies.items() if key != leader]
        return all(self._is_safe(ahead, rival, reach) for rival in (*rivals, _Tally(0.0, math.inf)))

    def _is_safe(self, ahead: _Tally, rival: _Tally, reach: float) -> bool:
        gap = ahead.weight - rival.weight - reach
        wins_ties = not self._weighted and ahead.first < min(rival.first, self._earliest_out)
        return gap > 0 or (gap == 0 and wins_ties)

    def confidence(self) -> float:
        """How sure it is, by the two largest counts, that the leader is the most likely answer."""
        first, second, *_ = (*sorted((round(each.weight) for each in self._tallies.values()), reverse=True), 0, 0)
        return beta_confidence(first, second)


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
    favourable: int = sum(math.comb(total, i) for i in range(first + 1))
    return favourable / int(2**total)
