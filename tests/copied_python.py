"""A Python process that has imported the library, and makes copies of itself; what it does for processes.py.

It is told of each copy by its socket: JSON, and what is to be the copy's standard input, output and error. Its children
end at once, and leave theirs to whoever has asked, as those of a subreaper (Linux, prctl(2)).
"""

from __future__ import annotations

import fcntl
import gc
import io
import json
import os
import runpy
import socket
import sys
import termios
import threading
import types
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

# All that one question on the command line loads, of which the rest is made.
IMPORTED = (
    *("aiohttp", "anyio._backends._asyncio", "contemplate.agents.agent", "contemplate.budget", "contemplate.cli.ask"),
    *("contemplate.cli.commands", "contemplate.cli.json_view", "contemplate.cli.live_view", "contemplate.cli.rerun"),
    *(
        "contemplate.cli.runs",
        "contemplate.cli.signals",
        "contemplate.contemplator",
        "contemplate.journal.sqlite.database",
    ),
    *("contemplate.models.openai.model", "contemplate.run.journaled_runs", "contemplate.testing", "filelock"),
    *("httpx2", "rich.live", "structlog"),
)
SERVER = ("contemplate.server", "contemplate.server.app", "uvicorn")
WORKER = ("contemplate.cluster.worker", "sqlalchemy.dialects.postgresql.psycopg")


def copy_on_request(control: socket.socket) -> Callable[[], object]:
    """Make copies for as long as somebody may ask; return only in a copy, with what it is to run."""
    done: set[str] = set()
    while True:
        try:
            message, standard, *_ = socket.recv_fds(control, 1 << 20, 3)
        except KeyboardInterrupt:
            message = b""
        if not message:
            sys.exit()
        asked = json.loads(message)
        for name in {*IMPORTED, *(SERVER if asked["serves"] else ()), *(WORKER if asked["works"] else ())} - done:
            # What an import warns of is an error, as in all tests.
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                import_module(name)
            done.add(name)
        assert threading.active_count() == 1, threading.enumerate()
        gc.collect()
        gc.freeze()
        told, tell = os.pipe()
        between = os.fork()
        if not between:
            own = os.getpid()
            child = os.fork()
            if child:
                os.write(tell, str(child).encode())
                os._exit(0)
            # Whose child it is, it may be asked at once.
            while os.getppid() == own:
                os.sched_yield()
            for end in (told, tell):
                os.close(end)
            control.close()
            return _as_asked(asked, standard)
        os.close(tell)
        os.waitpid(between, 0)
        control.send(os.read(told, 32))
        for end in (told, *standard):
            os.close(end)


def _as_asked(asked: dict[str, Any], standard: Sequence[int]) -> Callable[[], object]:
    """Make this process what a fresh one would be that was started so; return what it is to run."""
    for number, given in enumerate(standard):
        os.dup2(given, number)
        os.close(given)
    if asked["terminal"]:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = _stream(number, name)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    if asked["errors"]:
        warnings.simplefilter("error")
    way, what = asked["way"], asked["what"]
    sys.argv = ["-c" if way == "-c" else "", *asked["arguments"]]
    sys.path[0] = "" if way == "-c" else asked["folder"]
    if way == "-m":
        return lambda: runpy.run_module(what, run_name="__main__", alter_sys=True)
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    return lambda: exec(compile(what, "<string>", "exec"), vars(main))


def _stream(number: int, name: str) -> io.TextIOWrapper:
    """Open a standard stream as Python does; what it is, such as a terminal or a pipe, it is asked but once."""
    raw = io.FileIO(number, "w" if number else "r", closefd=False)
    raw.name = f"<{name}>"
    buffered = not os.environ.get("PYTHONUNBUFFERED")
    file: Any = io.BufferedReader(raw) if number == 0 else io.BufferedWriter(raw) if buffered else raw
    usual = getattr(sys, name)
    line_buffering = buffered and (number == 2 or raw.isatty())
    return io.TextIOWrapper(
        file, usual.encoding, usual.errors, "\n", line_buffering=line_buffering, write_through=not buffered
    )


if __name__ == "__main__":
    # Kept, as its names are in use while another one takes its place.
    mine = sys.modules["__main__"]
    copy_on_request(socket.socket(fileno=int(sys.argv[1])))()
