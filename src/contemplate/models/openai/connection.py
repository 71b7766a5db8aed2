"""`Connection`: how an endpoint is reached: headers, query, TLS, proxy, or an HTTP client of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

from ...errors import ConfigurationError
from .connection_settings import CONNECT_SECONDS, tls_context

if TYPE_CHECKING:
    from ssl import SSLContext

BEARER = "Authorization"


class HttpClient(Protocol):
    """What is used of an `httpx2.AsyncClient`; nothing else is one."""

    def build_request(
        self, method: str, url: str, /, *, content: bytes, headers: Mapping[str, str], timeout: Any
    ) -> Any:
        """Return a request."""
        ...

    async def send(self, request: Any, /, *, stream: bool, follow_redirects: bool) -> Any:
        """Return the response to `request`."""
        ...


@dataclass(frozen=True, slots=True, repr=False)
class Connection:
    """How an endpoint is reached. None of its values is ever shown; calls with equal settings share connections.

    Args:
        headers: headers of each request, which take precedence over those that the API has.
        query: parameters of each request's URL, such as `{"api-version": "2026-05-01"}`.
        key_header: the header that carries the API key: "Authorization" with "Bearer " before it, any other bare.
        verify: whether the server's certificate is checked; or the PEM file of the authorities that are trusted.
            True trusts those of the system, or of `SSL_CERT_FILE` and `SSL_CERT_DIR`.
        certificate: a client certificate: a PEM file with its key, or the files of the certificate and of the key.
        proxy: the URL of a proxy; "" for none; None for that of the environment.
        connect_timeout: the most seconds until a connection is made.
        client: an `httpx2.AsyncClient` that makes the calls, with its own TLS and proxy. It is not closed, and belongs
            to one event loop. Timeouts are those of `ModelSettings`, and redirects are followed as without it.

    Raises:
        ConfigurationError: a header, a file, or the combination is not valid.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    key_header: str = BEARER
    verify: bool | str | Path = True
    certificate: str | Path | tuple[str | Path, str | Path] | None = None
    proxy: str | None = None
    connect_timeout: float = CONNECT_SECONDS
    client: HttpClient | None = None

    def __post_init__(self) -> None:
        # Copies, as they are part of what connections are shared by.
        object.__setattr__(self, "headers", MappingProxyType(dict(self.headers)))
        object.__setattr__(self, "query", MappingProxyType(dict(self.query)))
        for name, value in (*self.headers.items(), (self.key_header, "")):
            if not (name.isascii() and name.isprintable() and name and not set(name) & set(" :")):
                raise ConfigurationError(f"Connection: {name!r} is not the name of a header")
            if not (isinstance(value, str) and value.isascii() and (value.isprintable())):
                raise ConfigurationError(
                    f"Connection: the header {name!r} is not a text of printable ASCII", hint="was more copied?"
                )
        if not self.connect_timeout > 0:
            raise ConfigurationError("Connection: connect_timeout must be more than 0 seconds")
        own = [name for name in ("verify", "certificate", "proxy") if getattr(self, name) is not _DEFAULTS[name]]
        if self.client is not None and own:
            raise ConfigurationError(f"Connection: {own[0]} beside a client", hint="set it where the client is made")
        if own:
            self.tls()
        if self.client is not None:
            import httpx2

            if not isinstance(self.client, httpx2.AsyncClient):
                kind = f"{type(self.client).__module__}.{type(self.client).__name__}"
                raise ConfigurationError(f"Connection: client is a {kind}", hint="it must be an httpx2.AsyncClient")

    def __hash__(self) -> int:
        return hash((tuple(sorted(self.headers.items())), tuple(sorted(self.query.items())), self.proxy, self.client))

    def __repr__(self) -> str:
        said = [f"{name}={sorted(getattr(self, name))}" for name in ("headers", "query") if getattr(self, name)]
        said += [name for name, default in _DEFAULTS.items() if getattr(self, name) is not default]
        return f"Connection({', '.join(said)})"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no error may repeat: the values of headers and of the query, and the proxy's user and password."""
        parts = urlsplit(self.proxy or "")
        user = [each for each in (parts.username, parts.password) if each]
        return (*self.headers.values(), *self.query.values(), *user, *map(unquote, user))

    def tls(self) -> SSLContext:
        """Return the TLS context.

        Raises:
            ConfigurationError: a file cannot be read, or is none of certificates.
        """
        return tls_context(self.verify, self.certificate)

    def with_key(self, headers: Mapping[str, str], key: str) -> dict[str, str]:
        """Return `headers` with the API key, unless the user's own headers stand in its place."""
        own = {name.lower() for name in self.headers}
        if self.key_header.lower() in own:
            return dict(headers)
        return {**headers, self.key_header: f"Bearer {key}" if self.key_header == BEARER else key}


_DEFAULTS = {"verify": True, "certificate": None, "proxy": None}
DIRECT = Connection()
