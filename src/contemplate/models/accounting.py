"""What a call is booked with: the usage that its response reports, as far as that can be true."""

from __future__ import annotations

from math import isfinite

from ..messages import Message
from ..usage import Price, Usage
from .base import ModelRequest, ModelResponse
from .tokens import BYTES_PER_TOKEN, request_tokens, text_tokens

# Far more than any model reads or writes in one call.
MOST_TOKENS = 10_000_000
NOT_REPORTED = -1


def accounted(response: ModelResponse, request: ModelRequest) -> Usage:
    """Return the usage of `response`, in which no number lifts a limit: what cannot be true is estimated."""
    return plausible(response.usage, request, response.message, response.reasoning)


def plausible(usage: Usage, request: ModelRequest, message: Message, reasoning: str) -> Usage:
    """Return `usage` with estimates in place of negative and absurd numbers of tokens, and without an absurd cost."""
    read, written, cost = usage.input_tokens, usage.output_tokens, usage.cost_usd
    most = MOST_TOKENS * max(1, usage.calls)
    if (
        usage.calls >= 1
        and 0 <= usage.cached_input_tokens <= read <= most
        and 0 <= usage.reasoning_tokens <= written <= most
        and (cost is None or (isfinite(cost) and cost >= 0))
    ):
        return usage
    if not 0 <= read <= most:
        read = request_tokens(request)
    if not 0 <= written <= most:
        written = text_tokens("".join((message.text, reasoning, *(call.arguments for call in message.tool_calls))))
    return Usage(
        calls=max(1, usage.calls),
        input_tokens=read,
        cached_input_tokens=min(max(0, usage.cached_input_tokens), read),
        output_tokens=written,
        reasoning_tokens=min(max(0, usage.reasoning_tokens), written),
        cost_usd=cost if cost is None or (isfinite(cost) and cost >= 0) else None,
    )


def broken_off(written: int, answered: Usage, price: Price | None = None) -> Usage:
    """Estimate the usage of an attempt that broke off after `written` bytes, from that of one that was `answered`.

    Args:
        written: the bytes of UTF-8 of the attempt's text and reasoning.
        answered: the usage of another attempt at the same request.
        price: the price of the model that broke off, if it is known to be another one's.
    """
    usage = Usage(
        calls=1, input_tokens=answered.input_tokens, output_tokens=-(-written // BYTES_PER_TOKEN), cost_usd=None
    )
    if price is not None:
        return price.priced(usage)
    if answered.cost_usd is None:
        return usage
    # The average price of a token is rather too high, as most of the tokens are the prompt's, which are cheaper.
    cost = answered.cost_usd * usage.total_tokens / max(1, answered.total_tokens)
    return usage.model_copy(update={"cost_usd": cost})
