"""Python processes as `subprocess` starts them, but on Linux as copies of one that has imported the library.

A copy has an id, files, variables, a folder and signals of its own, is a child of this process, and ends as any other;
what it does not do is import, which takes a fresh one longer than most tests take. Where it matters how Python starts
(its options, its locale, what is loaded), it is a fresh one; see test_processes.py.
"""

from __future__ import annotations

import atexit
import ctypes
import inspect
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, AnyStr

ROOT = Path(__file__).parent.parent
# In the process itself: a terminal is told of keys only if it is the one that its processes belong to.
OWN_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
# Variables that Python reads when it starts.
READ_AT_START = ("PYTHON", "LC_", "LANG")
# What a copy is not asked for is as it is here.
USUAL = {"executable": None, "preexec_fn": None, "pass_fds": (), "shell": False, "start_new_session": False}
PIPES = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
FIRST = dict(os.environ)
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER, prctl(2)

_start: inspect.Signature = inspect.signature(subprocess.Popen._execute_child)  # type: ignore[attr-defined]
_can_copy = sys.platform == "linux" and {*USUAL, *PIPES, "args", "cwd", "env"} <= set(_start.parameters)
_one_at_a_time = Lock()


class Process(subprocess.Popen[AnyStr]):
    """A process. `terminal`: the terminal that is its standard input is to be the one that it belongs to."""

    def __init__(self, arguments: Sequence[str | Path], *, terminal: bool = False, **options: Any) -> None:
        self._terminal = terminal
        super().__init__(arguments, **options)

    def _execute_child(self, *given: Any) -> None:
        asked: inspect.BoundArguments = _start.bind(self, *given)
        copy = _as_copy(asked.arguments) if _can_copy else None
        if copy is None:
            if self._terminal:
                asked.arguments["args"] = [sys.executable, "-c", OWN_TERMINAL, *asked.arguments["args"]]
            super()._execute_child(*asked.args[1:])  # type: ignore[misc]
            return
        ends = enumerate(asked.arguments[name] for name in ("p2cread", "c2pwrite", "errwrite"))
        standard = [own if end == -1 else end for own, end in ends]
        self.pid = _copied({**copy, "terminal": self._terminal}, standard)
        self._child_created = True
        self._close_pipe_fds(*[asked.arguments[name] for name in PIPES])  # type: ignore[attr-defined]


def run(arguments: Sequence[str | Path], timeout: float, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a process to its end, with what it writes as text."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8", **options}
    with Process[str](arguments, **pipes) as running:
        try:
            out, err = running.communicate(timeout=timeout)
        except BaseException:
            running.kill()
            raise
    return subprocess.CompletedProcess(arguments, running.returncode, out, err)


def _as_copy(asked: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a copy is to be and to run; None if it is to be a fresh process."""
    command, *arguments = map(os.fspath, asked["args"])
    environment = dict(os.environ if asked["env"] is None else asked["env"])
    errors = arguments[:2] == ["-W", "error"]
    way, *given = arguments[2 * errors :]
    if command != sys.executable or way not in ("-c", "-m") or _read_at_start(environment) != _read_at_start(FIRST):
        return None
    if any(asked[name] != usual for name, usual in USUAL.items()):
        return None
    what, *rest = given
    return {
        "way": way,
        "what": what,
        "arguments": rest,
        "errors": errors,
        "folder": os.path.abspath(asked["cwd"] or os.curdir),
        "environment": environment,
        "serves": "contemplate.server" in what or rest[:1] in (["serve"], ["view"]),
        "works": rest[:1] == ["worker"],
    }


def _read_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(READ_AT_START)}


@cache
def _copier() -> socket.socket:
    """Start the process that is copied; it ends when its socket does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-m", f"{__package__}.copied_python", str(theirs.fileno())]
        null, passed = subprocess.DEVNULL, [theirs.fileno()]
        process = subprocess.Popen(command, cwd=ROOT, env=FIRST, stdin=null, stdout=null, pass_fds=passed)

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _copied(asked: Mapping[str, Any], standard: Sequence[int]) -> int:
    """Return the id of a new copy."""
    process = ctypes.CDLL(None)
    with _one_at_a_time:
        copier = _copier()
        # The child of a child that has ended becomes one of ours, which we can wait for.
        process.prctl(SUBREAPER, 1)
        try:
            socket.send_fds(copier, [json.dumps(asked).encode()], standard)
            told = copier.recv(32)
            assert told, "the process that is copied has ended: standard error says why"
            return int(told)
        finally:
            process.prctl(SUBREAPER, 0)
