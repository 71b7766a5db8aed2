"""Standings of a tournament: who meets whom, and when the first place is decided. Pure: no clock, no model.

Candidates are numbers, in the order of their launch, which also breaks ties. A comparison won is a point; a draw, or a
round without a comparison, half a point. So is each further answer that equals a candidate's: as if they had drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, inf, log2
from typing import Protocol

Pair = tuple[int, int]

EVEN = 0.5


class Standings(Protocol):
    """The standings after some rounds."""

    def pairs(self) -> Sequence[Pair]:
        """Return whom to compare in the next round; nobody if the first place is decided."""
        ...

    def after(self, scores: Mapping[Pair, float]) -> Standings:
        """Return the standings after a round: for each pair, the score of the first of the two, from 0 to 1."""
        ...

    def ranking(self) -> list[int]:
        """Return all candidates, the best first."""
        ...

    def points_of(self, candidate: int) -> float:
        """Return the points of a candidate."""
        ...


def swiss_rounds(candidates: int, rounds: int | None = None) -> int:
    """Return how many rounds a Swiss tournament has: log2 of the number of candidates, and one more, unless stated.

    No two candidates meet twice, so that there may be fewer.
    """
    if candidates < 2:
        return 0
    wanted = ceil(log2(candidates)) + 1 if rounds is None else rounds
    return min(wanted, candidates - 1 + candidates % 2)


@dataclass(frozen=True, slots=True)
class Swiss:
    """A Swiss tournament: who stand alike and have not met are compared, as long as they can still be first.

    Args:
        points: those of each candidate, less half a point for each round.
        left: number of rounds to come.
        met: who has met.
        played: number of rounds so far.
    """

    points: tuple[float, ...]
    left: int
    met: frozenset[Pair] = frozenset()
    played: int = 0

    @classmethod
    def of(cls, votes: Sequence[int], rounds: int | None = None) -> Swiss:
        """Return the standings before the first round.

        Args:
            votes: how many equal answers each candidate stands for.
            rounds: number of rounds; as by `swiss_rounds` if None.
        """
        return cls(tuple(EVEN * (each - 1) for each in votes), swiss_rounds(len(votes), rounds))

    def ranking(self) -> list[int]:
        """Return all candidates, the best first."""
        return sorted(range(len(self.points)), key=lambda each: (-self.points[each], each))

    def points_of(self, candidate: int) -> float:
        """Return the points of a candidate."""
        return self.points[candidate] + EVEN * self.played

    def pairs(self) -> list[Pair]:
        """Return whom to compare in the next round; nobody if no pairing that is left can change the first place."""
        waiting = self._contenders() if self.left else []
        pairs = []
        while waiting:
            one, *waiting = waiting
            other = next((each for each in waiting if _pair(one, each) not in self.met), None)
            if other is not None:
                waiting.remove(other)
                pairs.append(_pair(one, other))
        return pairs

    def _contenders(self) -> list[int]:
        """Return who can still be first, in the order of the ranking."""
        ranking, reach = self.ranking(), EVEN * self.left
        leader = ranking[0]
        least = self.points[leader] - reach, -leader
        return [each for each in ranking if each == leader or (self.points[each] + reach, -each) > least]

    def after(self, scores: Mapping[Pair, float]) -> Swiss:
        """Return the standings after a round."""
        points = list(self.points)
        # In one order, since sums of floats depend on it.
        for (one, other), score in sorted(scores.items()):
            points[one] += score - EVEN
            points[other] += EVEN - score
        met = self.met | scores.keys()
        return replace(self, points=tuple(points), left=self.left - 1, met=met, played=self.played + 1)


@dataclass(frozen=True, slots=True)
class Knockout:
    """A knockout tournament: the strongest meet the weakest, and who loses is out; of an odd number, the first waits.

    Args:
        votes: how many equal answers each candidate stands for.
        out: for each loser, in which round that was.
    """

    votes: tuple[int, ...]
    out: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, votes: Sequence[int]) -> Knockout:
        """Return the standings before the first comparison.

        Args:
            votes: how many equal answers each candidate stands for.
        """
        return cls(tuple(votes))._to_compare()

    def ranking(self) -> list[int]:
        """Return all candidates, the best first: who lost last, and of these who stands for most answers."""
        return sorted(range(len(self.votes)), key=lambda each: (-self.out.get(each, inf), -self.votes[each], each))

    def points_of(self, candidate: int) -> float:
        """Return in how many rounds a candidate was not beaten."""
        return float(self.out.get(candidate, self._played + 1) - 1)

    @property
    def _played(self) -> int:
        return max(self.out.values(), default=0)

    def pairs(self) -> list[Pair]:
        """Return whom to compare in the next round; nobody if only one is left."""
        return [pair for pair in self._seeded() if self._is_open(pair)]

    def _seeded(self) -> list[Pair]:
        left = [each for each in self.ranking() if each not in self.out]
        playing = left[len(left) % 2 :]
        return [_pair(playing[place], playing[-1 - place]) for place in range(len(playing) // 2)]

    def _is_open(self, pair: Pair) -> bool:
        """Return whether the score of a comparison can make a difference to who wins."""
        return self._loser(pair, 0) != self._loser(pair, 1)

    def _loser(self, pair: Pair, score: float) -> int:
        one, other = pair
        ahead = EVEN * (self.votes[one] - self.votes[other]) + score - (1 - score)
        # The first of a pair was launched first.
        return other if ahead >= 0 else one

    def _to_compare(self) -> Knockout:
        """Return the standings when there is something to compare, or only one is left."""
        pairs = self._seeded()
        return self.after({}) if pairs and not any(map(self._is_open, pairs)) else self

    def after(self, scores: Mapping[Pair, float]) -> Knockout:
        """Return the standings after a round; who was not compared has drawn."""
        number = self._played + 1
        lost = {self._loser(pair, scores.get(pair, EVEN)): number for pair in self._seeded()}
        return replace(self, out={**self.out, **lost})._to_compare()


@dataclass(frozen=True, slots=True)
class Round:
    """A round of a tournament, while it is played.

    Args:
        number: its number, from 1; 0 is before the first.
        before: the standings before it.
        pairs: who are compared.
        scores: of the comparisons so far, the score of the first of the two, from 0 to 1.
    """

    number: int
    before: Standings
    pairs: Sequence[Pair] = ()
    scores: dict[Pair, float] = field(default_factory=dict)

    def now(self) -> Standings:
        """Return the standings by the comparisons so far; one that is still out counts as a draw."""
        return self.before.after(self.scores) if self.scores else self.before

    def next(self) -> Round | None:
        """Return the round after this one, once all comparisons are there; None if the first place is decided."""
        standings = self.now()
        pairs = standings.pairs()
        return Round(self.number + 1, standings, pairs) if pairs else None

    @property
    def decided(self) -> bool:
        """Whether the first place is decided."""
        return len(self.scores) == len(self.pairs) and self.next() is None


def _pair(one: int, other: int) -> Pair:
    return (one, other) if one < other else (other, one)
