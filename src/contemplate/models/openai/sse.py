"""Server-sent events, as far as chat completions use them (WHATWG HTML, section 9.2.6: the `data` field)."""

from __future__ import annotations

from collections.abc import Iterator

from .wire import WireError

MAX_EVENT_BYTES = 64 * 1024 * 1024


class EventStream:
    """Cuts a byte stream, however it is chunked, into the `data` of its events."""

    def __init__(self) -> None:
        self._tail = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the data of every event that `chunk` completes.

        Raises:
            WireError: one event is larger than 64 MiB.
        """
        lines = (self._tail + chunk).replace(b"\r\n", b"\n").split(b"\n") if self._tail else _lines(chunk)
        self._tail = lines.pop()
        if len(self._tail) + self._size > MAX_EVENT_BYTES:
            raise WireError("an event of the stream is larger than 64 MiB")
        for line in lines:
            if line.endswith(b"\r"):
                line = line[:-1]
            if line.startswith(b"data:"):
                value = line[6:] if line[5:6] == b" " else line[5:]
                self._data.append(value)
                self._size += len(value)
            elif not line and self._data:
                yield b"\n".join(self._data)
                self._data.clear()
                self._size = 0

    def flush(self) -> Iterator[bytes]:
        """Yield what the end of the stream completes: some servers leave out the last blank line."""
        yield from self.feed(b"\n\n")


def _lines(chunk: bytes) -> list[bytes]:
    return chunk.split(b"\n")
