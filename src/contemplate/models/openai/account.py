"""The endpoint and API key of a model, from its arguments or the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from ...errors import ConfigurationError
from ..redaction import shown_url

OPENAI_URL = "https://api.openai.com/v1"


@dataclass(frozen=True, slots=True)
class Account:
    """An endpoint and the API key for it."""

    base_url: str
    api_key: str

    @property
    def place(self) -> str:
        """The URL without secrets."""
        return shown_url(self.base_url)

    @property
    def secrets(self) -> tuple[str, str]:
        """The secrets: the API key, and the query of the URL."""
        return self.api_key, urlsplit(self.base_url).query

    @property
    def is_openai(self) -> bool:
        """Whether this is OpenAI's own server, which differs in some details from compatible ones."""
        return (urlsplit(self.base_url).hostname or "").endswith((".openai.com", ".openai.azure.com"))

    def __repr__(self) -> str:
        return f"Account({self.place!r})"


def account_for(model: str, base_url: str | None, api_key: str | None) -> Account:
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
        if not api_key and default_url == OPENAI_URL:
            raise ConfigurationError(
                f"openai:{model} needs an API key, and OPENAI_API_KEY is not set",
                hint="export OPENAI_API_KEY=..., or use a local model: --model local:qwen2.5-coder-1.5b",
            )
    if api_key and not (api_key.isascii() and api_key.isprintable()):
        raise ConfigurationError(
            f"the API key for openai:{model} contains a character that is not allowed in a header",
            hint="was a line break copied with it?",
        )
    return Account(url, api_key or "none")


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
