"""Processes that are copies of another do what fresh ones do."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

import pytest

from . import processes
from .patience import PATIENCE
from .processes import Process, run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there all are fresh ones")

FACTS = """
import asyncio, gc, json, os, random, signal, sys, threading, warnings
try:
    warnings.warn("a warning", UserWarning)
    warned = False
except UserWarning:
    warned = True
random.random()
print(json.dumps({
    "argv": sys.argv,
    "name": __name__,
    "main": sys.modules["__main__"].__dict__ is globals(),
    "path": sys.path,
    "folder": os.getcwd(),
    "environment": dict(os.environ),
    "parent": os.getppid(),
    "leads": [os.getpgrp() == os.getpid(), os.getsid(0) == os.getpid()],
    "threads": threading.active_count(),
    "files": sorted(int(each) for each in os.listdir("/proc/self/fd"))[:-1] if os.path.exists("/proc") else [],
    "read": sys.stdin.read(),
    "streams": [(each.encoding, each.errors, each.line_buffering, each.write_through, each.isatty(), each.name)
                for each in (sys.stdin, sys.stdout, sys.stderr)],
    "signals": [str(signal.getsignal(each)) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)],
    "warned": warned,
    "filters": [(each[0], each[2].__name__) for each in warnings.filters],
    "optimized": sys.flags.optimize,
}))
"""


@pytest.fixture(params=["copy", "fresh"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "fresh":
        monkeypatch.setattr(processes, "_can_copy", False)
    return str(request.param)


@pytest.mark.parametrize("warnings", [[], ["-W", "error"]])
def test_what_a_process_sees(warnings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setenv("TOLD", "ü")
    for can_copy in (processes._can_copy, False):
        monkeypatch.setattr(processes, "_can_copy", can_copy)
        command = [sys.executable, *warnings, "-c", FACTS, "-m", "words"]
        # Named, as the C library may have more of them, such as the size of a terminal.
        options: dict[str, Any] = {
            "env": dict(os.environ),
            "stdin": PIPE,
            "stdout": PIPE,
            "stderr": PIPE,
            "encoding": "utf-8",
        }
        with Process[str](command, cwd=tmp_path, **options) as running:
            out, err = running.communicate("what it reads", timeout=PATIENCE)
        assert (running.returncode, bool(err)) == (0, not warnings), err
        seen.append(json.loads(out))
    assert seen[0] == seen[1]
    assert seen[0]["parent"] == os.getpid()
    assert seen[0]["read"] == "what it reads"


ENDS = {
    "raise SystemExit(7)": 7,
    "raise SystemExit('a word')": 1,
    "1 / 0": 1,
    "import os, signal; os.kill(os.getpid(), signal.SIGTERM)": -signal.SIGTERM,
    # Whoever is started in the background, as tests may be, ignores Ctrl-C.
    "import signal as s; s.signal(s.SIGINT, s.default_int_handler); s.raise_signal(s.SIGINT)": -signal.SIGINT,
    "import os; os._exit(9)": 9,
    "import atexit; atexit.register(print, 'at its end')": 0,
    "import threading; threading.Thread(target=print, args=('in a thread',)).start()": 0,
}


@pytest.mark.parametrize("code", ENDS)
def test_how_it_ends(code: str, way: str) -> None:
    done = run([sys.executable, "-c", code], PATIENCE)
    assert done.returncode == ENDS[code], done.stderr
    assert ("Traceback" in done.stderr) == ("1 / 0" in code or "SIGINT" in code)
    assert done.stdout == {"at": "at its end\n", "th": "in a thread\n"}.get(code[7:9], "")


def test_it_is_killed_and_waited_for(way: str) -> None:
    with Process[str](
        [sys.executable, "-c", "print(1, flush=True); input()"], stdin=PIPE, stdout=PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "1\n"
        assert running.poll() is None
        running.kill()
        assert running.wait(PATIENCE) == -signal.SIGKILL


def test_a_module_and_a_terminal_of_its_own(way: str) -> None:
    leader, follower = os.openpty()
    command = [sys.executable, "-m", "contemplate", "--help"]
    with Process[bytes](command, stdin=follower, stdout=follower, stderr=follower, terminal=True) as running:
        os.close(follower)
        said = b""
        while b"usage: contemplate" not in said:
            said += os.read(leader, 65536)
        os.close(leader)
        running.wait(PATIENCE)


def test_the_terminal_is_its_own(way: str) -> None:
    leader, follower = os.openpty()
    # Whoever is started in the background, as tests may be, ignores Ctrl-C.
    code = (
        "import os, signal; signal.signal(signal.SIGINT, signal.SIG_DFL); "
        "print(os.getsid(0) == os.getpid(), os.tcgetpgrp(0) == os.getpid(), flush=True); input()"
    )
    command = [sys.executable, "-c", code]
    with Process[bytes](command, stdin=follower, stdout=follower, stderr=DEVNULL, terminal=True) as running:
        os.close(follower)
        said = b""
        while not said.endswith(b"\n"):
            said += os.read(leader, 100)
        os.write(leader, b"\x03")
        assert running.wait(PATIENCE) == -signal.SIGINT
    assert said == b"True True\r\n"
    os.close(leader)


@pytest.mark.parametrize("settings", [{"LC_ALL": "C"}, {"PYTHONUTF8": "0"}, {"PYTHONWARNINGS": "ignore"}])
def test_how_python_starts_makes_it_a_fresh_one(settings: dict[str, str]) -> None:
    code = "import sys; print('contemplate' in sys.modules)"
    command = [sys.executable, "-c", code]
    loaded = [run(command, PATIENCE, env={**os.environ, **each}).stdout for each in ({}, settings)]
    assert loaded == ["True\n" if processes._can_copy else "False\n", "False\n"]
