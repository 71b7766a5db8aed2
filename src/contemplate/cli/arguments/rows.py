"""The options of the commands that ask the rows of a file: `batch` and `compare`."""

from __future__ import annotations

import argparse

from .common import (
    EPILOG,
    add_debugging,
    add_limits,
    add_look,
    add_model,
    add_own_prompts,
    add_thinking,
    add_tools,
)
from .values import Commands, above_zero

WAYS = "instant,vote,auto"
ROW_FORMS = ("jsonl", "csv", "tsv", "txt")
KEYS = ("final", "math", "choice", "text")


def add_batch(commands: Commands) -> None:
    """Add `batch`."""
    batch, rows = _of_rows(
        commands,
        "batch",
        help_="ask each row of a file; the same command again goes on where it was",
        description="Ask each row of a file of JSON lines, CSV, TSV or plain lines, and write a line of JSON for each "
        "into another, as they are answered. Given again, the same command asks what is missing, and what failed.",
    )
    batch.add_argument("--out", required=True, metavar="FILE", help="where the answers go, as JSON lines")
    rows.add_argument("--keep-failed", action="store_true", help="do not ask again what failed before")
    add_thinking(batch)
    batch.add_argument("--no-journal", action="store_true", help="write down nothing but the answers")
    batch.add_argument(
        "--journal", metavar="FILE", help="where runs are written down, so that half-done rows go on (default: OUT.db)"
    )
    batch.add_argument(
        "--name",
        metavar="NAME",
        help="of the batch in the journal, where it goes on under that name (default: batch; with --cluster, as OUT)",
    )
    workers = batch.add_argument_group("workers")
    workers.add_argument(
        "--cluster",
        action="store_true",
        help="let workers answer that share the --journal, such as postgresql://me@db/app (see worker)",
    )
    workers.add_argument("--mind", metavar="MIND", help="which Contemplator (default: the only one that workers have)")
    _add_asking_of_rows(batch)
    # With --cluster, what is not said is as the workers have it.
    batch.set_defaults(mode=None, batch_concurrency=None)


def add_compare(commands: Commands) -> None:
    """Add `compare`."""
    compare, rows = _of_rows(
        commands,
        "compare",
        help_="ask each row of a file in several ways, and print how often each is right, and what it costs",
        description="Ask each row of a file in several ways, and print how often each is right, with intervals, what "
        "it costs, and how it differs from the first. Given again, the same command goes on where it was.",
    )
    compare.add_argument(
        "--ways",
        default=WAYS,
        metavar="MODES|FILE",
        help='modes, with commas, or a file of Python with ways = {"name": Contemplator(...), ...}, and with a metric '
        "or a key, if answers are not to be compared as they are (default: %(default)s)",
    )
    compare.add_argument("--against", metavar="WAY", help="the way with which the others are compared (default: first)")
    compare.add_argument("--plot", metavar="FILE", help="draw how often each is right, and what it costs, as *.svg")
    compare.add_argument("--records", metavar="FILE", help="write each question in each way there, as JSON lines")
    rows.add_argument("--answer-column", metavar="NAME", help="the answer that is expected (default: answer)")
    rows.add_argument(
        "--key",
        choices=KEYS,
        help="by what two answers are equal: all that is said; the number, whatever its unit; the option; the words "
        "(default: final)",
    )
    add_model(compare)
    add_own_prompts(compare)
    compare.add_argument("--name", default="comparison", help="of the comparison in the journal (default: %(default)s)")
    compare.add_argument("--no-journal", action="store_true", help="write nothing down: nothing can go on then")
    compare.add_argument("--journal", metavar="FILE", help="where runs are written down (default: FILE.compare.db)")
    _add_asking_of_rows(compare)


def _of_rows(
    commands: Commands, name: str, *, help_: str, description: str
) -> tuple[argparse.ArgumentParser, argparse._ArgumentGroup]:
    """Add a command that asks the rows of a file, and return it with the options of these rows."""
    parser = commands.add_parser(
        name,
        help=help_,
        description=description,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="the rows; - reads them from standard input")
    rows = parser.add_argument_group("rows")
    rows.add_argument("--format", choices=ROW_FORMS, help="of FILE (default: by its name; of - jsonl)")
    rows.add_argument("--question-column", metavar="NAME", help="what is asked (default: question, or the only column)")
    rows.add_argument("--id-column", metavar="NAME", help="by what a row is known when rows have been added or moved")
    rows.add_argument("--prompt", metavar="TEXT", help='what is asked, with columns: "Review this: {text}"')
    rows.add_argument("--first", type=above_zero(int), metavar="N", help="only the first N rows")
    return parser, rows


def _add_asking_of_rows(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--estimate", action="store_true", help="print what it may take, and make no call")
    add_look(parser)
    add_tools(parser)
    limits = add_limits(parser, concurrency=False)
    limits.add_argument("--total-cost", type=above_zero(float), metavar="USD", help="what all rows may cost together")
    limits.add_argument(
        "--concurrency",
        type=above_zero(int),
        default=16,
        dest="batch_concurrency",
        metavar="N",
        help="rows in progress at one moment (default: 16)",
    )
    parser.set_defaults(concurrency=None)
    add_debugging(parser)
