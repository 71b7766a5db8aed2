"""`contemplate worker`: a worker, until a signal ends it."""

from __future__ import annotations

import argparse
import os
import sys

from ...errors import ConfigurationError
from ..console import say
from ..exit_codes import ANSWERED
from ..journal_file import VARIABLE


def worker(options: argparse.Namespace) -> int:
    """Carry out runs until a signal ends that, and return the exit code."""
    from ...cluster import work

    # As `python -m` does: what a user names is beside him.
    sys.path.insert(0, os.getcwd())
    work(
        options.minds,
        journal=journal_named(options),
        concurrency=options.concurrency,
        drain_seconds=options.drain_seconds,
        metrics=options.metrics,
        announce=say,
    )
    return ANSWERED


def journal_named(options: argparse.Namespace) -> str:
    """Return the name of the journal that workers and clients share.

    Raises:
        ConfigurationError: none was named.
    """
    name: str | None = options.journal or os.environ.get(VARIABLE)
    if not name:
        raise ConfigurationError("there is no journal", hint="--journal postgresql://host/database")
    return name
