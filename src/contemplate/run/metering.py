"""What a call costs, as far as that can be told before its provider says it, or without."""

from __future__ import annotations

from ..models import Delta, DeltaSink, ModelResponse
from ..models.tokens import BYTES_PER_TOKEN, text_bytes
from ..usage import NOTHING, Usage

ONE_CALL = Usage(calls=1, cost_usd=None)


class Meter:
    """Passes pieces on and counts them: a call that is cut off is paid for, though nobody reports how much it was."""

    def __init__(self, on_delta: DeltaSink | None) -> None:
        self.on_delta = on_delta
        self.written = 0
        self.spent = NOTHING
        self._texts: list[str] = []

    @property
    def text(self) -> str:
        """What was written, and is not void."""
        return "".join(self._texts)

    def __call__(self, delta: Delta) -> None:
        """Count a piece, and pass it on."""
        self.written += text_bytes(delta.text) + text_bytes(delta.reasoning)
        if delta.restart:
            self._texts.clear()
        if delta.text:
            self._texts.append(delta.text)
        if self.on_delta is not None:
            self.on_delta(delta)

    def catch_up(self, response: ModelResponse) -> None:
        """Hand over in one piece what a model that does not stream has said."""
        if response.message.text and not self._texts and self.on_delta is not None:
            self.on_delta(Delta(response.message.text))

    def usage(self, prompt_tokens: int) -> Usage:
        """An estimate of what the call had cost when it was cut off."""
        output_tokens = -(-self.written // BYTES_PER_TOKEN)
        return Usage(calls=1, input_tokens=prompt_tokens, output_tokens=output_tokens, cost_usd=None)
