"""The URL and headers that the `openai` package uses for an account.

They are read from the package once. Having it build each request takes several times as long as the rest of a call, as
it copies options, merges headers and parses URLs that never change.
"""

from __future__ import annotations

from dataclasses import dataclass

import httpx2
import openai

from ...errors import ConfigurationError
from .account import Account
from .connection_settings import trusted


@dataclass(frozen=True, slots=True)
class Address:
    """The URL of the chat completions endpoint, and the headers of every request."""

    url: str
    headers: dict[str, str]


def address_of(account: Account) -> Address:
    """Return the address of `account`.

    Raises:
        ConfigurationError: its URL is not valid.
    """
    # It never connects, so it need not be closed.
    unused = httpx2.AsyncClient(verify=trusted(), trust_env=False)
    try:
        client = openai.AsyncOpenAI(api_key=account.api_key, base_url=account.base_url, http_client=unused)
    except httpx2.InvalidURL as error:
        raise ConfigurationError(f"{account.place!r} is not the URL of an endpoint: {error}") from None
    all_headers = {**client.default_headers, **client.auth_headers}
    headers = {name: value for name, value in all_headers.items() if isinstance(value, str)}
    url = client.base_url.copy_with(path=f"{client.base_url.path}chat/completions")
    return Address(str(url), headers)
