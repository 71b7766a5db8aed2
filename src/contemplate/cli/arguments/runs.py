"""The options of the commands about runs that were written down."""

from __future__ import annotations

import argparse

from .common import (
    add_debugging,
    add_decisions,
    add_journal,
    add_limits,
    add_look,
    add_model,
    add_own_prompts,
    add_run_id,
    add_tools,
)
from .values import Commands, above_zero, age, port

AGGREGATORS = ("first", "vote", "synthesize")


def add_runs(commands: Commands) -> None:
    """Add `runs` and `show`."""
    runs = commands.add_parser("runs", help="list the runs that were written down, the newest first")
    runs.add_argument("--limit", type=above_zero(int), default=20, metavar="N", help="so many (default: %(default)s)")
    runs.add_argument("--json", action="store_true", help="print JSON")
    actions = runs.add_subparsers(dest="action", metavar="ACTION")
    prune = actions.add_parser("prune", help="delete runs that are over and old")
    prune.add_argument(
        "--older-than", type=age, required=True, metavar="AGE", help="how long ago they began, such as 12h or 30d"
    )
    prune.add_argument("--dry-run", action="store_true", help="only say how many")
    show = commands.add_parser("show", help="show a run as a tree, with times, tokens and texts")
    add_run_id(show)
    show.add_argument("--requests", action="store_true", help="with what was asked")
    show.add_argument("--program", action="store_true", help="print the program that organised the run, and no more")
    show.add_argument("--json", action="store_true", help="print one JSON document")
    # What stands before it is not forgotten.
    add_journal(prune, default=argparse.SUPPRESS)
    add_debugging(prune)
    for parser in (runs, show):
        add_journal(parser)
        add_debugging(parser)


def add_view(commands: Commands) -> None:
    """Add `view`."""
    view = commands.add_parser(
        "view",
        help="show runs in a browser: their timelines, plans, texts, votes and costs",
        description="Show runs in a browser, on this machine only, until Ctrl-C. A run that waits for a decision can "
        "be approved there, and goes on with the options that are given here, as with resume.",
    )
    view.add_argument(
        "run",
        nargs="?",
        metavar="RUN",
        help="the run's id, or its beginning, or last; or a file that was exported, or has events (ask --events); or "
        "the URL of a running serve; all runs that were written down without it",
    )
    view.add_argument("--port", type=port, default=0, help="port; 0 picks one (default: %(default)s)")
    view.add_argument("--no-browser", action="store_false", dest="browser", help="only print the address")
    view.add_argument("--export", metavar="FILE", help="write RUN as one page of HTML instead; nothing is overwritten")
    add_journal(view)
    add_model(view)
    add_own_prompts(view)
    add_tools(view)
    add_limits(view)
    add_debugging(view)


def add_reruns(commands: Commands) -> None:
    """Add `resume`, `replay` and `reaggregate`."""
    resume = commands.add_parser("resume", help="go on with a run: what was answered is not paid for again")
    replay = commands.add_parser("replay", help="go through a run again, offline, as it was")
    reaggregate = commands.add_parser("reaggregate", help="aggregate again what a run's subagents answered")
    reaggregate.add_argument("--aggregator", choices=AGGREGATORS, required=True, help="how to conclude")
    for parser in (resume, replay, reaggregate):
        add_run_id(parser)
        if parser is not replay:
            add_model(parser)
        add_own_prompts(parser)
        parser.add_argument("--json", action="store_true", help="print one JSON document")
        add_look(parser)
        parser.set_defaults(events=False)
        add_journal(parser)
        if parser is resume:
            add_decisions(parser)
            add_tools(parser)
            add_limits(parser)
        add_debugging(parser)
