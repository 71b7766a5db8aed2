"""What holds for the connections of every transport: how long, how many, and whom to trust."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ssl import SSLContext

CONNECT_SECONDS = 30.0
CLOSE_SECONDS = 1.0
# Many servers hang up on a connection that was idle for five seconds, and a request on its way then is lost.
IDLE_SECONDS = 4.0
# Far more than there are ports.
MAX_CONNECTIONS = 100_000
FILES_FOR_OTHERS = 64


def most_connections() -> int:
    """Return how many connections may be open at once: each is an open file, of which a process may have so many."""
    try:
        import resource
    except ImportError:  # Windows knows no such limit.
        return MAX_CONNECTIONS
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(1, min(MAX_CONNECTIONS, files - max(FILES_FOR_OTHERS, files // 8)))


@cache
def trusted() -> SSLContext:
    """Return whom to trust. Made once: it takes longer than a call."""
    import httpx2

    return httpx2.create_ssl_context()
