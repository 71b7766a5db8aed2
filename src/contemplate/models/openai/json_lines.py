"""Parse a stream of JSON with a chunk in each line, without the fields of server-sent events: NDJSON."""

from __future__ import annotations

from collections.abc import Iterator

from .completion import BadCompletion, parsed
from .sse import BYTE_ORDER_MARK, MAX_EVENT_BYTES


def looks_like_json_lines(beginning: bytes) -> bool:
    """Return whether the first line of a body is an object by itself."""
    try:
        return isinstance(parsed(beginning.partition(b"\n")[0], errors="replace"), dict)
    except BadCompletion:
        return False


class JsonLines:
    """A parser that splits a byte stream, in chunks of any size, into its lines."""

    def __init__(self) -> None:
        self._tail: list[bytes] = []
        self._held = 0
        self._began = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield every line that `chunk` completes, without those that are blank.

        Raises:
            BadCompletion: one line is larger than 64 MiB.
        """
        if not self._began:
            # The first chunk has the first line.
            self._began, chunk = True, chunk.removeprefix(BYTE_ORDER_MARK)
        *lines, tail = chunk.split(b"\n")
        if lines:
            lines[0] = b"".join((*self._tail, lines[0]))
            self._tail.clear()
            self._held = 0
        if tail:
            self._tail.append(tail)
            self._held += len(tail)
        yield from filter(None, map(bytes.strip, lines))
        if self._held > MAX_EVENT_BYTES:
            raise BadCompletion("a line of the stream is larger than 64 MiB")

    def flush(self) -> Iterator[bytes]:
        """Yield the line that the end of the stream completes."""
        yield from self.feed(b"\n")
