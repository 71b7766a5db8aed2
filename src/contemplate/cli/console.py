"""Standard output and standard error: what is written there, how, and what if nobody reads it any more."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from typing import Any

from ..views.printable import printable


def say(line: str) -> None:
    """Write a line to standard error, if that can be written: what is told there must not cost the answer."""
    # A file that was closed raises a ValueError.
    with suppress(OSError, ValueError):
        sys.stderr.write(printable(line) + "\n")
        sys.stderr.flush()


def write(text: str) -> None:
    """Write `text` to standard output, as it is, at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def write_readable(text: str) -> None:
    """Write `text` to standard output: a file gets every character, a terminal only the printable ones."""
    write(printable(text) if sys.stdout.isatty() else text)


def use_utf_8() -> None:
    """Read and write UTF-8, whatever the locale says; what nobody has opened is written to nowhere."""
    # Else the next file that is opened would get its number, and all that is written there.
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")


def log_to_standard_error(level: str) -> None:
    """Log there what the package has to say at `level` or above, with the fields of each message."""
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(message)s %(fields)s", level="WARNING")
    for handler in logging.getLogger().handlers:
        handler.addFilter(_add_fields)
    logging.getLogger("contemplate").setLevel(level.upper())


def discard_output() -> None:
    """Discard what cannot be written: whoever read it has gone, say, and Python would complain once more at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _add_fields(record: Any) -> bool:
    # structlog puts them beside the message.
    usual = vars(logging.makeLogRecord({}))
    fields = {name: value for name, value in vars(record).items() if name not in usual and value is not None}
    record.fields = " ".join(f"{name}={value}" for name, value in fields.items())
    return True
