"""What all streams of server-sent events have in common."""

from __future__ import annotations

# After so long a silence, in seconds, something is sent: whatever stands between gives up on silent connections.
KEEP_ALIVE_SECONDS = 15.0

STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    # Some proxies collect what they pass on, unless they are told not to.
    (b"x-accel-buffering", b"no"),
]
