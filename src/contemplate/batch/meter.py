"""How far a batch is."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from ..data import Data
from ..usage import NOTHING, Usage
from .items import BatchResult

# The rate is that of the last so many.
RECENT = 100


class BatchProgress(Data):
    """How far a batch is, at one moment.

    Args:
        done: how many questions have ended, in one way or another.
        failed: how many of these have no answer.
        incomplete: how many have an answer from which something is missing.
        total: how many questions there are; None if that is not known.
        usage: of all that have ended, those included whose results were in the journal.
        seconds: since the batch began.
        rate: questions per second, of late.
        seconds_left: how long the rest will take at that rate; None if that is not known.
    """

    done: int = 0
    failed: int = 0
    incomplete: int = 0
    total: int | None = None
    usage: Usage = NOTHING
    seconds: float = 0.0
    rate: float = 0.0
    seconds_left: float | None = None


class BatchMeter:
    """Counts how far a batch is.

    Args:
        total: how many questions there are, if that is known.
        clock: returns seconds.
    """

    def __init__(self, total: int | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._total = total
        self._clock = clock
        self._began = clock()
        self._ended = deque([self._began], maxlen=RECENT + 1)
        self._done = self._failed = self._incomplete = 0
        self._usage = NOTHING

    def add(self, done: BatchResult[Any]) -> None:
        """Count a question that has ended."""
        self._done += 1
        self._failed += done.error is not None
        self._incomplete += done.result is not None and not done.result.complete
        if done.reached is not None:
            self._usage += done.reached.usage
        self._ended.append(self._clock())

    @property
    def progress(self) -> BatchProgress:
        """How far it is."""
        now = self._clock()
        span = now - self._ended[0]
        rate = (len(self._ended) - 1) / span if span > 0 else 0.0
        left = None if self._total is None else max(0, self._total - self._done)
        return BatchProgress(
            done=self._done,
            failed=self._failed,
            incomplete=self._incomplete,
            total=self._total,
            usage=self._usage,
            seconds=now - self._began,
            rate=rate,
            seconds_left=0.0 if left == 0 else left / rate if left is not None and rate else None,
        )
