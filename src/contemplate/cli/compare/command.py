"""`contemplate compare`: ask the rows of a file in several ways, and go on where it was when it is called again."""

from __future__ import annotations

import argparse
import json
import signal
from collections.abc import Sequence
from pathlib import Path

import anyio

from ... import comparison
from ...batch import BatchProgress
from ...budget import Budget
from ...comparison import ComparisonReport, Example
from ...errors import ConfigurationError
from ...journal import Journal
from ...usage import NOTHING
from ...views.summary import usage_text
from ..console import say, write
from ..exit_codes import ANSWERED, FAILED, INCOMPLETE, INTERRUPTED
from ..journal_file import open_journal
from ..models import fetch_if_local
from ..print_estimate import print_batch_estimate
from ..rows import line_of, shown
from ..signals import cancel_on_signal
from .questions import questions_in
from .ways import Ways, ways_in


def compare(options: argparse.Namespace) -> int:
    """Compare the ways, print the table, and return the exit code."""
    ways = ways_in(options)
    questions = questions_in(options, needed=ways.metric is None)
    _check_folder("--records", options.records)
    _check_folder("--plot", options.plot)
    if options.plot is not None and not options.plot.lower().endswith(".svg"):
        raise ConfigurationError(f"--plot {options.plot}: it is written as SVG", hint="name it *.svg")
    if options.estimate:
        for name, mind in ways.minds.items():
            write(f"{name}: ")
            print_batch_estimate(mind.estimate(questions[0].question), len(questions))
        return ANSWERED
    if ways.use_model:
        fetch_if_local(options.model, quiet=options.quiet)
    return _Comparison(ways, questions, options).carry_out()


class _Comparison:
    def __init__(self, ways: Ways, questions: Sequence[Example], options: argparse.Namespace) -> None:
        self._ways = ways
        self._questions = questions
        self._options = options
        self._total = len(ways.minds) * len(questions)
        self._told: dict[str, BatchProgress] = {}

    def carry_out(self) -> int:
        """Ask all, write what was wanted, and return the exit code."""
        options = self._options
        with shown(self._progress, 0, quiet=options.quiet, plain=options.plain):
            ended = anyio.run(self._ask, _journal(options))
        if isinstance(ended, signal.Signals):
            again = "" if options.no_journal else "; to go on, give the same command again"
            say(f"interrupted: {line_of(self._progress())}{again}")
            return INTERRUPTED if ended == signal.SIGINT else 128 + ended
        write(f"{ended}\n")
        if not options.quiet:
            say(f"spent by this call: {usage_text(ended.spent)}")
        if options.records is not None:
            lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in ended.to_records()]
            Path(options.records).write_text("".join(lines), encoding="utf-8", errors="replace")
        if options.plot is not None and any(way.scores for way in ended.ways.values()):
            ended.plot(options.plot)
        measured = sum(len(way.scores) for way in ended.ways.values())
        return ANSWERED if measured == self._total else INCOMPLETE if measured else FAILED

    async def _ask(self, journal: Journal | None) -> ComparisonReport | signal.Signals:
        options = self._options
        with anyio.CancelScope() as scope, cancel_on_signal(scope) as received:
            return await comparison.compare(
                self._ways.minds,
                self._questions,
                metric=self._ways.metric,
                key=self._ways.key,
                against=options.against,
                name=options.name,
                journal=journal,
                concurrency=options.batch_concurrency,
                budget=None if options.total_cost is None else Budget("--total-cost", cost_usd=options.total_cost),
                on_progress=self._told.__setitem__,
            )
        return received[0]

    def _progress(self) -> BatchProgress:
        """Return how far all ways are together."""
        each = list(self._told.values())
        done, rate = sum(way.done for way in each), each[-1].rate if each else 0.0
        return BatchProgress(
            done=done,
            failed=sum(way.failed for way in each),
            incomplete=sum(way.incomplete for way in each),
            total=self._total,
            usage=sum((way.usage for way in each), NOTHING),
            seconds=sum(way.seconds for way in each),
            rate=rate,
            seconds_left=(self._total - done) / rate if rate else None,
        )


def _journal(options: argparse.Namespace) -> Journal | None:
    if options.no_journal:
        return None
    beside = "compare.db" if options.file == "-" else f"{options.file}.compare.db"
    options.journal = options.journal or beside
    return open_journal(options)


def _check_folder(option: str, path: str | None) -> None:
    """Refuse a file that cannot be written before anything is paid for."""
    if path is not None and (Path(path).is_dir() or not Path(path).parent.is_dir()):
        raise ConfigurationError(f"{option} {path}: it cannot be written", hint="name a file in a folder that is there")
