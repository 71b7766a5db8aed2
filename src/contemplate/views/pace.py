"""How long a run has taken, how fast it writes, and about how long it will still take."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable

from ..events import Event, ModelCalled, OutputDelta, PlanDelta, PlanReady, TaskDelta, TaskFinished, TaskPlanned
from ..models.tokens import USUAL_BYTES_PER_TOKEN, text_bytes

SPEED_SECONDS = 10.0
SEPARATOR = " · "
# What a part and an answer usually take: the time left is told as a guess, and gets better as they are written.
PART_TOKENS = 150
ANSWER_TOKENS = 200

_PLAN, _ANSWER = "plan", "answer"


class Pace:
    """The clock of a run, the tokens that it has written, and the time that it will still take.

    Tokens are estimated from the texts while they stream. Nothing is said of the time left before the speed was
    measured on a first whole call, and the plan is known.

    Args:
        now: the time in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._began = now()
        self._written: Counter[str] = Counter()
        self._pieces: deque[tuple[float, int]] = deque()
        self._parts: set[str] = set()
        self._answers: set[str] = set()
        self._planned = self._measured = False

    def add(self, event: Event) -> None:
        """Take account of an event."""
        match event:
            case ModelCalled():
                self._measured = True
            case PlanDelta(text=text):
                self._add(_PLAN, text)
            case TaskDelta(task_id=task_id, text=text, reasoning=reasoning):
                self._add(f"{event.path}/{task_id}", text + reasoning)
            # The text of a task that is the question itself comes as both.
            case OutputDelta(text=text, reasoning=reasoning) if not self._answers:
                self._add(_ANSWER, text + reasoning)
            case TaskPlanned(task=task) if not event.path:
                (self._answers if task.kind == "answer" else self._parts).add(task.id)
            case TaskFinished(result=result) if not event.path:
                self._parts.discard(result.id)
            case PlanReady() if not event.path:
                self._planned = True
            case _:
                pass

    @property
    def seconds(self) -> float:
        """How long the run has taken so far."""
        return self._now() - self._began

    @property
    def tokens(self) -> int:
        """About how many tokens were written."""
        return sum(self._written.copy().values()) // USUAL_BYTES_PER_TOKEN

    @property
    def speed(self) -> float:
        """About how many tokens were written per second, in the last ten."""
        since = self._now() - SPEED_SECONDS
        lately = sum(size for at, size in tuple(self._pieces) if at >= since)
        return lately / USUAL_BYTES_PER_TOKEN / max(1.0, min(SPEED_SECONDS, self.seconds))

    @property
    def seconds_left(self) -> float | None:
        """About how long the run will still take, if as many tokens are written per second as so far."""
        written = self.tokens
        if not (self._planned and self._measured and written) or self._answers:
            return None
        left = [PART_TOKENS - self._tokens_of(f"/{part}") for part in tuple(self._parts)]
        left.append(ANSWER_TOKENS - self._tokens_of(_ANSWER))
        return sum(max(0, tokens) for tokens in left) / written * self.seconds

    def text(self) -> str:
        """Return all this in a few words, such as "0:42 · 11 tokens/s · about 30 s left"."""
        return SEPARATOR.join(self.parts())

    def parts(self) -> list[str]:
        """Return the clock, and what is known of the speed and of the time left."""
        minutes, seconds = divmod(int(self.seconds), 60)
        said = [f"{minutes}:{seconds:02}"]
        if self.tokens:
            said.append(f"{self.speed:.0f} tokens/s")
        left = self.seconds_left
        if left:
            said.append(f"about {max(5, 5 * round(left / 5))} s left")
        return said

    def _add(self, source: str, text: str) -> None:
        size, now = text_bytes(text), self._now()
        self._written[source] += size
        self._pieces.append((now, size))
        while self._pieces[0][0] < now - SPEED_SECONDS:
            self._pieces.popleft()

    def _tokens_of(self, source: str) -> int:
        return self._written[source] // USUAL_BYTES_PER_TOKEN
