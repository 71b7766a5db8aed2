"""The journal in which runs are written down, a file or a database, and finding a run in it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ..errors import ConfigurationError, JournalError
from ..journal import POSTGRES, Journal, RunRecord
from ..journal import open_journal as named_journal
from .console import say

VARIABLE = "CONTEMPLATE_JOURNAL"
NEWEST = 5


def open_journal(options: argparse.Namespace) -> Journal:
    """Return the journal that was named, or the user's own.

    Raises:
        ConfigurationError: its name is neither the path of a file nor the address of a database.
        JournalError: it cannot be opened.
    """
    name = _name_in(options)
    journal = named_journal(name) if name is not None and name.startswith(POSTGRES) else _file_at(name)
    # Opened only when it is read or written: an error is to come before anything is asked.
    journal.load("")
    return journal


def journal_or_none(options: argparse.Namespace) -> Journal | None:
    """Return the journal, or None where the run is not to be written down, or cannot be.

    Raises:
        JournalError: a journal that was named cannot be opened. A run can do without the user's own.
    """
    if options.no_journal:
        return None
    try:
        return open_journal(options)
    except JournalError as error:
        if _name_in(options):
            raise
        say(f"warning: this run is not written down: {error}")
        return None


def find_run(journal: Journal, name: str) -> RunRecord:
    """Return the run called `name`, or the only one whose id begins so; "last" is the newest.

    Raises:
        ConfigurationError: there is no such run, or there are several.
    """
    alike = journal.run_ids(name)
    if name == "last" and name not in alike:
        alike = journal.run_ids(limit=1)
    run = journal.load(name if name in alike else alike[0]) if name in alike or len(alike) == 1 else None
    if run is None:
        what = f"{len(alike)} runs begin with {name!r}" if alike else f"there is no run {name!r} in {journal.name}"
        newest = ", ".join(journal.run_ids(limit=NEWEST)) or "none"
        raise ConfigurationError(what, hint=f"the newest are: {newest}")
    return run


def _make_private(folder: Path) -> None:
    """Make `folder` and those around it that are missing, for their owner alone."""
    for each in reversed([folder, *folder.parents]):
        if not each.exists():
            each.mkdir(mode=0o700, exist_ok=True)


def _name_in(options: argparse.Namespace) -> str | None:
    return options.journal or os.environ.get(VARIABLE)


def _file_at(name: str | None) -> Journal:
    path = Path(_path_in(name) if name else _default_path())
    try:
        _make_private(path.parent)
    except OSError as error:
        raise JournalError(f"journal {path}: {error}", hint="choose another: --journal FILE") from error
    return Journal(path)


def full_name(name: str) -> str:
    """Return the name of a journal, as `Contemplator(journal=)` takes it, of one that may be the path of a file."""
    return name if name.startswith(POSTGRES) else f"sqlite:///{_path_in(name)}"


def _path_in(name: str) -> str:
    return name.removeprefix("sqlite:///")


def _default_path() -> Path:
    from platformdirs import user_data_path

    return user_data_path("contemplate") / "runs.db"
