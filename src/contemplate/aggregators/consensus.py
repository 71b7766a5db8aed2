"""When the answers so far agree so far that sampling may stop. A heuristic. Pure: no clock, no model."""

from __future__ import annotations

from fractions import Fraction


class Consensus:
    """The share of all votes so far, by their weights, that the strongest answer has.

    Adaptive sampling of Deep Think with Confidence, Fu et al. 2025, https://arxiv.org/abs/2508.15260: it stops once
    V(leader) / sum of all V is at least a threshold, after a warm-up. Nothing follows from that for what the full vote
    would say, nor for what the model would say most often.

    Args:
        threshold: the share that suffices, taken as it is written: 0.95 is 19/20.
        after: how many calls are the warm-up.
    """

    def __init__(self, threshold: float, after: int) -> None:
        self._threshold = Fraction(str(threshold))
        self._after = after
        self._waiting: dict[int, tuple[str | None, Fraction]] = {}
        self._next = 0
        self._weights: dict[str, Fraction] = {}
        self._total = Fraction(0)
        self._leader: str | None = None

    def cast(self, call: int, key: str | None, weight: float) -> None:
        """Record that call number `call` answered `key`, or None if it abstained or failed.

        It counts when all calls before it have: which answers come early depends on what they are, and a call that goes
        on may be long for the same reason for which it will not agree.
        """
        self._waiting[call] = key, Fraction(weight)
        while self._next in self._waiting:
            due, counted = self._waiting.pop(self._next)
            self._next += 1
            if due is not None and counted > 0:
                self._count(due, counted)

    def _count(self, key: str, weight: Fraction) -> None:
        self._weights[key] = self._weights.get(key, Fraction(0)) + weight
        self._total += weight
        if self._leader is None or self._weights[key] > self._weights[self._leader]:
            self._leader = key

    @property
    def reached(self) -> str | None:
        """The answer that has the share, if there is one and the warm-up is over."""
        if self._next < self._after or self._leader is None:
            return None
        return self._leader if self._weights[self._leader] >= self._threshold * self._total else None
