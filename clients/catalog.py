"""The clients of `catalog.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

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
    return {name: Client(name=name, **_fields(each)) for name, each in _read()["clients"].items()}


def node_packages() -> tuple[str, ...]:
    """Return the packages of PyPI that bring Node."""
    return tuple(_read()["node"]["pip"])


def _read() -> dict[str, dict[str, dict[str, list[str]]]]:
    return tomllib.loads((HERE / "catalog.toml").read_text("utf-8"))


def _fields(row: dict[str, list[str]]) -> dict[str, object]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
