"""Estimate token counts, for when a provider has not reported them yet, or does not report them."""

from __future__ import annotations

from pydantic_core import to_json

from ..messages import Message, TextPart
from .base import ModelRequest

# English prose has four to five bytes per token, code and JSON three, and a Chinese character, which has three bytes,
# is often one token. Limits depend on this estimate, so it is rather too high than too low.
BYTES_PER_TOKEN = 3
# What prose usually has: for what is shown to people, and for nothing that is limited.
USUAL_BYTES_PER_TOKEN = 4
IMAGE_TOKENS = 1000
MESSAGE_TOKENS = 8


def text_bytes(text: str) -> int:
    """Return the length of `text` in bytes of UTF-8."""
    return len(text) if text.isascii() else len(text.encode(errors="replace"))


def text_tokens(text: str) -> int:
    """Estimate how many tokens `text` has, rounded up."""
    return -(-text_bytes(text) // BYTES_PER_TOKEN)


def request_tokens(request: ModelRequest) -> int:
    """Estimate how many tokens a prompt has: messages, tool calls, tools, the output schema, and images."""
    return (sum(map(message_size, request.messages)) + frame_size(request)) // BYTES_PER_TOKEN


def message_size(message: Message) -> int:
    """Return how many bytes a message counts for in a prompt: its text, its tool calls, its images and its role."""
    size = MESSAGE_TOKENS * BYTES_PER_TOKEN
    for part in message.parts:
        if isinstance(part, TextPart):
            size += text_bytes(part.text)
        elif message.role == "user":
            size += IMAGE_TOKENS * BYTES_PER_TOKEN
    for call in message.tool_calls:
        size += len(call.arguments)
    return size


def frame_size(request: ModelRequest) -> int:
    """Return how many bytes all but the messages counts for in a prompt: the tools, and the output schema."""
    size = sum([len(tool.description) + len(to_json(tool.parameters)) for tool in request.tools])
    return size if request.output_schema is None else size + len(to_json(request.output_schema.schema))
