"""`contemplate models`, and a model that is fetched because it is asked."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from contemplate.cli import main
from contemplate.models.local import KNOWN, LocalFile
from contemplate.models.openai.lesson_store import page_of, write_down
from contemplate.models.openai.lessons import Lesson

from .. import local_model
from ..patience import PATIENCE
from .asking import command, here, on_terminal_here, process, run_fresh

CONTENT = b"GGUF" + os.urandom(2_000_000)
TINY = LocalFile(
    name="tiny",
    title="Tiny, Q4",
    file="tiny.gguf",
    size=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    licence="CC0",
    hub="someone/tiny",
)


class Hub(http.server.ThreadingHTTPServer):
    """Sends half of what is asked for, and the rest once it may `go_on`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges: list[str | None] = []
        self.go_on = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Hub)
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        body = CONTENT[int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0 :]
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        half = len(body) // 2
        with suppress(OSError):
            self.wfile.write(body[:half])
            self.wfile.flush()
            assert self.server.go_on.wait(PATIENCE)
            self.wfile.write(body[half:])

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def hub() -> Iterator[Hub]:
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.go_on.set()
            server.shutdown()
            thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "cache"
    monkeypatch.setenv("CONTEMPLATE_CACHE", str(directory))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setitem(KNOWN, "tiny", TINY)
    return directory


KNOWING = f"""
import signal, sys
# A shell has what it runs in the background ignore this signal.
signal.signal(signal.SIGINT, signal.default_int_handler)
from contemplate.models.local import KNOWN, LocalFile
from contemplate.models.openai.lessons import Lesson
from contemplate.models.openai.lesson_store import page_of, write_down
KNOWN["tiny"] = {TINY!r}
from contemplate.cli import main
sys.exit(main(sys.argv[1:]))
"""


def knowing(*arguments: str) -> list[str]:
    return [sys.executable, "-c", KNOWING, *arguments]


def test_the_list(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    for said in ("local:qwen2.5-coder-1.5b", "1.12 GB", "Apache-2.0", "not fetched", str(cache)):
        assert said in out
    cache.mkdir()
    TINY.path.write_bytes(CONTENT)
    assert main(["models"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("local:tiny "))
    assert "  present " in line


@pytest.mark.parametrize("name", ["tiny", "local:tiny"])
def test_pull(name: str, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with hub() as server:
        server.go_on.set()
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        assert main(["models", "pull", name]) == 0
        out, err = capsys.readouterr()
        assert f"Fetching Tiny, Q4 (0.00 GB, CC0) into {cache}" in err
        assert "from Hugging Face: 0%" in err
        assert "from Hugging Face: 100%" in err
        assert out == f"tiny is in {TINY.path}\n"
        assert TINY.path.read_bytes() == CONTENT
        assert main(["models", "pull", name]) == 0
        assert capsys.readouterr() == (out, "")
        assert len(server.ranges) == 1


def test_the_bar(cache: Path) -> None:
    with hub() as server:
        server.go_on.set()
        code, shown = on_terminal_here("models", "pull", "tiny", HF_ENDPOINT=server.url)
    assert code == 0
    assert "2.0/2.0 MB" in shown
    assert f"tiny is in {TINY.path}" in shown.replace("\n", "")


def test_an_interrupted_pull_goes_on_where_it_was(cache: Path) -> None:
    with hub() as server:
        with process(knowing("models", "pull", "tiny"), HF_ENDPOINT=server.url) as running:
            assert running.stderr is not None
            for said in running.stderr:
                if "from Hugging Face: " in said and ": 0%" not in said:
                    break
            running.send_signal(signal.SIGINT)
            _, err = running.communicate(timeout=PATIENCE)
        assert running.returncode == 130
        assert err.endswith("what was fetched so far is kept; the next time goes on from there\ninterrupted\n")
        kept = TINY.path.with_suffix(".partial").stat().st_size
        server.go_on.set()
        assert here("models", "pull", "tiny", HF_ENDPOINT=server.url).returncode == 0
        assert kept > 0
        assert server.ranges == [None, f"bytes={kept}-"]
    assert TINY.path.read_bytes() == CONTENT


def test_what_was_learnt_is_forgotten(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CONTEMPLATE_NO_LESSONS", raising=False)
    page = page_of("http://a/v1", "m")
    page.add(Lesson(changes={"left_out": ["seed"]}, words="seed is not sent"), proven=True)
    write_down(page)
    assert main(["models", "forget", "nowhere"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["models", "forget"]) == 0
    assert capsys.readouterr().out == "http://a/v1#m: 1 forgotten\n"
    assert page.lessons == ()


def test_a_pull_that_fails(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "pull", "tiny"]) == 1
    err = capsys.readouterr().err
    assert "error: tiny could not be fetched: Hugging Face cannot be reached" in err
    assert f"You can also put the file at {TINY.path}" in err
    assert "Traceback" not in err


def test_a_model_is_fetched_when_it_is_asked(cache: Path) -> None:
    with hub() as server:
        server.go_on.set()
        done = here("ask", "Why?", "--model", "local:tiny", "--json", HF_ENDPOINT=server.url)
    assert TINY.path.read_bytes() == CONTENT
    assert done.stderr.startswith(f"Fetching Tiny, Q4 (0.00 GB, CC0) into {cache}\nfrom Hugging Face: 0%\n")
    assert "llama.cpp cannot load tiny.gguf" in json.loads(done.stdout)["error"]["message"]


@local_model.alone
def test_the_real_thing_answers() -> None:
    words = ("ask", "Write the word hello.", "--mode", "instant", "--json", "--model", local_model.name())
    with local_model.on_one_core():
        done = run_fresh(command(*words))
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["text"]
    assert document["usage"]["cost_usd"] == 0.0
    assert document["tasks"][0]["model"] == f"local:{local_model.NAME}"
