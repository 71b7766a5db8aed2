"""`contemplate runs` and `show`: the list of runs that were written down, and one of them as a tree."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from pydantic import JsonValue
from pydantic_core import to_json

from ..errors import ConfigurationError
from ..journal import Entry, Journal, RunRecord, killed, prune
from ..journal.following import KILLED
from ..redaction import redact
from ..result import RunResult
from ..views.printable import printable
from ..views.summary import summary_line
from .call_tree import INDENT, call_tree, indented
from .cluster.worker import journal_named
from .console import say, write
from .exit_codes import ANSWERED
from .journal_file import find_run, open_journal
from .timeline import fitted, timeline, width, wrapped

# Where there are fewer columns for a question, it stands in a line of its own.
QUESTION_WIDTH = 24


def runs(options: argparse.Namespace) -> int:
    """List the runs, or delete old ones, and return the exit code."""
    if options.action == "prune":
        return _prune(options)
    journal = open_journal(options)
    listed = journal.runs(options.limit)
    if options.json:
        _print_json([run.model_dump(mode="json") for run in listed])
        return ANSWERED
    dead = killed(journal, listed)
    for run in listed:
        status = KILLED if run.run_id in dead else run.status
        head = f"{run.run_id:12}  {_when(run)}  {status:11}  "
        if width() - len(head) < QUESTION_WIDTH:
            head = f"{run.run_id:12}  {status}\n  {_when(run)}  "
        question = fitted(run.question, width() - len(head.rpartition("\n")[2]))
        write(printable(head + question).rstrip() + "\n")
    if not listed:
        say("no run was written down yet")
    return ANSWERED


def _prune(options: argparse.Namespace) -> int:
    journal = open_journal(options)
    count = prune(journal, options.older_than, dry_run=options.dry_run)
    if journal.remote and not options.dry_run:
        from ..cluster import prune_queues

        prune_queues(journal_named(options), options.older_than)
    runs = "1 run" if count == 1 else f"{count:,} runs"
    say(f"{runs} would be deleted" if options.dry_run else f"{runs} deleted")
    return ANSWERED


def show(options: argparse.Namespace) -> int:
    """Show a run, and return the exit code."""
    journal = open_journal(options)
    run = find_run(journal, options.run)
    if options.program:
        return _show_program(run)
    entries = [entry for entry in journal.entries(run.run_id) if entry.role != "conclusion"]
    if options.json:
        _print_json(_document(journal, run, entries, options.requests))
        return ANSWERED
    requests = journal if options.requests else None
    results = {} if run.result is None else {result.id: result for result in run.result.tasks}
    bars = timeline(entries, results, width() - len(INDENT))
    status = KILLED if killed(journal, [run]) else run.status
    lines = [*_head(run, status), *call_tree(entries, results, requests), *_section("timeline", bars), *_end(run)]
    write("\n".join(_shown(printable("\n".join(lines)).split("\n"))) + "\n")
    return ANSWERED


def _shown(lines: Sequence[str]) -> Iterator[str]:
    """Yield lines as a terminal shows them best; elsewhere they are whole."""
    for line in lines:
        yield from wrapped(line, width()) if sys.stdout.isatty() else (line,)


def _show_program(run: RunRecord) -> int:
    code = None if run.result is None else run.result.program
    if code is None:
        raise ConfigurationError(
            f"run {run.run_id!r} has no program, or it is not over", hint="ask with --mode program"
        )
    write(code.rstrip() + "\n")
    return ANSWERED


def _section(head: str, lines: Iterator[str]) -> Iterator[str]:
    first = next(lines, None)
    if first is not None:
        yield from (head, f"{INDENT}{first}", *(f"{INDENT}{line}" for line in lines))


def _document(journal: Journal, run: RunRecord, entries: Sequence[Entry], requests: bool) -> JsonValue:
    calls: list[JsonValue] = []
    for entry in entries:
        call = entry.model_dump(mode="json")
        if requests:
            call["request"] = list(journal.parts(entry.parts))
        calls.append(call)
    return {**run.model_dump(mode="json"), "calls": calls}


def _head(run: RunRecord, status: str) -> Iterator[str]:
    yield f"run {run.run_id} · {_when(run)} · {status} · {run.model}"
    if run.parent is not None:
        yield f"aggregates again what run {run.parent} answered"
    # What is known of the run itself stands together, so that question, tasks and answer can be read in one go.
    parts = {name: text for name, text in run.configuration.items() if name != "model"}
    if parts:
        yield f"{INDENT}configuration {run.configuration_digest[:8]}"
        yield from (f"{INDENT * 2}{name}: {text}" for name, text in parts.items())
    yield from indented(run.question, "")


def _end(run: RunRecord) -> Iterator[str]:
    # That it was interrupted stands above; what the event loop once said of it helps nobody.
    if run.error is not None and run.status != "interrupted":
        yield redact(f"error: {run.error.message}")
    result: RunResult[Any] | None = run.result
    if result is not None:
        if result.text:
            yield "answer"
            yield from indented(result.text, INDENT)
        yield from (f"waits for {call}" for call in result.pending)
        yield from (f"note: {note}" for note in result.notes)
        yield summary_line(result)


def _when(run: RunRecord) -> str:
    return datetime.fromtimestamp(run.created).astimezone().strftime("%Y-%m-%d %H:%M")


def _print_json(value: object) -> None:
    write(to_json(value, indent=2).decode() + "\n")
