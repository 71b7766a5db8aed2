"""One call first, and those that share a long prompt with it when its first token is there."""

from __future__ import annotations

from ...errors import ConfigurationError
from ..base import Delta, DeltaSink, Model, ModelRequest, ModelResponse
from .base import Wrapper
from .prefixes import Beginnings, beginning, beginnings_of

LEAST_TOKENS = 1024
LONGEST_WAIT = 10.0
WARM_SECONDS = 300.0


class Warm(Wrapper):
    """A model whose calls with the same long beginning wait for the first of them to be in the prefix cache.

    Calls that are made at the same moment cannot find each other's prompt in a cache: it is there when it has been
    read, and that has happened when the first token comes. So one call goes first. It is streamed for that, also for a
    caller that does not listen; whoever shares its beginning waits until its first token is there, it has ended, or
    `longest_wait` is over. If it fails or is cancelled before that, the next one in line goes first. A beginning stays
    warm for five minutes after its last use: then nobody waits.

    It buys cheap input tokens with the time to one first token. So nothing waits where that is no bargain: prompts are
    short, or the model's price says that cached tokens cost as much as others. A model without a price, or for which
    nothing is paid, is taken for a server of one's own, where what is saved is computing.

    OpenAI caches prompts of 1,024 tokens and more; models before GPT-5.6 in steps of 128 tokens and for at least five
    minutes after their last use. Later ones charge 1.25 times the price of input for what is written to the cache, and
    calls that do not wait would each write it.
    https://developers.openai.com/api/docs/guides/prompt-caching
    https://developers.openai.com/cookbook/examples/prompt_caching_201

    Put it around `Limit`, so that a call that waits takes no room, and `Retry` around it. The beginning of a tool's
    call is not streamed to us: then the others wait until it is complete, at most `longest_wait`. Local models need no
    wrapper: `LocalModel` sees to it by itself.

    Args:
        inner: the model.
        least_tokens: how much of a prompt must be shared, estimated at three bytes a token.
        longest_wait: seconds that a call is held back at most.

    Raises:
        ConfigurationError: `least_tokens` is less than one, or `longest_wait` is negative.
    """

    def __init__(self, inner: Model, *, least_tokens: int = LEAST_TOKENS, longest_wait: float = LONGEST_WAIT) -> None:
        if least_tokens < 1 or longest_wait < 0:
            raise ConfigurationError(
                f"Warm(least_tokens={least_tokens}, longest_wait={longest_wait}): at least 1 and 0 are needed"
            )
        super().__init__(inner)
        self._least_tokens = least_tokens
        self._longest_wait = longest_wait

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Answer `request`, after a call that shares its beginning if there is one.

        Raises:
            ModelError: the call failed.
        """
        key = beginning(request, self._least_tokens) if self._pays() else None
        if key is None:
            return await self.inner.request(request, on_delta)
        beginnings = beginnings_of(self, WARM_SECONDS)
        if not await beginnings.leads(key, self._longest_wait):
            return await self.inner.request(request, on_delta)
        leader = _Leader(beginnings, key, on_delta)
        try:
            response = await self.inner.request(request, leader)
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
    """Passes pieces on to whoever listens, and lets the others go at the first."""

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
        """The prompt has been read."""
        if not self._over:
            self._over = True
            self._beginnings.warmed(self._key)

    def end(self) -> None:
        """The call is over; if nothing was heard of it, somebody else leads."""
        if not self._over:
            self._over = True
            self._beginnings.given_up(self._key)
