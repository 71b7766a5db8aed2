"""What the `openai` package says of an account: where its calls go, and with which headers.

It says so once. To have it make every request anew takes several times as long as all the rest of a call: options are
copied, headers merged and URLs parsed that are always the same.
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
    """Where chat completions are asked for, and the headers that every request has."""

    url: str
    headers: dict[str, str]


def address_of(account: Account) -> Address:
    """Return the address of `account`.

    Raises:
        ConfigurationError: its URL is not one.
    """
    # It is never connected, and so needs no closing.
    unused = httpx2.AsyncClient(verify=trusted(), trust_env=False)
    try:
        client = openai.AsyncOpenAI(api_key=account.api_key, base_url=account.base_url, http_client=unused)
    except httpx2.InvalidURL as error:
        raise ConfigurationError(f"{account.place!r} is not the URL of an endpoint: {error}") from None
    said = {**client.default_headers, **client.auth_headers}
    headers = {name: value for name, value in said.items() if isinstance(value, str)}
    url = client.base_url.copy_with(path=f"{client.base_url.path}chat/completions")
    return Address(str(url), headers)
