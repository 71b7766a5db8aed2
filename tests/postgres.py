"""A PostgreSQL server for tests, started once for all of a process: on this machine, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

# Where packages put what is on nobody's PATH.
PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin")
# The server refuses to be root's.
USER = "postgres"
SETTINGS = {"listen_addresses": "127.0.0.1", "shared_buffers": "16MB", "max_connections": "120", "autovacuum": "off"}


def binaries() -> Path | None:
    """The folder of the server's programs; None if it is not installed."""
    on_path = shutil.which("pg_ctl")
    if on_path is not None:
        return Path(on_path).resolve().parent
    found = [each for place in PLACES for each in Path("/").glob(place.removeprefix("/")) if (each / "pg_ctl").exists()]
    return max(found, key=lambda each: [int(part) for part in str(each).split("/") if part.isdigit()], default=None)


class PostgresServer:
    """A server with a database, whose schemas are the tests'."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._folder = Path(tempfile.mkdtemp(prefix="contemplate-pg-"))
        self._user = USER if hasattr(os, "geteuid") and os.geteuid() == 0 else None
        if self._user is not None:
            shutil.chown(self._folder, self._user)
        self._data = self._folder / "data"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        try:
            self._run("initdb", "--no-sync", "--auth=trust", f"--username={USER}", "--encoding=UTF8", "--locale=C")
            self.start()
        except BaseException:
            self.close()
            raise

    def address(self, *, schema: str | None = None, port: int | None = None, heartbeat: float | None = None) -> str:
        """The name of a journal in a schema of its own."""
        schema = schema or f"t{uuid4().hex[:12]}"
        beat = "" if heartbeat is None else f"&heartbeat={heartbeat}"
        return f"postgresql://{USER}@127.0.0.1:{port or self.port}/postgres?schema={schema}{beat}"

    def start(self) -> None:
        """Start it."""
        options = " ".join(
            [f"-p {self.port} -k {self._folder}", *(f"-c {name}={is_}" for name, is_ in SETTINGS.items())]
        )
        self._run("pg_ctl", "-w", "-o", options, "-l", str(self._folder / "log"), "start")

    def stop(self, how: str = "immediate") -> None:
        """Stop it, "immediate" as if it had crashed."""
        self._run("pg_ctl", "-w", "-m", how, "stop")

    def restart(self) -> None:
        """Let it crash, and start it again."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop it, and forget what it had."""
        with suppress(subprocess.CalledProcessError):
            self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), "-D", str(self._data), *arguments]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        subprocess.run(
            command,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self._user,
            cwd="/",
            env=kept,
        )
