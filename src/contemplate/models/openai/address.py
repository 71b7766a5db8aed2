"""The URL and headers that the `openai` package uses for an account.

They are read from the package once. Having it build each request takes several times as long as the rest of a call, as
it copies options, merges headers and parses URLs that never change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import httpx2
import openai

from ...errors import ConfigurationError
from .connection_settings import tls_context
from .endpoint import Endpoint
from .profile import Api

_PATHS: Mapping[Api, str] = {"chat": "chat/completions", "responses": "responses"}


@dataclass(frozen=True, slots=True)
class Address:
    """The URL of each API of an endpoint, and the headers of every request, but for the API key."""

    urls: Mapping[Api, str]
    headers: dict[str, str]


def address_of(account: Endpoint) -> Address:
    """Return the address of `account`.

    Raises:
        ConfigurationError: its URL is not valid.
    """
    # It never connects, so it need not be closed.
    unused = httpx2.AsyncClient(verify=tls_context(), trust_env=False)
    try:
        client = openai.AsyncOpenAI(api_key="sent with each request", base_url=account.base_url, http_client=unused)
    except httpx2.InvalidURL as error:
        raise ConfigurationError(f"{account.place!r} is not the URL of an endpoint: {error}") from None
    headers = client.default_headers if account.is_openai else _plain_headers(client)
    own = account.connection.headers
    replaced = {name.lower() for name in own}
    theirs = {name: value for name, value in headers.items() if isinstance(value, str) and name.lower() not in replaced}
    urls = {api: _url(client.base_url, path, account) for api, path in _PATHS.items()}
    return Address(urls, theirs | dict(own))


def _url(base: httpx2.URL, path: str, account: Endpoint) -> str:
    url = base.copy_with(path=f"{base.path}{path}")
    query = account.connection.query
    return str(url.copy_merge_params(dict(query)) if query else url)


def _plain_headers(client: openai.AsyncOpenAI) -> dict[str, str]:
    """Return the headers without what the environment says to OpenAI.

    `OPENAI_ORG_ID`, `OPENAI_PROJECT_ID` and `OPENAI_CUSTOM_HEADERS` may hold keys, and are no other server's business.
    """
    plain = {"Accept": "application/json", "Content-Type": "application/json", "User-Agent": client.user_agent}
    return plain | client.platform_headers()
