"""The commands and their options. Imports nothing but argparse, so that --help is quick.

ask          a question
rows         batch, compare
runs         runs, show, view, resume, replay, reaggregate
models       models, prompts
serve        the server
cluster      worker, submit, cluster
completion   for shells

common       the options that several commands have
values       what may stand behind an option
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from .ask import add_ask
from .cluster import add_cluster
from .common import EPILOG
from .completion import add_completion
from .models import add_models, add_prompts
from .rows import add_batch, add_compare
from .runs import add_reruns, add_runs, add_view
from .serve import add_serve


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options in `arguments`; wrong usage ends the process with exit code 2."""
    options = parser().parse_args(arguments)
    if options.command in ("ask", "submit"):
        options.question = " ".join(options.question)
        if options.json and options.events:
            parser().error("--json and --events exclude each other")
    if getattr(options, "no_journal", False) and options.journal:
        parser().error("--journal and --no-journal exclude each other")
    return options


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    whole = argparse.ArgumentParser(
        prog="contemplate",
        description="A contemplating mode for any chat model: plan, fan out to parallel subagents, merge.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whole.add_argument("--version", action="store_true", help="print the version and exit")
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_ask(commands)
    add_batch(commands)
    add_compare(commands)
    add_runs(commands)
    add_reruns(commands)
    add_view(commands)
    add_models(commands)
    add_prompts(commands)
    add_serve(commands)
    add_cluster(commands)
    add_completion(commands)
    return whole
