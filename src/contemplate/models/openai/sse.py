"""Parse server-sent events, as far as chat completions use them (WHATWG HTML, section 9.2.6: the `data` field)."""

from __future__ import annotations

from collections.abc import Iterator

from .completion import BadCompletion

MAX_EVENT_BYTES = 64 * 1024 * 1024


class EventStream:
    """A parser that splits a byte stream, in chunks of any size, into the `data` of its events."""

    def __init__(self) -> None:
        self._tail: list[bytes] = []
        self._data: list[bytes] = []
        self._held = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the data of every event that `chunk` completes. Each byte is read once, however small the chunks.

        Raises:
            BadCompletion: one event is larger than 64 MiB.
        """
        *lines, tail = chunk.split(b"\n")
        if lines:
            lines[0] = b"".join((*self._tail, lines[0]))
            self._tail.clear()
            self._held = sum(map(len, self._data))
        if tail:
            self._tail.append(tail)
            self._held += len(tail)
        for line in lines:
            if line.endswith(b"\r"):
                line = line[:-1]
            if line.startswith(b"data:"):
                self._data.append(line[6:] if line[5:6] == b" " else line[5:])
                self._held += len(line)
            elif not line and self._data:
                yield b"\n".join(self._data)
                self._data.clear()
                self._held = len(tail)
        if self._held > MAX_EVENT_BYTES:
            raise BadCompletion("an event of the stream is larger than 64 MiB")

    def flush(self) -> Iterator[bytes]:
        """Yield the event that the end of the stream completes: some servers omit the last blank line."""
        yield from self.feed(b"\n\n")
