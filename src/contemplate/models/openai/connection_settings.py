"""Connection settings for every transport: timeouts, the number of connections, and TLS certificates."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

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


@cache
def trusted() -> SSLContext:
    """Return the TLS context with the trusted certificates. Cached: creating one takes longer than a call."""
    import httpx2

    return httpx2.create_ssl_context()
