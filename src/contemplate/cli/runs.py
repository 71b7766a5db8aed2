"""`contemplate runs` and `show`: the list of runs that were written down, and one of them as a tree."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from pydantic import JsonValue
from pydantic_core import to_json

from ..journal import Entry, Journal, RunRecord
from ..journal.entries import message_of
from ..result import RunResult, TaskResult
from ..views.printable import printable
from ..views.summary import failure_reason, summary_line, usage_text
from .console import say, write
from .exit_codes import ANSWERED
from .journal_file import find_run, open_journal

QUESTION_WIDTH = 60
INDENT = "    "


def runs(options: argparse.Namespace) -> int:
    """List the runs, and return the exit code."""
    listed = open_journal(options).runs(options.limit)
    if options.json:
        _print_json([run.model_dump(mode="json") for run in listed])
        return ANSWERED
    for run in listed:
        question = " ".join(run.question.split())
        if len(question) > QUESTION_WIDTH:
            question = question[: QUESTION_WIDTH - 3] + "..."
        write(printable(f"{run.run_id:12}  {_when(run)}  {run.status:11}  {question}") + "\n")
    if not listed:
        say("no run was written down yet")
    return ANSWERED


def show(options: argparse.Namespace) -> int:
    """Show a run, and return the exit code."""
    journal = open_journal(options)
    run = find_run(journal, options.run)
    entries = journal.entries(run.run_id)
    if options.json:
        _print_json(_document(journal, run, entries, options.requests))
        return ANSWERED
    requests = journal if options.requests else None
    lines = [*_head(run), *_tree(run, entries, requests), *_end(run)]
    write(printable("\n".join(lines)) + "\n")
    return ANSWERED


def _document(journal: Journal, run: RunRecord, entries: Sequence[Entry], requests: bool) -> JsonValue:
    calls: list[JsonValue] = []
    for entry in entries:
        call = entry.model_dump(mode="json")
        if requests:
            call["request"] = list(journal.parts(entry.parts))
        calls.append(call)
    return {**run.model_dump(mode="json"), "calls": calls}


def _head(run: RunRecord) -> Iterator[str]:
    yield f"run {run.run_id} · {_when(run)} · {run.status} · {run.model}"
    if run.parent is not None:
        yield f"aggregates again what run {run.parent} answered"
    # What is known of the run itself stands together, so that question, tasks and answer can be read in one go.
    parts = {name: text for name, text in run.configuration.items() if name != "model"}
    if parts:
        yield f"{INDENT}configuration {run.configuration_digest[:8]}"
        yield from (f"{INDENT * 2}{name}: {text}" for name, text in parts.items())
    yield from _indent(run.question, "")


def _tree(run: RunRecord, entries: Sequence[Entry], requests: Journal | None) -> Iterator[str]:
    planner = [entry for entry in entries if entry.role == "planner"]
    if planner:
        yield "planner"
        yield from _calls(planner, requests)
    results = {} if run.result is None else {result.id: result for result in run.result.tasks}
    tasks = dict.fromkeys([*results, *(entry.task for entry in entries if entry.task is not None)])
    for task in tasks:
        yield _task_line(task, results.get(task))
        yield from _calls([entry for entry in entries if entry.task == task], requests)
    aggregator = [entry for entry in entries if entry.role == "aggregator"]
    if aggregator:
        yield "aggregator"
        yield from _calls(aggregator, requests)


def _task_line(task: str, result: TaskResult | None) -> str:
    if result is None:
        return f"task {task}"
    needs = f" (after {', '.join(result.task.needs)})" if result.task.needs else ""
    label = f": {result.task.title}" if result.task.title else ""
    return f"task {task}{label}{needs} · {result.outcome}{failure_reason(result)} · {result.seconds:.1f} s"


def _calls(entries: Sequence[Entry], requests: Journal | None) -> Iterator[str]:
    for entry in entries:
        cost = "" if entry.role == "tool" else f" · {usage_text(entry.usage)}"
        # What an event loop says of a cancellation helps nobody.
        error = "" if entry.error is None or entry.outcome == "cancelled" else f": {entry.error.message}"
        yield f"{INDENT}{entry.name} · {entry.outcome}{error} · {entry.seconds:.1f} s{cost}"
        if requests is not None and entry.role != "tool":
            for part in requests.parts(entry.parts)[1:]:
                message = message_of(part)
                yield from _indent(f"[{message.role}] {message.text}", INDENT * 2)
        text = entry.text if entry.response is None else entry.response.message.text
        yield from _indent(text, INDENT * 2)


def _end(run: RunRecord) -> Iterator[str]:
    if run.error is not None:
        yield f"error: {run.error.message}"
    result: RunResult[Any] | None = run.result
    if result is not None:
        if result.text:
            yield "answer"
            yield from _indent(result.text, INDENT)
        yield from (f"note: {note}" for note in result.notes)
        yield summary_line(result)


def _indent(text: str, margin: str) -> Iterator[str]:
    return (f"{margin}{line}" for line in text.strip().splitlines())


def _when(run: RunRecord) -> str:
    return datetime.fromtimestamp(run.created).astimezone().strftime("%Y-%m-%d %H:%M")


def _print_json(value: object) -> None:
    write(to_json(value, indent=2).decode() + "\n")
