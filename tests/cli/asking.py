"""What the tests of the command line share: a server to ask, and processes to ask it from."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from typing import Any
from unittest.mock import patch

from contemplate.cli import main
from contemplate.testing import FaultyServer
from contemplate.testing.faulty import Exchange, Reply

from ..patience import PATIENCE
from ..processes import Process

MERGED = "The merged answer."
NO_GATES: Mapping[str, threading.Event] = {}
NOWHERE = ["--model", "http://127.0.0.1:9/v1#m"]


def plan(*titles: str) -> str:
    return json.dumps({"tasks": [{"title": title, "prompt": f"Do {title}.", "needs": []} for title in titles]})


def merges(exchange: Exchange) -> bool:
    return "Now answer the whole question" in exchange.prompt


def contemplating(exchange: Exchange) -> Reply | str:
    """The script of a server that plans two tasks, answers them, and merges the answers."""
    if exchange.schema == "plan":
        return plan("One", "Two")
    return MERGED if merges(exchange) else f"Result: {exchange.prompt[-4:]}"


def model(server: FaultyServer) -> list[str]:
    return ["--model", f"{server.url}#m"]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "contemplate", *arguments]


def process(arguments: Sequence[str], **environment: str) -> subprocess.Popen[str]:
    return Process[str](arguments, **_options(environment))


def run(arguments: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return _ended(process(arguments, **environment))


def run_fresh(arguments: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a process that imports what it needs by itself."""
    return _ended(subprocess.Popen(arguments, **_options(environment)))


def _options(environment: Mapping[str, str]) -> dict[str, Any]:
    pipe, variables = subprocess.PIPE, {**os.environ, **environment}
    return {"stdin": subprocess.DEVNULL, "stdout": pipe, "stderr": pipe, "encoding": "utf-8", "env": variables}


def _ended(running: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    with running:
        out, err = running.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(running.args, running.returncode, out, err)


def here(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in this process, for where none of its own is needed: starting one takes longer than all else."""
    out, err = io.StringIO(), io.StringIO()
    with patch.dict(os.environ, environment), redirect_stdout(out), redirect_stderr(err):
        try:
            code = main(arguments)
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else 1
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def on_terminal_here(
    *arguments: str,
    columns: int = 80,
    lines: int = 24,
    typed: str = "",
    gates: Mapping[str, threading.Event] = NO_GATES,
    **environment: str,
) -> tuple[int, str]:
    """Run the command in this process, on a terminal of its own; its exit code, and all that it wrote there.

    Each of `gates` is opened when its text is seen there.
    """
    leader, follower = pty.openpty()
    os.write(leader, typed.encode())
    shown = bytearray()
    reader = threading.Thread(target=_read_all, args=(leader, shown, gates))
    reader.start()
    give_up = threading.Timer(PATIENCE, _open_all, [gates.values()])
    give_up.start()
    with (
        patch.dict(os.environ, _terminal(columns, lines) | environment),
        open(follower, encoding="utf-8", closefd=False) as keyboard,
        open(follower, "w", encoding="utf-8") as screen,
        patch.multiple(sys, stdin=keyboard, stdout=screen, stderr=screen),
    ):
        code = main(arguments)
    give_up.cancel()
    reader.join()
    os.close(leader)
    return code, shown.decode().replace("\r\n", "\n")


def on_terminal(
    arguments: Sequence[str],
    *,
    columns: int = 80,
    lines: int = 24,
    meanwhile: Callable[[subprocess.Popen[bytes]], None] = lambda _: None,
    typed: str = "",
    fresh: bool = False,
    **environment: str,
) -> tuple[int, str]:
    """Run a command on a terminal; its exit code, and all that it wrote there, escape sequences included."""
    leader, follower = pty.openpty()
    variables = {**os.environ, **_terminal(columns, lines), **environment}
    start = subprocess.Popen[bytes] if fresh else Process[bytes]
    with start(arguments, stdin=follower, stdout=follower, stderr=follower, env=variables) as running:
        os.close(follower)
        # What is typed before it is asked for waits.
        os.write(leader, typed.encode())
        meanwhile(running)
        shown = bytearray()
        _read_all(leader, shown)
    os.close(leader)
    return running.returncode, shown.decode().replace("\r\n", "\n")


def _terminal(columns: int, lines: int) -> dict[str, str]:
    return {"TERM": "xterm", "COLUMNS": str(columns), "LINES": str(lines)}


def _open_all(gates: Iterable[threading.Event]) -> None:
    for gate in gates:
        gate.set()


def _read_all(leader: int, shown: bytearray, gates: Mapping[str, threading.Event] = NO_GATES) -> None:
    """Read until nobody has the terminal open any more."""
    with suppress(OSError):
        while data := os.read(leader, 65536):
            shown += data
            for text, gate in gates.items():
                if text.encode() in shown:
                    gate.set()
