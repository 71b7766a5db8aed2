"""The options of `ask`."""

from __future__ import annotations

import argparse

from .common import EPILOG, add_debugging, add_journal, add_limits, add_look, add_thinking, add_tools
from .values import Commands


def add_ask(commands: Commands) -> None:
    """Add `ask`."""
    ask = commands.add_parser(
        "ask",
        help="ask a question",
        description="Contemplate a question. On a terminal the run is shown live; in a pipe, standard output holds "
        "the answer alone.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    ask.add_argument("question", nargs="+", help="the question, in quotes or not; - reads it from standard input")
    add_thinking(ask)
    ask.add_argument("--image", action="append", default=[], metavar="FILE", help="an image file or URL; repeatable")
    ask.add_argument("--save-images", metavar="DIR", help="write the answer's images there; nothing is overwritten")
    ask.add_argument("--json", action="store_true", help="print one JSON document: output, plan, tasks, usage, ...")
    ask.add_argument("--events", action="store_true", help="print the run's events as JSON lines, as they happen")
    ask.add_argument("--estimate", action="store_true", help="print what the run may take, and make no call")
    add_look(ask)
    ask.add_argument("--run-id", metavar="ID", help="what to call the run; one of that name goes on")
    add_tools(ask)
    ask.add_argument("--no-journal", action="store_true", help="write nothing down")
    add_journal(ask)
    add_limits(ask)
    add_debugging(ask)
