"""What all streams of server-sent events have in common."""

from __future__ import annotations

from collections.abc import Callable

from pydantic_core import to_json

# After so long a silence, in seconds, something is sent: whatever stands between gives up on silent connections.
KEEP_ALIVE_SECONDS = 15.0

STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    # Some proxies collect what they pass on, unless they are told not to.
    (b"x-accel-buffering", b"no"),
]

_HERE = "here"


class TextEvent:
    """An event with a text in it, of which all else is written once: there is one for each token.

    Args:
        write: returns the event with a text.
    """

    def __init__(self, write: Callable[[str], bytes]) -> None:
        # The text of a model comes after all that a client chose.
        self._before, _, self._after = write(_HERE).rpartition(to_json(_HERE))

    def of(self, text: str) -> bytes:
        """Return the event with `text`."""
        return self._before + to_json(text) + self._after
