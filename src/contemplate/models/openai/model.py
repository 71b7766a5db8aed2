"""`OpenAIModel`: any model behind an OpenAI-compatible endpoint."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import replace
from typing import Self

import anyio
import anyio.to_thread

from ...errors import ModelTimeoutError
from ...settings import ModelSettings
from ...usage import Price
from ..base import DeltaSink, ModelRequest, ModelResponse
from ..context_size import ContextSize
from ..prices import listed_price
from .account import KeyFunction, account_for
from .chat_call import ChatCall
from .completion import BadCompletion
from .connection import DIRECT, Connection
from .connections import connected
from .errors import model_error
from .hosts import profile_at
from .learning import Dialect
from .profile import Api, Profile
from .transport import TransportFailure

DEFAULT_TIMEOUT = 600.0
# Settings that change answers: who asked for them is told if they are not sent.
TOLD = ("temperature", "top_p", "stop", "reasoning_effort", "logprobs")
# What the Responses API has no field for; neither has it one for a seed, which no answer was promised to follow.
_UNSAID = frozenset({"stop"})


class OpenAIModel:
    """A model behind an OpenAI-compatible chat completions endpoint.

    The `openai` package determines OpenAI's headers; connections are kept for each account and event loop.

    Args:
        model: the server's name for the model, such as "gpt-5".
        base_url: the endpoint; `OPENAI_BASE_URL`, or OpenAI's own, if None.
        api_key: the key, or a function that returns it, which may be async and is asked before each call, for keys
            that expire. If None: `OPENAI_API_KEY` for the endpoint from the environment, and no key for any other, so
            that a key is never sent to a server that it is not meant for.
        settings: the default settings of its calls; those of a request take precedence.
        name: its name in events and errors; "openai:MODEL" if None.
        price: the price of its tokens. If None, it is looked up, if the extra "prices" is installed.
        profile: what the endpoint takes for this model, and how it answers. If None, what is known of it. What is
            learnt from its refusals comes on top.
        api: "chat" for chat completions, or "responses" for OpenAI's Responses, whatever the profile says.
        connection: how the endpoint is reached: headers, query, TLS, a proxy, an HTTP client of one's own.

    Raises:
        ConfigurationError: the key that OpenAI requires is missing, or the key or the URL is not valid.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | KeyFunction | None = None,
        settings: ModelSettings | None = None,
        name: str | None = None,
        price: Price | None = None,
        profile: Profile | None = None,
        api: Api | None = None,
        connection: Connection = DIRECT,
    ) -> None:
        self.model = model
        self.name = name or f"openai:{model}"
        self.settings = settings
        self._account = account_for(model, base_url, api_key, connection)
        profile = profile or profile_at(self._account.base_url, model)
        self._use(profile if api is None else profile.model_copy(update={"api": api}), self._account.place, api)
        self._price = price
        self._price_looked_up = price is not None

    @property
    def profile(self) -> Profile:
        """The dialect in force: what was stated or known beforehand, with what was learnt."""
        return self._dialect.profile

    @property
    def context_size(self) -> ContextSize | None:
        """How much fits into its context, as stated, known beforehand, or learnt; None if unknown."""
        return self.profile.context_size

    @property
    def price(self) -> Price | None:
        """The price of its tokens; None if unknown. Looked up once, which takes a moment."""
        if not self._price_looked_up:
            self._price, self._price_looked_up = listed_price(self.model, self._account.base_url), True
        return self._price

    def with_profile(self, profile: Profile) -> Self:
        """Return the same model with another profile, on which nothing that was learnt comes on top."""
        model = copy(self)
        model._use(profile, None, profile.api)
        return model

    def _use(self, profile: Profile, place: str | None, api: Api | None) -> None:
        self._dialect = Dialect(profile, place, self.model, api=api)
        unsaid = _UNSAID if profile.api == "responses" else frozenset()
        self._untold = (profile.left_out | unsaid).intersection(TOLD)

    def __repr__(self) -> str:
        return f"OpenAIModel({self.model!r}, base_url={self._account.place!r})"

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[None]:
        """Keep the connections open until the context ends."""
        async with connected(self._account):
            if not self._price_looked_up:
                await anyio.to_thread.run_sync(lambda: self.price)
            yield

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Answer `request`, streaming it if `on_delta` is given.

        Raises:
            ModelError: the call failed; its subclass says how.
        """
        if self.settings is not None:
            request = replace(request, settings=request.settings.over(self.settings))
        seconds = request.settings.timeout or DEFAULT_TIMEOUT
        account = self._account
        async with connected(account) as transport:
            try:
                with anyio.move_on_after(seconds):
                    account = await account.with_key(self.name)
                    response = await self._dialect.ask(
                        ChatCall(self.model, self.name, account, transport, request, on_delta)
                    )
                    return self._with_unsent(response, request.settings) if self._untold else response
            except (TransportFailure, BadCompletion) as error:
                raise model_error(error, self.name, account) from error.__cause__
        raise ModelTimeoutError(
            f"no complete answer within {seconds:g} s", model=self.name, hint="raise ModelSettings.timeout"
        )

    def _with_unsent(self, response: ModelResponse, settings: ModelSettings) -> ModelResponse:
        """Return `response` with a note on settings that the server does not take, once for each."""
        unsent = [name for name in TOLD if name in self._untold and getattr(settings, name) is not None]
        self._untold = self._untold.difference(unsent)
        notes = [f"{name} is not sent, as {self.model} does not take it" for name in unsent]
        return response.model_copy(update={"notes": (*response.notes, *notes)}) if notes else response
