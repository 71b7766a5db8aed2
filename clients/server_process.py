"""The server under test, as its clients' side sees it: where it is, and what happened there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
LAST_WORDS = 10.0
# The server wants it of every client.
KEY = "sk-suite-0123456789"


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs: its address, and the file that it tells what happens."""

    url: str
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        """Return what happened so far, oldest first."""
        return _lines(self.log)


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    """Run a server, whose files are in a new folder within `folder`.

    Raises:
        RuntimeError: it did not start.
    """
    folder.mkdir(exist_ok=True)
    log = Path(tempfile.mkdtemp(prefix=time.strftime("%Y%m%d-%H%M%S-"), dir=folder)) / "log.jsonl"
    log.touch()
    said = log.parent / "server.txt"
    variables = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    command = [sys.executable, "-m", "clients.serve", str(log)]
    with said.open("w", encoding="utf-8") as file:
        server = subprocess.Popen(command, env=variables, stdout=file, stderr=file, cwd=ROOT)
        try:
            while not (lines := _lines(log)):
                if server.poll() is not None:
                    raise RuntimeError(f"the server did not start: {said.read_text('utf-8')[-1000:]}")
                time.sleep(0.05)
            yield Served(lines[0]["url"], log)
        finally:
            server.terminate()
            server.wait(LAST_WORDS)


def _lines(log: Path) -> list[dict[str, Any]]:
    # A line that is still being written has no end yet.
    return [json.loads(line) for line in log.read_text("utf-8").split("\n")[:-1]]
