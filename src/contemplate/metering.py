"""What a call costs, as far as that can be told before its provider says it, or without."""

from __future__ import annotations

from pydantic_core import to_json

from .models import Delta, DeltaSink, ModelRequest, ModelResponse
from .usage import NOTHING, Usage

BYTES_PER_TOKEN = 3
IMAGE_TOKENS = 1000
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
        self.written += len(delta.text) + len(delta.reasoning)
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


def estimate(request: ModelRequest) -> int:
    """How many tokens a prompt has, roughly and rather too many than too few."""
    # Bytes and not characters: a character of Chinese, say, is a token or more by itself.
    size = sum(len(message.text.encode(errors="replace")) for message in request.messages)
    size += sum(len(call.arguments) for message in request.messages for call in message.tool_calls)
    size += sum(len(tool.description) + len(to_json(tool.parameters)) for tool in request.tools)
    if request.output_schema is not None:
        size += len(to_json(request.output_schema.schema))
    images = sum(len(message.images) for message in request.messages if message.role == "user")
    return size // BYTES_PER_TOKEN + IMAGE_TOKENS * images + 8 * len(request.messages)
