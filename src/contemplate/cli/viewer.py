"""`contemplate view`: runs in a browser, or one run as a page of one file."""

from __future__ import annotations

import argparse
import tempfile
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import anyio

from ..contemplator import Contemplator
from ..decisions import Decision
from ..errors import ConfigurationError
from ..events import Event, RunStarted
from ..journal import Journal, RunRecord
from ..limits import Limits
from ..run.listeners import Listener
from .approvals import check_tools, tools_in
from .console import say, write
from .exit_codes import ANSWERED
from .journal_file import find_run, open_journal
from .rerun import mode_of
from .run_options import limits_in, model_named, prompts_in

if TYPE_CHECKING:
    from ..server.viewer.live_runs import LiveRuns
    from ..server.viewer.shown_runs import Resume, ShownRuns


def view(options: argparse.Namespace) -> int:
    """Show runs in a browser until interrupted, or export one, and return the exit code."""
    if options.run is not None and urlsplit(options.run).scheme in ("http", "https"):
        return _open(options)
    # First, so that a missing extra is told of before anything is read.
    from ..server import serve_viewer
    from ..server.viewer.live_runs import LiveRuns
    from ..server.viewer.shown_runs import ShownRuns

    live = LiveRuns()
    path = None if options.run is None else Path(options.run)
    if path is not None and path.is_file():
        run_id: str | None = _read(path, live)
        shown = ShownRuns((), live)
    else:
        journal = open_journal(options)
        run_id = None if options.run is None else find_run(journal, options.run).run_id
        shown = ShownRuns((journal,), live, _resume(options, journal))
    if options.export is not None:
        return _export(options, shown, run_id)
    place = "" if run_id is None else f"/runs/{quote(run_id, safe='')}"
    with _opener(options) as tell:
        serve_viewer(shown, options.port, place, tell)
    return ANSWERED


def _open(options: argparse.Namespace) -> int:
    """Open the viewer of a running server."""
    address = options.run if urlsplit(options.run).path else f"{options.run}/"
    if options.export is not None:
        raise ConfigurationError("a run of a server is exported by its page", hint=address)
    write(f"{address}\n")
    if options.browser:
        webbrowser.open(address)
    return ANSWERED


def _read(path: Path, live: LiveRuns) -> str:
    """Read a file of events, or a page that was exported, and return the id of its run.

    Raises:
        ConfigurationError: it is neither.
    """
    from ..server.viewer.event_lines import read_events
    from ..server.viewer.page import run_in

    text = path.read_text(encoding="utf-8")
    found = run_in(text)
    events: list[Event] = list(read_events(text.splitlines() if found is None else found.splitlines()))
    if not events:
        raise ConfigurationError(f"{path} has no events", hint="contemplate ask --events ... > FILE")
    started = next((each for each in events if isinstance(each, RunStarted) and not each.path), None)
    run_id = (started and started.run_id) or path.stem
    live.begin(run_id, "", None, events).close()
    return run_id


def _export(options: argparse.Namespace, shown: ShownRuns, run_id: str | None) -> int:
    from ..server.viewer.page import page_with

    if run_id is None:
        raise ConfigurationError("--export needs a run", hint="contemplate view RUN --export FILE.html")
    path = Path(options.export)
    found = anyio.run(shown.whole, run_id, None)
    assert found is not None  # noqa: S101
    question, lines = found
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(page_with(lines, question))
    except FileExistsError:
        raise ConfigurationError(f"{path} is there already", hint="choose another name") from None
    say(f"written: {path}")
    return ANSWERED


def _resume(options: argparse.Namespace, journal: Journal) -> Resume:
    async def resume(
        run: RunRecord | None, run_id: str, decisions: Mapping[str, Decision], listener: Listener, _: object
    ) -> object:
        assert run is not None  # noqa: S101
        mode = mode_of(run, "mind.resume")
        tools = tools_in(options)
        check_tools(run.labels, run_id, tools)
        limits = Limits.model_validate(run.labels.get("limits", {}))
        mind = Contemplator(
            model_named(options.model or str(run.labels.get("model"))),
            mode=mode,
            prompts=prompts_in(options, run.labels),
            limits=limits.model_copy(update=limits_in(options).model_dump(exclude_none=True)),
            tools=tools,
            journal=journal,
            on_event=listener,
        )
        return await mind.resume(run_id, decisions)

    return resume


@contextmanager
def _opener(options: argparse.Namespace) -> Iterator[Callable[[str], None]]:
    """Lend what tells the address, and opens a browser there.

    The browser is given a file that leads there, and not the address: others see how it was started.
    """
    with tempfile.TemporaryDirectory(prefix="contemplate-") as folder:

        def tell(address: str) -> None:
            write(f"Showing runs at {address}\nCtrl-C stops it.\n")
            if options.browser:
                page = Path(folder) / "view.html"
                page.touch(mode=0o600)
                page.write_text(f'<meta http-equiv="refresh" content="0;url={escape(address)}">', encoding="utf-8")
                webbrowser.open(page.as_uri())

        yield tell
