"""Locks of runs: one process at a time has a run, and one that has died has none.

All runs of a journal are locked in one file beside it, a byte for each, as SQLite itself locks a database: so it works
wherever a journal does, and costs one system call. The system ends these locks with the process. The first byte of the
file is shared by all processes that hold a run, so that the last of them can remove it. Where there are no such locks,
as on Windows, each run has a file.

A process is never refused what it has locked itself, and loses all its locks on a file with the first descriptor of it
that it closes. So there is one descriptor for a file, whatever objects and threads want it, which knows what is held
through it. A forked process inherits none of these locks.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from urllib.parse import quote

# Questions, answers and images are nobody else's.
PRIVATE = 0o600
# How often, and after how many seconds each, a lock file is opened again that another process is about to remove:
# for no longer than an event loop may be held up.
TRIES, PAUSE = 15, 0.001

FileId = tuple[int, int]
# How systems lay out a lock that is asked for, by the bytes of a pointer (`struct flock` in <fcntl.h>), and its size at
# most.
_FLOCK = {
    ("linux", 8): ("@hhqqi", ("type", "whence", "start", "length", "process")),
    ("darwin", 8): ("@qqihh", ("start", "length", "process", "type", "whence")),
}
_FLOCK_BYTES = 64


class RunHeldError(Exception):
    """The run is locked: in this process if `here`, else in another one."""

    def __init__(self, *, here: bool) -> None:
        self.here = here


class LockFileGoingError(Exception):
    """Another process is about to remove the lock file: whoever tries again finds it gone."""


def lock_run(journal: Path, run_id: str) -> Callable[[], None]:
    """Lock a run of the journal at this path, which leads through no link, and return what unlocks it.

    Raises:
        RunHeldError: somebody has locked it.
        LockFileGoingError: another process takes its time to remove the lock file.
        OSError: the lock file cannot be used.
    """
    if sys.platform == "win32":
        return lock_by_file(journal, run_id)
    return lock_by_byte(journal, run_id)


def is_locked(journal: Path, run_id: str) -> bool:
    """Return whether a run is locked, here or elsewhere, without locking it; True where that cannot be told.

    Raises:
        OSError: the lock file cannot be read.
    """
    if sys.platform == "win32":
        return _file_of(journal, run_id).exists()
    return _processes.setdefault(os.getpid(), _Process()).has_lock(f"{journal}.lock", run_id)


def lock_by_file(journal: Path, run_id: str) -> Callable[[], None]:
    """Do as `lock_run`, with a file for this run alone."""
    from filelock import FileLock, Timeout

    path = _file_of(journal, run_id)
    lock = FileLock(path, blocking=False, thread_local=False, mode=PRIVATE)
    try:
        lock.acquire()
    except Timeout:
        raise RunHeldError(here=False) from None

    def unlock() -> None:
        # Before the release: a process that opened the file in between sees that it was unlinked, and retries.
        with suppress(OSError):
            path.unlink()
        with suppress(OSError):
            lock.release()

    return unlock


def _file_of(journal: Path, run_id: str) -> Path:
    return Path(f"{journal}.{quote(run_id, safe='', errors='surrogatepass')}.lock")


def lock_by_byte(journal: Path, run_id: str) -> Callable[[], None]:
    """Do as `lock_run`, with a byte of the file that all runs of the journal share."""
    process = _processes.setdefault(os.getpid(), _Process())
    for _ in range(TRIES):
        file = process.lock(f"{journal}.lock", run_id)
        if file is not None:
            break
        time.sleep(PAUSE)
    else:
        raise LockFileGoingError

    def unlock() -> None:
        # A forked process has nothing to unlock.
        if process.pid == os.getpid():
            process.unlock(file, run_id)

    return unlock


class _LockFile:
    """An open lock file, and the runs that are locked in it."""

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self.id = _id(os.fstat(descriptor))
        self.runs: set[str] = set()


class _Process:
    """The lock files of this process."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._mutex = threading.Lock()
        self._files: dict[FileId, _LockFile] = {}
        self._ended: deque[tuple[_LockFile, str]] = deque()

    def lock(self, path: str, run_id: str) -> _LockFile | None:
        """Return the file in which the run is locked now; None if another process is about to remove it."""
        try:
            with self._mutex:
                self._unlock_ended()
                # Also in a file that somebody has cleared away.
                if any(run_id in each.runs for each in self._files.values() if each.path == path):
                    raise RunHeldError(here=True)
                file = self._file(path)
                if file is None:
                    return None
                try:
                    if not _try(file.descriptor, _offset(run_id)):
                        raise RunHeldError(here=False)
                    file.runs.add(run_id)
                finally:
                    self._close_if_unused(file)
                return file
        finally:
            self._unlock_soon()

    def has_lock(self, path: str, run_id: str) -> bool:
        """Return whether this process or another one has locked the run."""
        try:
            with self._mutex:
                if any(run_id in each.runs for each in self._files.values() if each.path == path):
                    return True
                try:
                    known = self._files.get(_id(os.stat(path)))
                    # Not closed if it is known: with a descriptor of it, all locks would be lost.
                    descriptor = os.open(path, os.O_RDONLY) if known is None else known.descriptor
                except FileNotFoundError:
                    return False
                try:
                    return _is_locked_elsewhere(descriptor, _offset(run_id))
                finally:
                    if known is None:
                        os.close(descriptor)
        finally:
            self._unlock_soon()

    def unlock(self, file: _LockFile, run_id: str) -> None:
        """Unlock a run now, or as soon as the mutex is free.

        This thread itself may have it: runs end wherever garbage is collected.
        """
        self._ended.append((file, run_id))
        self._unlock_soon()

    def _unlock_soon(self) -> None:
        while self._ended and self._mutex.acquire(blocking=False):
            try:
                self._unlock_ended()
            finally:
                self._mutex.release()

    def _unlock_ended(self) -> None:
        while self._ended:
            file, run_id = self._ended.popleft()
            file.runs.discard(run_id)
            # What the system does not unlock now, it does when the file is closed: the run has its result.
            with suppress(OSError):
                _unlock(file.descriptor, _offset(run_id))
            self._close_if_unused(file)

    def _file(self, path: str) -> _LockFile | None:
        # One that somebody has cleared away is not found, and goes on to be held by those who hold a run in it.
        with suppress(FileNotFoundError):
            known = self._files.get(_id(os.stat(path)))
            if known is not None:
                return known
        descriptor = _open(path)
        if descriptor is None:
            return None
        file = _LockFile(path, descriptor)
        self._files[file.id] = file
        return file

    def _close_if_unused(self, file: _LockFile) -> None:
        if file.runs:
            return
        del self._files[file.id]
        with suppress(OSError):
            # Whoever opened it in the meantime does not have the first byte yet, and opens the next one.
            if _try(file.descriptor, 0) and _id(os.stat(file.path)) == file.id:
                os.unlink(file.path)
        with suppress(OSError):
            os.close(file.descriptor)


