"""The usage of a model call, estimated where the provider does not report it."""

from __future__ import annotations

from ..models import Delta, DeltaSink, ModelResponse
from ..models.tokens import BYTES_PER_TOKEN, text_bytes
from ..usage import NOTHING, Usage

ONE_CALL = Usage(calls=1, cost_usd=None)


class Meter:
    """Passes deltas on and counts their bytes: a call that is cut off costs tokens that no provider reports."""

    def __init__(self, on_delta: DeltaSink | None) -> None:
        self.on_delta = on_delta
        self.written = 0
        self.spent = NOTHING
        self._attempts = 1
        self._texts: list[str] = []

    @property
    def text(self) -> str:
        """The text written so far, since the last restart."""
        return "".join(self._texts)

    def __call__(self, delta: Delta) -> None:
        """Count a delta, and pass it on."""
        self.written += text_bytes(delta.text) + text_bytes(delta.reasoning)
        if delta.restart:
            self._attempts += 1
            self._texts.clear()
        if delta.text:
            self._texts.append(delta.text)
        if self.on_delta is not None:
            self.on_delta(delta)

    def catch_up(self, response: ModelResponse) -> None:
        """Pass on the whole text as one delta, if the model did not stream it."""
        if response.message.text and not self._texts and self.on_delta is not None:
            self.on_delta(Delta(response.message.text))

    def usage(self, prompt_tokens: int) -> Usage:
        """Return the estimated usage of a call that was cut off, with all of its attempts that wrote something."""
        output_tokens = -(-self.written // BYTES_PER_TOKEN)
        read = prompt_tokens * self._attempts
        return Usage(calls=self._attempts, input_tokens=read, output_tokens=output_tokens, cost_usd=None)
