"""How sure a model was of what it wrote, by the log-probabilities of its tokens. Pure: no clock, no model.

Deep Think with Confidence, Fu et al. 2025, https://arxiv.org/abs/2508.15260.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from typing import Literal

from ..messages import TokenLogprob

Measure = Literal["lowest group", "lowest tenth", "tail", "mean"]

# Where a grammar forbids a token, servers report that it is all but impossible, in numbers of their own.
LEAST_LOGPROB = -50.0


def token_confidence(token: TokenLogprob, top: int) -> float | None:
    """Return the confidence at a token: the negative mean log-probability of the `top` likeliest ones.

    The higher, the surer: where one token has all the probability, the others have hardly any. None if fewer than two
    alternatives are known, which say nothing.
    """
    likeliest = sorted(token.top.values(), reverse=True)[:top]
    if len(likeliest) < 2:
        return None
    return -math.fsum(max(each, LEAST_LOGPROB) for each in likeliest) / len(likeliest)


class Groups:
    """The confidence of each group, the last `window` tokens at every token of a text, while that is written.

    Attributes:
        confidences: those of all whole groups so far.
        lowest: the lowest of them; `math.inf` without one.
    """

    def __init__(self, window: int, top: int) -> None:
        self.confidences: list[float] = []
        self.lowest = math.inf
        self._top = top
        self._size = window
        self._window: deque[float] = deque()
        self._sum = 0.0

    def add(self, tokens: Iterable[TokenLogprob]) -> None:
        """Add tokens; those of which nothing is known are left out."""
        for token in tokens:
            value = token_confidence(token, self._top)
            if value is None:
                continue
            self._window.append(value)
            self._sum += value
            if len(self._window) > self._size:
                self._sum -= self._window.popleft()
            if len(self._window) == self._size:
                self.confidences.append(self._sum / self._size)
                self.lowest = min(self.lowest, self.confidences[-1])

    def last(self) -> float | None:
        """Return the confidence of the last tokens, at most a whole group; None if nothing is known of any."""
        return self._sum / len(self._window) if self._window else None


def confidence(tokens: Iterable[TokenLogprob], measure: Measure, *, window: int, top: int) -> float | None:
    """Return the confidence of a text, by `measure`; None if nothing is known of its tokens.

    A text that is shorter than a group is one. As text is added, "lowest group" can only fall, once there is a group.
    """
    if measure == "mean":
        values = [each for each in (token_confidence(token, top) for token in tokens) if each is not None]
        return math.fsum(values) / len(values) if values else None
    groups = Groups(window, top)
    groups.add(tokens)
    if measure == "tail" or not groups.confidences:
        return groups.last()
    if measure == "lowest group":
        return groups.lowest
    lowest = sorted(groups.confidences)[: math.ceil(len(groups.confidences) / 10)]
    return math.fsum(lowest) / len(lowest)


def threshold(confidences: Iterable[float], keep: float) -> float | None:
    """Return the confidence that the share `keep` of `confidences`, at least one of them, reaches; None of none."""
    ordered = sorted(confidences, reverse=True)
    # Of ten, 0.9 are nine, whatever floats make of it.
    return ordered[max(1, math.ceil(round(keep * len(ordered), 9))) - 1] if ordered else None
