"""One client and one feature: run against a server, and judged."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .catalog import SCRIPTS, Client
from .environments import Environment
from .features import REPOSITORY, Feature
from .scripts.given import IMAGE
from .server_process import KEY, Served

PATIENCE = 240.0
AFTERMATH = 10.0
WORDS = 300

Verdict = Literal["passes", "fails", "does not apply"]


@dataclass(frozen=True, slots=True)
class Cell:
    """What became of one client and one feature. `why` says what is wrong; `folder` has what was said."""

    client: str
    feature: str
    verdict: Verdict
    why: tuple[str, ...] = ()
    folder: Path | None = None


def applies(client: Client, feature: Feature) -> bool:
    """Return whether the client's script has a function for the feature."""
    pattern = rf"^(export )?(async )?(def|function) {feature.function}\("
    return re.search(pattern, client.script.read_text("utf-8"), re.MULTILINE) is not None


def run(client: Client, feature: Feature, environment: Environment, server: Served) -> Cell:
    """Run the client's script against a server, and judge what came of it."""
    if not applies(client, feature):
        return Cell(client.name, feature.name, "does not apply")
    folder = Path(tempfile.mkdtemp(prefix=f"{feature.name}-", dir=server.log.parent))
    before = len(server.lines())
    had = _had(client, feature, environment, folder, server)
    if feature.name == "cancel":
        _until_cancelled(server)
    log = server.lines()[before:]
    (folder / "transcript.txt").write_text("\n".join(transcript(log)), "utf-8")
    wrong = [str(had["failed"])] if "failed" in had else feature.check(had, log)
    return Cell(client.name, feature.name, "fails" if wrong else "passes", tuple(wrong), folder)


def transcript(lines: list[dict[str, Any]]) -> Iterator[str]:
    """Yield, in few words, what the server was asked, and what its models said."""
    for line in lines:
        match line:
            case {"request": request, "status": status}:
                yield f"{request} -> {status}"
            case {"call": role, "asked": asked}:
                yield f"  {role} is asked: {asked[-WORDS:]}"
            case {"reply": reply, "of": role}:
                yield f"  {role} says: {reply[:WORDS]}"
            case {"waiting": True} | {"cancelled": True}:
                yield f"  {', '.join(line)}"


def _had(client: Client, feature: Feature, environment: Environment, folder: Path, server: Served) -> dict[str, Any]:
    for file in (client.script, *SCRIPTS.glob("given.*"), *SCRIPTS.glob("run.*")):
        shutil.copy(file, folder)
    here = folder / "here"
    here.mkdir()
    (here / "image.png").write_bytes(IMAGE)
    for name, text in REPOSITORY.items():
        (here / name).write_text(text, "utf-8")
    is_python = client.script.suffix == ".py"
    interpreter = (
        (environment.program("python") if client.pip else sys.executable) if is_python else environment.program("node")
    )
    runner = folder / ("run.py" if is_python else "run.mjs")
    command = [interpreter, str(runner), str(folder / client.file), feature.function]
    variables = environment.variables() | {
        "SUITE_URL": server.url,
        "SUITE_KEY": KEY,
        "SUITE_QUESTION": feature.question,
        "SUITE_LOG": str(server.log),
        "HOME": str(folder),
        "PWD": str(here),
    }
    with (folder / "said.txt").open("w", encoding="utf-8") as said:
        process = subprocess.Popen(
            command, cwd=here, env=variables, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
        )
        try:
            code = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return {"failed": f"it took more than {PATIENCE:.0f} s"}
        finally:
            _end(process)
    outcome = here / "outcome.json"
    if code or not outcome.exists():
        return {"failed": f"exit code {code}: " + (folder / "said.txt").read_text("utf-8")[-600:]}
    read: dict[str, Any] = json.loads(outcome.read_text("utf-8"))
    return read


def _until_cancelled(server: Served) -> None:
    end = time.monotonic() + AFTERMATH
    while time.monotonic() < end and not any("cancelled" in each for each in server.lines()):
        time.sleep(0.05)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()
