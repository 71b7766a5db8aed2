"""`OpenAIModel`: any model behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from ...errors import ConfigurationError, ModelTimeoutError
from ...settings import ModelSettings
from ...usage import Price
from ..base import Delta, DeltaSink, ModelRequest, ModelResponse
from ..prices import listed_price
from ..redaction import shown_url
from .pool import Account, endpoint_of
from .response import Collected, decode
from .sse import EventStream
from .stream_timeouts import Patience
from .wire import encode

if TYPE_CHECKING:
    from .endpoint import Endpoint

OPENAI_URL = "https://api.openai.com/v1"
DEFAULT_TIMEOUT = 600.0
DRAIN_SECONDS = 0.1


class OpenAIModel:
    """A model behind an OpenAI-compatible chat completions endpoint.

    Where its calls go, and with which headers, the `openai` package says; connections are kept for each account and
    event loop.

    Args:
        model: the name that the server knows, such as "gpt-5".
        base_url: the endpoint; `OPENAI_BASE_URL`, or OpenAI's own, if None.
        api_key: the key. If None: `OPENAI_API_KEY` for the endpoint of the environment, and no key for any other, so
            that a key never goes to a server that it was not made for.
        settings: the usual settings of its calls; those of a request go over them.
        name: what to call it in events and errors; "openai:MODEL" if None.
        price: what its tokens cost. If None, it is looked up, where the extra "prices" is installed and knows it.

    Raises:
        ConfigurationError: there is no key for an endpoint that wants one, or the URL is none.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        settings: ModelSettings | None = None,
        name: str | None = None,
        price: Price | None = None,
    ) -> None:
        self.model = model
        self.name = name or f"openai:{model}"
        self.settings = settings
        self._account = _account(model, base_url, api_key)
        host = urlsplit(self._account.base_url).hostname or ""
        self._is_openai = host.endswith((".openai.com", ".openai.azure.com"))

        self._price = price
        self._price_sought = price is not None

    @property
    def price(self) -> Price | None:
        """What its tokens cost; None if that is not known. Looked up once, which takes a moment."""
        if not self._price_sought:
            self._price, self._price_sought = listed_price(self.model, self._account.base_url), True
        return self._price

    def __repr__(self) -> str:
        return f"OpenAIModel({self.model!r}, base_url={self._account.place!r})"

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[None]:
        """Keep the connections until the context ends."""
        async with endpoint_of(self._account):
            if not self._price_sought:
                await anyio.to_thread.run_sync(lambda: self.price)
            yield

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Answer `request`, streaming it if `on_delta` is given.

        Raises:
            ModelError: the call failed; its subclass says how.
        """
        from .errors import translated

        if self.settings is not None:
            request = replace(request, settings=request.settings.over(self.settings))
        body = encode(request, model=self.model, stream=on_delta is not None, is_openai=self._is_openai)
        seconds = request.settings.timeout or DEFAULT_TIMEOUT
        async with endpoint_of(self._account) as endpoint:
            with translated(self.name, self._account):
                try:
                    with anyio.fail_after(seconds):
                        if on_delta is None:
                            return decode(await endpoint.post(body), request, model=self.model)
                        return await self._streamed(endpoint, body, request, on_delta)
                except TimeoutError:
                    raise ModelTimeoutError(
                        f"no complete answer within {seconds:g} s", model=self.name, hint="raise ModelSettings.timeout"
                    ) from None

    async def _streamed(
        self, endpoint: Endpoint, body: bytes, request: ModelRequest, on_delta: DeltaSink
    ) -> ModelResponse:
        with Patience(request.settings, self.name) as patience:
            async with endpoint.stream(body) as stream:
                if "text/event-stream" not in stream.content_type:
                    patience.end()
                    whole = b"".join([piece async for piece in stream.pieces])
                    return _handed_over(decode(whole, request, model=self.model), on_delta)
                collected, events = Collected(request, model=self.model), EventStream()
                async for piece in stream.pieces:
                    done = _collect(events.feed(piece), collected, on_delta)
                    patience.heard(collected.pieces)
                    if done:
                        await _drain(stream.pieces)
                        return collected.response()
                _collect(events.flush(), collected, on_delta)
                return collected.response()


def _collect(events: Iterator[bytes], collected: Collected, on_delta: DeltaSink) -> bool:
    """Take in `events`; True when the stream says that it is done."""
    for data in events:
        if data.strip() == b"[DONE]":
            return True
        for delta in collected.add(data):
            on_delta(delta)
    return False


def _handed_over(response: ModelResponse, on_delta: DeltaSink) -> ModelResponse:
    """Some servers answer a streaming request in one piece; so does an error page sent as a success."""
    if response.message.text or response.reasoning:
        on_delta(Delta(response.message.text, response.reasoning))
    return response


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Read the end of the body: only a connection that was read to its end is used again."""
    with anyio.move_on_after(DRAIN_SECONDS):
        async for _ in chunks:
            pass


def _account(model: str, base_url: str | None, api_key: str | None) -> Account:
    home = os.environ.get("OPENAI_BASE_URL") or OPENAI_URL
    url = base_url or home
    if urlsplit(url).scheme not in ("http", "https"):
        raise ConfigurationError(
            f"{shown_url(url)!r} is no URL of an endpoint", hint="give one such as http://localhost:8000/v1"
        )
    if "@" in urlsplit(url).netloc:
        raise ConfigurationError(
            f"the URL of {shown_url(url)!r} holds a password, which a call's key would contradict",
            hint="give it as api_key",
        )
    if api_key is None and url == home:
        api_key = os.environ.get("OPENAI_API_KEY")
        if not api_key and home == OPENAI_URL:
            raise ConfigurationError(
                f"openai:{model} needs an API key, and OPENAI_API_KEY is not set",
                hint="export OPENAI_API_KEY=..., or use a local model: --model local:qwen2.5-coder-1.5b",
            )
    return Account(url, api_key or "none")
