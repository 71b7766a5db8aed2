"""What a script is given: where the server is and the key for it, what to ask and to show. Only the standard library is here."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import time
import zlib
from pathlib import Path

URL = os.environ.get("SUITE_URL", "")
KEY = os.environ.get("SUITE_KEY", "none")
QUESTION = os.environ.get("SUITE_QUESTION", "")
MODEL = "contemplate"
WEATHER = {"Paris": "17.3 degrees and rain", "Oslo": "4.1 degrees and snow"}


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


# A blue square of 16 by 16.
IMAGE = (
    b"\x89PNG\r\n\x1a\n"
    + _chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0))
    + _chunk(b"IDAT", zlib.compress((b"\0" + b"\x20\x40\xc0" * 16) * 16))
    + _chunk(b"IEND", b"")
)


def until_waiting(seconds: float = 60) -> None:
    """Return when the server has begun an answer that it will not end."""
    log = Path(os.environ["SUITE_LOG"])
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if any("waiting" in json.loads(line) for line in log.read_text("utf-8").splitlines()):
            return
        time.sleep(0.1)
    raise TimeoutError("the run did not begin to wait")


def program(*command: str, seconds: float = 90, **variables: str) -> tuple[int, str, str]:
    """Run a program in the current folder, and return its exit code, output and errors."""
    done = subprocess.run(
        command, env=os.environ | variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds
    )
    return done.returncode, done.stdout, done.stderr


def interrupted(*command: str, seconds: float = 30, **variables: str) -> None:
    """Start a program, interrupt it when the server waits, and return when it is gone."""
    started = subprocess.Popen(
        command,
        env=os.environ | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until_waiting()
        started.send_signal(2)
        started.wait(seconds)
    finally:
        started.kill()


def files() -> dict[str, str]:
    """Return the texts of the files in the current folder."""
    return {each.name: each.read_text("utf-8") for each in Path().iterdir() if each.suffix == ".py"}
