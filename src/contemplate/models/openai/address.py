"""The URLs and headers of an account's requests.

They are made once for each account. Having the `openai` package build each request takes several times as long as the
rest of a call, as it copies options, merges headers and parses URLs that never change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version

import httpx2

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
    try:
        base = httpx2.URL(account.base_url)
    except httpx2.InvalidURL as error:
        raise ConfigurationError(f"{account.place!r} is not the URL of an endpoint: {error}") from None
    headers = _openai_headers(account) if account.is_openai else _plain_headers()
    own = account.connection.headers
    replaced = {name.lower() for name in own}
    theirs = {name: value for name, value in headers.items() if name.lower() not in replaced}
    return Address({api: _url(base, path, account) for api, path in _PATHS.items()}, theirs | dict(own))


def _url(base: httpx2.URL, path: str, account: Endpoint) -> str:
    url = base.copy_with(path=f"{base.path.removesuffix('/')}/{path}")
    query = account.connection.query
    return str(url.copy_merge_params(dict(query)) if query else url)


def _openai_headers(account: Endpoint) -> dict[str, str]:
    """Return the headers that the `openai` package sends to OpenAI, with what the environment says to it."""
    # Half a second of imports, which calls of other endpoints do without.
    import openai

    # It never connects, so it need not be closed.
    unused = httpx2.AsyncClient(verify=tls_context(), trust_env=False)
    client = openai.AsyncOpenAI(api_key="sent with each request", base_url=account.base_url, http_client=unused)
    return {name: value for name, value in client.default_headers.items() if isinstance(value, str)}


def _plain_headers() -> dict[str, str]:
    """Return the headers for other servers, some of which know the client by its name.

    `OPENAI_ORG_ID`, `OPENAI_PROJECT_ID` and `OPENAI_CUSTOM_HEADERS` may hold keys, and are no other server's business,
    nor is what runs here, of which the `openai` package tells.
    """
    return {"Accept": "application/json", "Content-Type": "application/json", "User-Agent": _client_name()}


@cache
def _client_name() -> str:
    # To learn the version, a file of a thousand lines is read: it would be half of the time that connecting takes.
    return f"AsyncOpenAI/Python {version('openai')}"
