"""The file with the answers: a line of JSON for each row, written when it is there, and read when a batch goes on."""

from __future__ import annotations

import json
import os
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from ...errors import ConfigurationError


class Done:
    """Which rows have ended before: eight bytes of each are remembered, whatever their size."""

    def __init__(self, keys: array[int]) -> None:
        self._keys = array("Q", sorted(keys))

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: int) -> bool:
        place = bisect_left(self._keys, key)
        return place < len(self._keys) and self._keys[place] == key


def key_of(index: int, id_: str | None, question: str) -> int:
    """Return by what a row is known again: its id, or its place and its question if it has none."""
    text = f"{index}\0{question}" if id_ is None else id_
    return int.from_bytes(sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")


class OutFile:
    """The file with the answers; one process writes it at a time (`opened`)."""

    def __init__(self, path: Path, file: IO[bytes], done: Done) -> None:
        self.path = path
        self.done = done
        self._file = file

    def write(self, line: Mapping[str, Any]) -> None:
        """Add a line; it is there as a whole when this returns, unless the machine goes down."""
        self._file.write(json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        self._file.flush()


@contextmanager
def opened(path: Path, *, keep_failed: bool) -> Iterator[OutFile]:
    """Open the file to go on with it. Of what it has, torn lines and rows that failed are left out, to be asked again.

    Args:
        path: the file.
        keep_failed: whether rows that failed count as done.

    Raises:
        ConfigurationError: it cannot be written, another process writes it, or it has other lines than these.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise ConfigurationError(
            f"{path}: another batch is writing it", hint="wait for it, or name another --out"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror or error}", hint="name another --out") from None
    try:
        try:
            done = _kept(path, keep_failed=keep_failed)
            file = path.open("ab")
        except OSError as error:
            raise ConfigurationError(f"{path}: {error.strerror or error}", hint="name another --out") from None
        with file:
            yield OutFile(path, file, done)
    finally:
        lock.release()


def _kept(path: Path, *, keep_failed: bool) -> Done:
    keys = array("Q")
    if not path.exists():
        return Done(keys)
    fresh = path.with_name(f".{path.name}.new")
    left_out = False
    with path.open("rb") as before, fresh.open("wb") as after:
        for number, line in enumerate(before, 1):
            row = _row_of(line)
            if row is None and line.endswith(b"\n"):
                raise ConfigurationError(
                    f"{path}: line {number} is not of a batch", hint="name another --out, which may not exist yet"
                )
            if row is None or (row["error"] is not None and not keep_failed):
                left_out = True
                continue
            keys.append(key_of(row["index"], row["id"], row["question"] or ""))
            after.write(line)
    if left_out:
        os.replace(fresh, path)
    else:
        fresh.unlink()
    return Done(keys)


def _row_of(line: bytes) -> dict[str, Any] | None:
    """Return a line that was written whole; None for any other."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    if not isinstance(row, dict) or not {"index", "id", "question", "error"} <= row.keys():
        return None
    return row if line.endswith(b"\n") else None
