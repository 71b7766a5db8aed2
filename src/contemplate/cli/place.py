"""Where runs are written down."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ..errors import ConfigurationError, JournalError
from ..journal import Journal, RunRecord
from .exits import say

VARIABLE = "CONTEMPLATE_JOURNAL"
NEWEST = 5


def journal_of(options: argparse.Namespace) -> Journal:
    """The journal that was named, or the user's own.

    Raises:
        JournalError: it cannot be opened.
    """
    path = Path(_named(options) or _default())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise JournalError(f"journal {path}: {error}", hint="choose another: --journal FILE") from error
    journal = Journal(path)
    # Opened only when it is read or written: an error is to come before anything is asked.
    journal.load("")
    return journal


def journal_if_any(options: argparse.Namespace) -> Journal | None:
    """The same, for a run that can do without: only a journal that was named must be there."""
    if options.no_journal:
        return None
    try:
        return journal_of(options)
    except JournalError as error:
        if _named(options):
            raise
        say(f"warning: this run is not written down: {error}")
        return None


def found(journal: Journal, name: str) -> RunRecord:
    """The run called `name`, or whose id alone begins so; "last" is the newest.

    Raises:
        ConfigurationError: there is no such run, or there are several.
    """
    known = [run.run_id for run in journal.runs()]
    alike = [run_id for run_id in known if run_id.startswith(name)]
    if name == "last":
        alike = known[:1]
    chosen = name if name in known else alike[0] if len(alike) == 1 else None
    if chosen is None:
        what = f"{len(alike)} runs begin with {name!r}" if alike else f"there is no run {name!r} in {journal.path}"
        raise ConfigurationError(what, hint=f"the newest are: {', '.join(known[:NEWEST]) or 'none'}")
    run = journal.load(chosen)
    assert run is not None  # noqa: S101
    return run


def _named(options: argparse.Namespace) -> str | None:
    named: str | None = options.journal or os.environ.get(VARIABLE)
    return named


def _default() -> Path:
    from platformdirs import user_data_path

    return user_data_path("contemplate") / "runs.db"
