"""A PostgreSQL server for tests, in a folder of its own, on a loopback port."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

PLACES = ("/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin")


@contextmanager
def server() -> Iterator[str]:
    """Start a server, and return the URL of a database of its own."""
    programs = folder_of_programs()
    with TemporaryDirectory(prefix="contemplate-pg-") as folder:
        as_user: Sequence[str] = ()
        if os.geteuid() == 0:
            # PostgreSQL refuses to be root.
            shutil.chown(folder, "postgres")
            as_user = ("runuser", "-u", "postgres", "--")
        data, port = f"{folder}/data", _free_port()

        def control(program: str, *arguments: str) -> None:
            command = [*as_user, str(programs / program), *arguments]
            subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)

        control("initdb", "--pgdata", data, "--auth", "trust", "--username", "tester", "--no-sync")
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
        control("pg_ctl", "--pgdata", data, "--options", options, "--log", f"{folder}/log", "--wait", "start")
        try:
            yield f"postgresql://tester:secret-word@127.0.0.1:{port}/postgres"
        finally:
            control("pg_ctl", "--pgdata", data, "--mode", "immediate", "--wait", "stop")


def folder_of_programs() -> Path:
    """Return where PostgreSQL's programs are; skip where there are none."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else [each for place in PLACES for each in Path("/").glob(place[1:])]
    if not folders:
        pytest.skip("PostgreSQL is not installed: nothing of clusters is tried")
    return folders[-1]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
