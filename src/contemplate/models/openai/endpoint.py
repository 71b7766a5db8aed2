"""The endpoint and API key of a model, from its arguments or the environment."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from inspect import iscoroutinefunction
from urllib.parse import SplitResult, urlsplit

import anyio.to_thread

from ...errors import ConfigurationError, ModelAuthError
from ...redaction import shown_url
from .connection import DIRECT, Connection

OPENAI_URL = "https://api.openai.com/v1"


# What returns the current API key, such as a provider of tokens that expire. May be async.
KeyFunction = Callable[[], str | Awaitable[str]]


@dataclass(frozen=True)
class Endpoint:
    """An endpoint, the API key for it or what returns the key, and how it is reached."""

    base_url: str
    api_key: str = ""
    key_function: KeyFunction | None = None
    # Connections are looked up by the account for each call, and few accounts differ in nothing else.
    connection: Connection = field(default=DIRECT, hash=False)

    @property
    def place(self) -> str:
        """The URL without secrets."""
        return shown_url(self.base_url)

    @cached_property
    def provider(self) -> str:
        """The host and port: who gets back what belongs to it (`ProviderData.provider`)."""
        return urlsplit(self.base_url).netloc.lower()

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets: the API key, the query of the URL, and those of the connection."""
        return self.api_key, urlsplit(self.base_url).query, *self.connection.secrets

    @property
    def is_openai(self) -> bool:
        """Whether this is OpenAI's own endpoint."""
        return self._is_at(".openai.com") and self.base_url.lower().startswith("https:")

    async def with_key(self, model: str) -> Endpoint:
        """Return the account with its current key.

        Raises:
            ModelAuthError: the function for the key failed, or returned something else.
        """
        if self.key_function is None:
            return self
        try:
            key = await _returned(self.key_function)
        except Exception as error:
            # Without its message, which may repeat a secret.
            message = f"the function given as api_key raised {type(error).__name__}"
            raise ModelAuthError(message, model=model, hint="its own error is the cause of this one") from error
        problem = _problem(key)
        if problem is not None:
            raise ModelAuthError(f"the function given as api_key returned a key that {problem}", model=model)
        return replace(self, api_key=str(key), key_function=None)

    def _is_at(self, *domains: str) -> bool:
        return f".{urlsplit(self.base_url).hostname or ''}".endswith(domains)

    def __repr__(self) -> str:
        return f"Endpoint({self.place!r})"


def account_for(
    model: str, base_url: str | None, api_key: str | KeyFunction | None, connection: Connection = DIRECT
) -> Endpoint:
    """Return the account for `model`; `OPENAI_BASE_URL` and `OPENAI_API_KEY` replace None.

    The key from the environment is used only for the endpoint from the environment, or OpenAI's own.

    Raises:
        ConfigurationError: the URL is not the URL of an endpoint, or the key is missing or not valid in a header.
    """
    default_url = os.environ.get("OPENAI_BASE_URL") or OPENAI_URL
    url = base_url or default_url
    if "@" in _parts(url).netloc:
        raise ConfigurationError(
            f"the URL {shown_url(url)!r} contains a password, which would conflict with the API key",
            hint="pass it as api_key",
        )
    if api_key is None and url == default_url:
        api_key = os.environ.get("OPENAI_API_KEY")
        own_key = connection.key_header.lower() in map(str.lower, connection.headers)
        if not api_key and not own_key and default_url == OPENAI_URL:
            raise ConfigurationError(
                f"openai:{model} needs an API key, and OPENAI_API_KEY is not set",
                hint="export OPENAI_API_KEY=..., or use a local model: --model local:qwen2.5-coder-1.5b",
            )
    if callable(api_key):
        return Endpoint(url, key_function=api_key, connection=connection)
    key = api_key or "none"
    problem = _problem(key)
    if problem is not None:
        raise ConfigurationError(
            f"the API key for {model!r} at {shown_url(url)} {problem}", hint="was more than the key copied?"
        )
    return Endpoint(url, key, connection=connection)


def _problem(key: object) -> str | None:
    """Return what is wrong with a key that is to stand in a header, without telling it."""
    if not isinstance(key, str):
        return f"is not a text or a function, but of type {type(key).__name__}"
    if not key:
        return "is empty"
    if not key.isprintable():
        return "contains a line break or another control character"
    return None if key.isascii() else "contains a character that is not ASCII"


async def _returned(function: KeyFunction) -> object:
    if iscoroutinefunction(function):
        return await function()
    # In a thread, as most of these functions ask a server for a token; in a tuple, as trio rejects an awaitable there.
    (returned,) = await anyio.to_thread.run_sync(lambda: (function(),), abandon_on_cancel=True)
    return await returned if isinstance(returned, Awaitable) else returned


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        # Reading `port` raises ValueError if it is not a number.
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    except ValueError:
        pass
    raise ConfigurationError(
        f"{shown_url(url)!r} is not the URL of an endpoint", hint="use one such as http://localhost:8000/v1"
    )
