"""No test talks to anything beyond this machine: whoever tries is refused, and its test fails."""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

AUTHORITIES = "SSL_CERT_FILE"

_beyond = os.environ.get(AUTHORITIES)
_watching = False
_attempts: list[str] = []


def refuse() -> None:
    """From now on, refuse every connection beyond loopback, and every look-up of a name."""
    global _watching
    _attempts.clear()
    _watching = True


def refusals() -> list[str]:
    """Refuse nothing any more, and return what was refused."""
    global _watching
    _watching = False
    return _attempts


@contextmanager
def allowed() -> Iterator[None]:
    """Lift the refusal, for what a test needs fetched before it can run."""
    global _watching
    before, _watching = _watching, False
    try:
        with trusting(_beyond):
            yield
    finally:
        _watching = before


@contextmanager
def trusting(file: Path | str | None) -> Iterator[None]:
    """Trust the authorities in `file`, or those of the system: those take 50 ms to read, more than most tests do."""
    with patch.dict(os.environ, {} if file is None else {AUTHORITIES: str(file)}):
        if file is None:
            os.environ.pop(AUTHORITIES, None)
        yield


def _is_here(host: object) -> bool:
    if host in (None, "", b"", "localhost", b"localhost"):
        return True
    try:
        return ipaddress.ip_address(host.decode() if isinstance(host, bytes) else str(host)).is_loopback
    except ValueError:
        return False


def _watch(event: str, args: tuple[object, ...]) -> None:
    if not _watching or event not in ("socket.connect", "socket.getaddrinfo"):
        return
    where = args[1] if event == "socket.connect" else args[0]
    host = where[0] if isinstance(where, tuple) else where if event == "socket.getaddrinfo" else None
    if not _is_here(host):
        _attempts.append(f"{event} {where}")
        raise ConnectionRefusedError(f"no test reaches beyond this machine: {where}")


# An audit hook cannot be removed, so it is installed once and looks at a switch.
sys.addaudithook(_watch)
