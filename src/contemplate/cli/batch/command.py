"""`contemplate batch`: ask the rows of a file, and go on where it was when it is called again."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio

from ...batch import BatchItem, BatchProgress, BatchResult
from ...budget import Budget
from ...contemplator import Contemplator
from ...errors import BatchStopped, ConfigurationError, error_info
from ...journal import Journal
from ...redaction import redact
from ...views.summary import usage_text
from ..approvals import tools_in
from ..console import say
from ..exit_codes import ANSWERED, FAILED, INCOMPLETE, INTERRUPTED
from ..journal_file import open_journal
from ..models import fetch_if_local
from ..print_estimate import print_batch_estimate
from ..rows import Reading, Row, duration, line_of, nothing_to_ask, shown
from ..run_options import limits_in, mode_in, model_named, program_in, prompts_in
from ..signals import cancel_on_signal
from .asking import Ask, asking_here, asking_workers
from .out_file import OutFile, key_of, opened

# What is to be done with a run that waits for a decision.
_GO_ON = "contemplate resume {run} --journal FILE, then the same command again; or --yes-to TOOL"
_GO_ON_AT_WORKERS = 'client.resume("{run}", {{call: Approved()}}), then the same command again'


def batch(options: argparse.Namespace) -> int:
    """Ask the rows that the file with the answers does not have, and return the exit code."""
    reading = Reading.named(options)
    # An error in the first row is one of the options, and comes before anything is paid for.
    first = None if options.file == "-" else next((row for row in reading.rows() if row.problem is None), None)
    if first is None and options.file != "-":
        raise nothing_to_ask(options.file)
    if options.cluster:
        ask = asking_workers(options)
        with opened(Path(options.out), keep_failed=options.keep_failed) as out:
            return _Batch(ask, reading, out, options).carry_out()
    if options.mind is not None:
        raise ConfigurationError("--mind names a Contemplator of workers", hint="let them answer: --cluster")
    model = model_named(options.model)
    total = None if options.total_cost is None else Budget("--total-cost", cost_usd=options.total_cost)
    common: dict[str, Any] = {
        "mode": mode_in(options, program_in(options)),
        "limits": limits_in(options),
        "prompts": prompts_in(options),
        "tools": tools_in(options),
        "budget": total,
    }
    if options.estimate:
        mind = Contemplator(model, **common)
        print_batch_estimate(mind.estimate(first.question if first else "?"), sum(1 for _ in reading.rows()))
        return ANSWERED
    fetch_if_local(options.model, quiet=options.quiet)
    with opened(Path(options.out), keep_failed=options.keep_failed) as out:
        mind = Contemplator(model, journal=_journal(options), **common)
        return _Batch(asking_here(mind, options), reading, out, options).carry_out()


def _journal(options: argparse.Namespace) -> Journal | None:
    if options.no_journal:
        return None
    # Beside the answers: half-done rows are of no use elsewhere.
    options.journal = options.journal or f"{options.out}.db"
    return open_journal(options)


class _Batch:
    def __init__(self, ask: Ask, reading: Reading, out: OutFile, options: argparse.Namespace) -> None:
        self._ask_all = ask
        self._reading = reading
        self._out = out
        self._options = options
        self._rows: dict[int, Row] = {}
        self._bad = 0
        self._asked = 0
        self._before, self._total = self._counted()
        self._progress = BatchProgress(total=self._total)
        self._go_on = _GO_ON_AT_WORKERS if options.cluster else _GO_ON

    def carry_out(self) -> int:
        """Ask all, and return the exit code."""
        options = self._options
        if self._before and not options.quiet:
            say(f"{self._before:,} rows are in {self._out.path} already")
        try:
            with shown(lambda: self._progress, self._before, quiet=options.quiet, plain=options.plain):
                ended = anyio.run(self._ask)
        except BatchStopped as stopped:
            say(f"error: {stopped.message}")
            say(f"{line_of(self._progress, self._before)}; to go on, mend it and give the same command again")
            return FAILED
        if isinstance(ended, signal.Signals):
            say(f"interrupted: {line_of(self._progress, self._before)}; to go on, give the same command again")
            return INTERRUPTED if ended == signal.SIGINT else 128 + ended
        return self._finished()

    async def _ask(self) -> signal.Signals | None:
        with anyio.CancelScope() as scope, cancel_on_signal(scope) as received:
            items = self._items()
            questions = items if self._total is None else _Counted(items, self._total)
            async with self._ask_all(questions, self._keep_progress) as results:
                async for done in results:
                    row = self._rows.pop(done.index)
                    self._out.write(line_for(row, done, go_on=self._go_on))
            return None
        return received[0]

    def _items(self) -> Iterator[BatchItem]:
        for row in self._reading.rows():
            if row.problem is not None:
                self._write_problem(row)
            elif key_of(row.index, row.id, row.question) not in self._out.done:
                self._rows[self._asked] = row
                self._asked += 1
                # Without an id of its own, its place in the file: others may have been left out before it.
                yield BatchItem(row.question, id=row.id or _place(row))

    def _write_problem(self, row: Row) -> None:
        if key_of(row.index, None, "") not in self._out.done:
            self._bad += 1
            self._out.write(line_for(row, None))

    def _counted(self) -> tuple[int, int | None]:
        """Return how many rows are done, and how many are to be asked; None if that is known at the end only."""
        if self._reading.path == "-":
            return len(self._out.done), None
        before = to_come = 0
        for row in self._reading.rows():
            if row.problem is None:
                done = key_of(row.index, row.id, row.question) in self._out.done
                before, to_come = before + done, to_come + (not done)
        return before, to_come

    def _keep_progress(self, progress: BatchProgress) -> None:
        self._progress = progress

    def _finished(self) -> int:
        progress, failed = self._progress, self._progress.failed + self._bad
        answered = progress.done - progress.failed
        if not self._options.quiet:
            parts = [f"{answered:,} answered"]
            if progress.incomplete:
                parts.append(f"{progress.incomplete:,} of them not in full")
            if failed:
                parts.append(f"{failed:,} failed, and are asked again by the same command")
            if self._before:
                parts.append(f"{self._before:,} were done before")
            say(f"{'; '.join(parts)}: {self._out.path}")
            say(f"{usage_text(progress.usage)} · {duration(progress.seconds)}")
        if progress.done and not answered:
            return FAILED
        return INCOMPLETE if failed or progress.incomplete else ANSWERED


class _Counted:
    """The items, with their number, by which it is known how long the rest will take."""

    def __init__(self, items: Iterator[BatchItem], number: int) -> None:
        self._items = items
        self._number = number

    def __len__(self) -> int:
        return self._number

    def __iter__(self) -> Iterator[BatchItem]:
        return self._items


def _place(row: Row) -> str:
    return f"{row.index}-{key_of(row.index, None, row.question):016x}"


def line_for(row: Row, done: BatchResult[str] | None, *, go_on: str = _GO_ON) -> dict[str, Any]:
    """Return the line that says what came of a row; None stands for a row of which nothing could be asked.

    Args:
        row: the row.
        done: what came of it.
        go_on: what is to be done with a run that waits for a decision.
    """
    reached = None if done is None else done.reached
    line: dict[str, Any] = {
        "index": row.index,
        "id": row.id,
        "question": row.question or None,
        "output": None,
        "complete": False,
        "error": None,
    }
    if done is None:
        line["error"] = {"kind": "ConfigurationError", "message": row.problem, "hint": None}
    elif done.error is not None:
        info = error_info(done.error)
        line["error"] = {"kind": info.kind, "message": info.message, "hint": info.hint}
    elif done.result is not None and done.result.pending:
        waiting = "; ".join(map(str, done.result.pending))
        hint = go_on.format(run=done.result.run_id)
        line["error"] = {"kind": "Suspended", "message": redact(f"it waits for a decision on {waiting}"), "hint": hint}
    elif done.result is not None:
        line |= {"output": done.result.output, "complete": done.result.complete}
        if done.result.answer is not None:
            line |= {"answer": done.result.answer, "votes": dict(done.result.votes)}
        if done.result.points:
            line |= {"points": dict(done.result.points)}
    if reached is not None:
        usage = reached.usage
        line |= {
            "run_id": reached.run_id,
            "calls": usage.calls,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cost_usd": usage.cost_usd,
            "seconds": round(reached.seconds, 3),
        }
    return line | {"row": dict(row.columns)}
