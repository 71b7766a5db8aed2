"""Parse server-sent events (WHATWG HTML, section 9.2.6), as far as chat completions use them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .completion import BadCompletion

MAX_EVENT_BYTES = 64 * 1024 * 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
LONGEST_FIELD = len("event:")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_FIELD = re.compile(rb":|(?:data|event|id|retry)[:\r\n]")


class ErrorEvent(bytes):
    """The data of an event that is named "error"."""


def looks_like_events(beginning: bytes) -> bool:
    """Return whether a body that begins like this, without white space, is a stream of events."""
    return _FIELD.match(beginning) is not None


class EventStream:
    """A parser that splits a byte stream, in chunks of any size, into the `data` of its events."""

    def __init__(self) -> None:
        self._tail: list[bytes] = []
        self._data: list[bytes] = []
        self._held = 0
        self._began = False
        self._after_return = False
        self._is_error = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the data of every event that `chunk` completes. Each byte is read once, however small the chunks.

        Raises:
            BadCompletion: one event is larger than 64 MiB.
        """
        *lines, tail = self._lines(chunk)
        if lines and self._tail:
            lines[0] = b"".join((*self._tail, lines[0]))
            self._tail.clear()
            self._held = sum(map(len, self._data))
        if tail:
            self._tail.append(tail)
            self._held += len(tail)
        for line in lines:
            if line:
                self._read(line)
                continue
            if self._data:
                data = b"\n".join(self._data)
                self._data.clear()
                self._held = len(tail)
                yield ErrorEvent(data) if self._is_error else data
            self._is_error = False
        if self._held > MAX_EVENT_BYTES:
            raise BadCompletion("an event of the stream is larger than 64 MiB")

    def flush(self) -> Iterator[bytes]:
        """Yield the event that the end of the stream completes: some servers omit the last blank line."""
        self._began, self._after_return = True, False
        yield from self.feed(b"\n\n")

    def _read(self, line: bytes) -> None:
        if line.startswith(b"data:"):
            self._data.append(line[6:] if line[5:6] == b" " else line[5:])
            self._held += len(line)
        elif line.startswith(b"event:"):
            self._is_error = line[6:].strip() == b"error"
        elif line == b"data":
            self._data.append(b"")

    def _lines(self, chunk: bytes) -> list[bytes]:
        """Return the pieces between the ends of lines, which are CRLF, LF or CR."""
        if not self._began:
            chunk = self._without_mark(chunk)
        if self._after_return and chunk:
            # The line ended with the return; a line feed right after it is the second half of its end.
            self._after_return = False
            chunk = chunk.removeprefix(b"\n")
        if b"\r" not in chunk:
            return chunk.split(b"\n")
        self._after_return = chunk.endswith(b"\r")
        return _LINE_END.split(chunk)

    def _without_mark(self, chunk: bytes) -> bytes:
        """Return the beginning of the stream without its byte order mark; nothing while it may be cut in two."""
        beginning = b"".join((*self._tail, chunk))
        self._tail.clear()
        if len(beginning) < len(BYTE_ORDER_MARK) and BYTE_ORDER_MARK.startswith(beginning):
            self._tail.append(beginning)
            return b""
        self._began = True
        return beginning.removeprefix(BYTE_ORDER_MARK)
