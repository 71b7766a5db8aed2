"""`contemplate models`: lists of local models and providers; fetching, checking and forgetting one."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..errors import ConfigurationError
from ..models.cache import cache_directory
from ..models.local.catalogue import KNOWN, LocalFile, find
from ..models.local.pull import PullProgress, pull
from ..models.openai.hosts import HOSTS, Host
from ..models.registry import default_name
from .console import say, write
from .exit_codes import ANSWERED

PERCENT_STEP = 10


def models(options: argparse.Namespace) -> int:
    """List the local models and the providers, fetch, check or forget a model, and return the exit code."""
    if options.action == "check":
        # It needs much that the list does not.
        from .check_model import check_model

        fetch_if_local(options.model, quiet=options.json)
        return check_model(options.model, seconds=options.seconds, as_json=options.json)
    if options.action == "forget":
        from ..models.openai.lesson_store import forget

        for place, number in forget(options.part).items():
            write(f"{place}: {number} forgotten\n")
        return ANSWERED
    if options.action == "pull":
        known = KNOWN.get(options.name.removeprefix("local:"))
        if known is None:
            raise ConfigurationError(f"there is no local model {options.name!r}", hint=f"known: {', '.join(KNOWN)}")
        if not known.present:
            _fetch(known)
        write(f"{known.name} is in {known.path}\n")
        return ANSWERED
    for each in KNOWN.values():
        state = "present" if each.present else "not fetched"
        write(f"local:{each.name:20} {_size(each):>8}  {each.licence:10}  {state:11}  {each.title}\n")
    write(f"\nkept in {cache_directory()}; fetch one with: contemplate models pull NAME\n\n")
    for host in HOSTS:
        write(f"{host.name + ':NAME':16} {host.title:32} {_account_of(host)}\n")
    write("\nany other OpenAI-compatible endpoint: http://host/v1#NAME\n")
    return ANSWERED


def _account_of(host: Host) -> str:
    """Return which environment variables hold the key and the address of a provider, and whether they are set."""
    names = [name for name in (host.key, host.url_variable) if name is not None]
    needed = [host.key if host.url is not None else host.url_variable]
    return ", ".join(f"{name} ({_state(name, needed=name in needed)})" for name in names)


def _state(variable: str, *, needed: bool) -> str:
    return "set" if os.environ.get(variable) else "not set" if needed else "optional"


def fetch_if_local(model: str | None, *, quiet: bool) -> None:
    """Fetch the model called `model` if it is a known local one and not there, saying what and how large it is."""
    provider, _, name = (model or default_name()).partition(":")
    if provider != "local":
        return
    file = find(name)
    if isinstance(file, LocalFile) and not file.present:
        if quiet:
            pull(file)
        else:
            _fetch(file)


def _fetch(file: LocalFile) -> None:
    say(f"Fetching {file.title} ({_size(file)}, {file.licence}) into {file.path.parent}")
    try:
        with _progress_display() as tell:
            pull(file, tell)
    except KeyboardInterrupt:
        say("what was fetched so far is kept; the next time goes on from there")
        raise


def _size(file: LocalFile) -> str:
    return f"{file.size / 1e9:.2f} GB"


@contextmanager
def _progress_display() -> Iterator[Callable[[PullProgress], None]]:
    try:
        import rich.progress as bars
    except ImportError:
        yield _ProgressLines()
        return
    if not sys.stderr.isatty():
        yield _ProgressLines()
        return
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(bar_width=20),
        bars.DownloadColumn(),
        bars.TransferSpeedColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("", total=None)
        notes: set[str] = set()

        def tell(state: PullProgress) -> None:
            if state.note and state.note not in notes:
                notes.add(state.note)
                say(state.note)
            progress.update(bar, description=f"from {state.source}", completed=state.done, total=state.total)

        yield tell


class _ProgressLines:
    """One line for each ten per cent."""

    def __init__(self) -> None:
        self._told = ("", -PERCENT_STEP)

    def __call__(self, state: PullProgress) -> None:
        """Print a line if ten per cent more are there, or the source is another one."""
        source, percent = self._told
        now = 100 * state.done // state.total
        if state.source != source or now >= percent + PERCENT_STEP:
            note = f" ({state.note})" if state.note and state.source != source else ""
            say(f"from {state.source}: {now}%{note}")
            self._told = (state.source, now - now % PERCENT_STEP)
