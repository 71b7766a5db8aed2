"""Connection settings for every transport: timeouts, the number of connections, and TLS certificates."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import ConfigurationError

if TYPE_CHECKING:
    from ssl import SSLContext

CONNECT_SECONDS = 30.0
CLOSE_SECONDS = 1.0
# Many servers close a connection that was idle for five seconds, and a request sent at that moment is lost.
IDLE_SECONDS = 4.0
# Far more than there are ports.
MAX_CONNECTIONS = 100_000
FILES_FOR_OTHERS = 64


def most_connections() -> int:
    """Return how many connections may be open at once, given the process's limit on open files."""
    try:
        import resource
    except ImportError:  # Windows has no such limit.
        return MAX_CONNECTIONS
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(1, min(MAX_CONNECTIONS, files - max(FILES_FOR_OTHERS, files // 8)))


def tls_context(
    verify: bool | str | Path = True, certificate: str | Path | tuple[str | Path, str | Path] | None = None
) -> SSLContext:
    """Return a TLS context. Cached: creating one takes longer than a call.

    Args:
        verify: whether certificates are checked, or the PEM file of the trusted authorities.
        certificate: the PEM file of a client certificate with its key, or the two files.

    Raises:
        ConfigurationError: a file cannot be read, or is none of certificates.
    """
    # They may change while the process runs.
    return _tls_context(verify, certificate, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@lru_cache(maxsize=64)
def _tls_context(
    verify: bool | str | Path,
    certificate: str | Path | tuple[str | Path, str | Path] | None,
    _environment_file: str | None,
    _environment_folder: str | None,
) -> SSLContext:
    import ssl

    import httpx2

    file: object = verify
    try:
        if isinstance(verify, bool):
            context = httpx2.create_ssl_context(verify=verify)
        else:
            context = ssl.create_default_context(cafile=verify)
        if certificate is not None:
            file = certificate
            chain, key = certificate if isinstance(certificate, tuple) else (certificate, None)
            # Without a password it would ask for one on the terminal.
            context.load_cert_chain(chain, key, password="")
    except OSError as error:
        raise ConfigurationError(
            f"the certificates of {_shown(file)} cannot be read: {error.strerror or error}",
            hint="it must be a PEM file, with a key that has no password",
        ) from None
    return context


def _shown(file: object) -> str:
    if isinstance(file, tuple):
        return " and ".join(map(str, file))
    return "SSL_CERT_FILE" if isinstance(file, bool) else str(file)
