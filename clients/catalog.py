"""The clients of `catalog.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

HERE = Path(__file__).parent
SCRIPTS = HERE / "scripts"


@dataclass(frozen=True, slots=True)
class Client:
    """A client in a version.

    Args:
        name: on the command line.
        title: in the table.
        api: what it speaks in its defaults.
        pip: packages of PyPI, pinned.
        npm: packages of npm, pinned.
        file: its script.
    """

    name: str
    title: str
    api: str
    file: str
    pip: tuple[str, ...] = ()
    npm: tuple[str, ...] = ()

    @property
    def script(self) -> Path:
        """Return where its script is."""
        return SCRIPTS / self.file

    @property
    def version(self) -> str:
        """Return the version of its main package."""
        return self.pip[0].rpartition("==")[2] if self.pip else self.npm[0].rpartition("@")[2]


@cache
def clients() -> dict[str, Client]:
    """Return all clients by their names, in the order of the table."""
    rows = TypeAdapter(dict[str, Client])
    return rows.validate_python({name: {"name": name, **row} for name, row in _read()["clients"].items()})


def node_packages() -> tuple[str, ...]:
    """Return the packages of PyPI that bring Node."""
    return tuple(_read()["node"]["pip"])


def _read() -> dict[str, Any]:
    return tomllib.loads((HERE / "catalog.toml").read_text("utf-8"))
