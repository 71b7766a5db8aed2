"""A certificate that an answer is the most probable one, which holds whenever one looks. Pure: no clock, no model."""

from __future__ import annotations

from fractions import Fraction


class Certificate:
    """Certifies an answer of independent samples of one distribution as the most probable one, with a stated error.

    For an answer with a votes and a challenger with b, n = a + b, the evidence is

        E(a, b) = 2^(n + 1) * P(Beta(a + 1, b + 1) > 1/2) / ((n + 1) * C(n, a)),

    the likelihood ratio of p against 1/2, mixed over all p in (1/2, 1], where p is the answer's share of the votes of
    the two. If the challenger is at least as probable, it is a supermartingale as votes arrive, so that it ever
    reaches a bound c times its value at some moment with a probability of at most 1 / c (Ville's inequality). Answers
    are numbered by their first appearance. The k-th is certified when its evidence against every challenger, also one
    that nobody gave yet, is at least 1.5 * k * (k + 1) / error: its evidence when it appears is at most 1.5, and the
    sum of 1 / (k * (k + 1)) over all k is 1. So the probability that an answer is ever certified than which another is
    more probable is at most `error`, however often one looks, and whenever one stops.

    E increases with a and decreases with b, so that the leader and the strongest challenger decide. The time per vote
    is independent of the number of votes and of answers, but for the length of the integers.

    After the martingale majority certificate, https://arxiv.org/abs/2510.17472, and CITE,
    https://arxiv.org/abs/2605.05873.

    Args:
        error: maximum probability of certifying an answer that is not a most probable one, in (0, 1), taken as it is
            written: 0.05 is 1/20.

    Attributes:
        certified: the first answer that was certified; None as long as there is none.
    """

    def __init__(self, error: float) -> None:
        self.certified: str | None = None
        self._error = Fraction(str(error))
        self._waiting: dict[int, str | None] = {}
        self._next = 0
        self._counts: dict[str, int] = {}
        self._places: dict[str, int] = {}
        # The two largest counts, a and b; C(n, a); and the sum of C(n + 1, i) over i <= a, the tail times 2^(n + 1).
        self._most = self._second = 0
        self._ways = self._tail = 1

    @property
    def evidence(self) -> Fraction:
        """The evidence that the leader is more probable than the strongest challenger."""
        return Fraction(self._tail, (self._most + self._second + 1) * self._ways)

    def cast(self, call: int, key: str | None) -> None:
        """Record that call number `call` answered `key`, or None if it abstained or failed.

        It counts when all calls before it have: which answers come early depends on what they are.
        """
        self._waiting[call] = key
        while self._next in self._waiting:
            due = self._waiting.pop(self._next)
            self._next += 1
            if due is not None:
                self._count(due)

    def _count(self, key: str) -> None:
        count = self._counts[key] = self._counts.get(key, 0) + 1
        place = self._places.setdefault(key, len(self._places) + 1)
        n = self._most + self._second
        # A vote changes at most one of the two counts, and by one.
        if count > self._most:
            self._most = count
            self._ways = self._ways * (n + 1) // count
            self._tail = 2 * self._tail + self._ways
            if self.certified is None and self._suffices(place):
                self.certified = key
        elif count > self._second:
            self._second = count
            self._ways = self._ways * (n + 1) // count
            self._tail = 2 * self._tail - self._ways

    def _suffices(self, place: int) -> bool:
        # That `evidence` reaches 1.5 * place * (place + 1) / error, without the reduction of a fraction.
        bound = 3 * place * (place + 1) * self._error.denominator * (self._most + self._second + 1) * self._ways
        return 2 * self._tail * self._error.numerator >= bound
