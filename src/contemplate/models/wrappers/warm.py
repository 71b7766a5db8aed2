"""Make one call first, and those that share a long prompt prefix with it after its first token."""

from __future__ import annotations

from ...arguments import checked_arguments
from ...errors import ConfigurationError
from ..base import Delta, DeltaSink, Model, ModelRequest, ModelResponse
from .base import Wrapper, sent
from .prefixes import Beginnings, beginning, beginnings_of

LEAST_TOKENS = 1024
LONGEST_WAIT = 10.0
WARM_SECONDS = 300.0


class Warm(Wrapper):
    """A model whose calls with the same long prompt prefix wait until the first of them has filled the prefix cache.

    Concurrent calls cannot find each other's prompt in the cache: a prompt is cached once it has been processed, which
    is certain at the first token. So one call goes first. It is streamed, even if its caller does not stream; calls
    with the same prefix wait until its first token, its end, or for `longest_wait`. If it fails or is cancelled before
    that, the next one in line goes first. A prefix stays warm for five minutes after its last use, during which no call
    waits.

    This makes input tokens cheaper, at the cost of the time to one first token. No call waits if that does not pay:
    if prompts are short, or if cached tokens cost as much as others. A model without a price, or with a price of 0, is
    assumed to be self-hosted, where caching saves compute.

    OpenAI caches prompts of 1,024 tokens and more; models before GPT-5.6 in steps of 128 tokens and for at least five
    minutes after their last use. Later ones charge 1.25 times the input price for tokens written to the cache, and
    calls that do not wait would each write them.
    https://developers.openai.com/api/docs/guides/prompt-caching
    https://developers.openai.com/cookbook/examples/prompt_caching_201

    Put it around `Limit`, so that a waiting call does not count as concurrent, and `Retry` around it. Tool calls are
    not streamed piece by piece: then the others wait for the complete call, for at most `longest_wait`. Local models
    need no wrapper: `LocalModel` shares prefixes by itself.

    Args:
        inner: the model.
        least_tokens: the shortest shared prefix in tokens, estimated at three bytes each.
        longest_wait: the longest that a call is delayed, in seconds.

    Raises:
        ConfigurationError: `least_tokens` is less than one, or `longest_wait` is negative.
    """

    @checked_arguments
    def __init__(self, inner: Model, *, least_tokens: int = LEAST_TOKENS, longest_wait: float = LONGEST_WAIT) -> None:
        if least_tokens < 1 or longest_wait < 0:
            raise ConfigurationError(
                f"Warm(least_tokens={least_tokens}, longest_wait={longest_wait}): at least 1 and 0 are required"
            )
        super().__init__(inner)
        self._least_tokens = least_tokens
        self._longest_wait = longest_wait

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Answer `request`, after a call that shares its prompt prefix if there is one.

        Raises:
            ModelError: the call failed.
        """
        key = beginning(request, self._least_tokens) if self._pays() else None
        if key is None:
            return await self.inner.request(request, on_delta)
        beginnings = beginnings_of(self, WARM_SECONDS)
        if not await beginnings.leads(key, self._longest_wait, request.on_queue):
            return await sent(self.inner, request, on_delta)
        leader = _Leader(beginnings, key, on_delta)
        try:
            response = await sent(self.inner, request, leader)
            leader.heard()
            return response
        finally:
            leader.end()

    def _pays(self) -> bool:
        price = self.price
        if price is None or price.input == 0:
            return True
        return price.cached_input is not None and price.cached_input < price.input


class _Leader:
    """A delta sink that passes pieces on, and releases the waiting calls at the first."""

    def __init__(self, beginnings: Beginnings, key: bytes, on_delta: DeltaSink | None) -> None:
        self._beginnings = beginnings
        self._key = key
        self._on_delta = on_delta
        self._over = False

    def __call__(self, delta: Delta) -> None:
        if delta.text or delta.reasoning:
            self.heard()
        if self._on_delta is not None:
            self._on_delta(delta)

    def heard(self) -> None:
        """Note that the prompt has been processed, and release the waiting calls."""
        if not self._over:
            self._over = True
            self._beginnings.warmed(self._key)

    def end(self) -> None:
        """Note that the call has ended; if it had no first token, another call leads."""
        if not self._over:
            self._over = True
            self._beginnings.given_up(self._key)