# One for each process of a line of forks: only its own counts.
_processes: dict[int, _Process] = {}


def _open(path: str) -> int | None:
    """Return a descriptor of the lock file, with a share in its first byte, so that nobody removes it.

    None if another process is about to.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE)
    try:
        with suppress(FileNotFoundError):
            if _try(descriptor, 0, shared=True) and _id(os.stat(path)) == _id(os.fstat(descriptor)):
                return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _offset(run_id: str) -> int:
    """Return the byte of a run: any but the first, below the largest offset of a file."""
    digest = blake2b(run_id.encode(errors="surrogatepass"), digest_size=8).digest()
    return 1 + (int.from_bytes(digest, "big") >> 2)


def _id(status: os.stat_result) -> FileId:
    return status.st_dev, status.st_ino


if sys.platform != "win32":
    import fcntl

    def _try(descriptor: int, offset: int, *, shared: bool = False) -> bool:
        """Lock a byte, and return False if another process has it."""
        try:
            fcntl.lockf(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB, 1, offset)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return False
            raise
        return True

    def _unlock(descriptor: int, offset: int) -> None:
        fcntl.lockf(descriptor, fcntl.LOCK_UN, 1, offset)

    def _is_locked_elsewhere(descriptor: int, offset: int) -> bool:
        """Return whether another process has locked a byte; True where the system's answer cannot be read."""
        form = _FLOCK.get((sys.platform, struct.calcsize("P")))
        if form is None:
            return True
        layout, names = form
        lock = {"type": fcntl.F_WRLCK, "whence": os.SEEK_SET, "start": offset, "length": 1, "process": 0}
        asked = struct.pack(layout, *(lock[name] for name in names)).ljust(_FLOCK_BYTES, b"\0")
        found = struct.unpack_from(layout, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
        return bool(found[names.index("type")] != fcntl.F_UNLCK)
