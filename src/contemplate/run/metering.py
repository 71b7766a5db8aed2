"""The usage of a model call, estimated where the provider does not report it."""

from __future__ import annotations

from time import perf_counter

from ..events import Again, Course, Queue
from ..messages import TokenLogprob
from ..models import Delta, DeltaSink, ModelResponse
from ..models.tokens import BYTES_PER_TOKEN, text_bytes
from ..usage import NOTHING, Usage

ONE_CALL = Usage(calls=1, cost_usd=None)


class Meter:
    """Passes deltas on and counts their bytes: a call that is cut off costs tokens that no provider reports.

    Attributes:
        logprobs: of the tokens written so far, since the last restart, as far as they are told.
        sent: when the call was made, after it had waited for its turn; None before.
    """

    def __init__(self, on_delta: DeltaSink | None) -> None:
        self.on_delta = on_delta
        self.sent: float | None = None
        self._behind: Queue | None = None
        self._asked = perf_counter()
        self._first: float | None = None
        self._again: list[tuple[float, Again, str]] = []
        self.written = 0
        self.spent = NOTHING
        self._attempts = 1
        self._texts: list[str] = []
        self.logprobs: list[TokenLogprob] = []

    @property
    def text(self) -> str:
        """The text written so far, since the last restart."""
        return "".join(self._texts)

    @property
    def course(self) -> Course:
        """How the call went so far."""
        now = perf_counter()
        sent = now if self.sent is None else self.sent
        first = None if self._first is None else max(self._first - sent, 0.0)
        return Course(sent - self._asked, first, tuple(self._again))

    def queue(self, behind: Queue | None) -> bool:
        """Note behind what the call waits, or that its turn came, and return whether that is news."""
        if self._again or self._first is not None:
            # It had its turn.
            return False
        if behind is None:
            self.sent = perf_counter()
        news, self._behind = behind != self._behind, behind
        return news

    @property
    def seconds(self) -> float:
        """How long the call takes, since it was made; 0 before."""
        return 0.0 if self.sent is None else perf_counter() - self.sent

    def add_again(self, reason: Again, message: str) -> None:
        """Add that the call is made once more."""
        self._again.append((perf_counter() - self._asked, reason, message))

    def __call__(self, delta: Delta) -> None:
        """Count a delta, and pass it on."""
        if self._first is None:
            self._first = perf_counter()
        self.written += text_bytes(delta.text) + text_bytes(delta.reasoning)
        if delta.restart:
            self._attempts += 1
            self._texts.clear()
            self.logprobs.clear()
        self.logprobs += delta.logprobs
        if delta.text:
            self._texts.append(delta.text)
        if self.on_delta is not None:
            self.on_delta(delta)

    def catch_up(self, response: ModelResponse) -> None:
        """Pass on the whole text as one delta, if the model did not stream it."""
        if self.on_delta is not None and not self._texts and response.message.text:
            self.on_delta(Delta(response.message.text))

    def usage(self, prompt_tokens: int) -> Usage:
        """Return the estimated usage of a call that was cut off, with all of its attempts that wrote something."""
        output_tokens = -(-self.written // BYTES_PER_TOKEN)
        read = prompt_tokens * self._attempts
        return Usage(calls=self._attempts, input_tokens=read, output_tokens=output_tokens, cost_usd=None)
