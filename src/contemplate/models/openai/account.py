"""Where calls go and who pays for them, as it is said and as it is found in the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from ...errors import ConfigurationError
from ..redaction import shown_url

OPENAI_URL = "https://api.openai.com/v1"


@dataclass(frozen=True, slots=True)
class Account:
    """Where calls go and who pays for them."""

    base_url: str
    api_key: str

    @property
    def place(self) -> str:
        """The URL as it may be shown."""
        return shown_url(self.base_url)

    @property
    def secrets(self) -> tuple[str, str]:
        """What may not be shown: the key, and the query of the URL."""
        return self.api_key, urlsplit(self.base_url).query

    @property
    def is_openai(self) -> bool:
        """Whether it is OpenAI's own server, which wants some things otherwise than those that follow it."""
        return (urlsplit(self.base_url).hostname or "").endswith((".openai.com", ".openai.azure.com"))

    def __repr__(self) -> str:
        return f"Account({self.place!r})"


def account_for(model: str, base_url: str | None, api_key: str | None) -> Account:
    """Return the account of `model`; what is None is taken from `OPENAI_BASE_URL` and `OPENAI_API_KEY`.

    The key of the environment is taken only for the endpoint of the environment, or for OpenAI's own.

    Raises:
        ConfigurationError: the URL is not one of an endpoint, or the key is missing or can be in no header.
    """
    home = os.environ.get("OPENAI_BASE_URL") or OPENAI_URL
    url = base_url or home
    if "@" in _parts(url).netloc:
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
    if api_key and not (api_key.isascii() and api_key.isprintable()):
        raise ConfigurationError(
            f"the API key for openai:{model} holds a character that may not be in a header",
            hint="was a line break copied with it?",
        )
    return Account(url, api_key or "none")


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        # Reading the port is what finds one that is not a number.
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    except ValueError:
        pass
    raise ConfigurationError(
        f"{shown_url(url)!r} is not the URL of an endpoint", hint="give one such as http://localhost:8000/v1"
    )
