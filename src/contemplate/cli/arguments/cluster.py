"""The options of `worker`, `submit` and `cluster`."""

from __future__ import annotations

import argparse

from .common import MODES, add_debugging
from .values import Commands, above_zero

WORKER = """\
Carry out runs that clients submit, until Ctrl-C or SIGTERM. A MIND is a Contemplator in a
module that can be imported from here, such as app:mind for `mind` in app.py. Any number
of workers, on any number of machines, share the work; what a worker has not ended goes on
with another one."""


def add_cluster(commands: Commands) -> None:
    """Add the commands that see to workers."""
    whole, number = above_zero(int), above_zero(float)
    worker = commands.add_parser(
        "worker",
        help="carry out runs that are submitted, on this machine",
        description=WORKER,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    worker.add_argument("minds", nargs="+", metavar="MIND", help="module:attribute of a Contemplator")
    worker.add_argument(
        "--concurrency", type=whole, default=8, metavar="N", help="runs of each that go on at once (default: 8)"
    )
    worker.add_argument(
        "--drain",
        type=number,
        default=30.0,
        dest="drain_seconds",
        metavar="SECONDS",
        help="how long runs may go on after a SIGTERM (default: 30)",
    )
    worker.add_argument(
        "--metrics",
        metavar="[HOST:]PORT",
        help="let Prometheus read there what the worker does; without HOST from this machine only (default: no port)",
    )
    submit = commands.add_parser("submit", help="let workers answer a question")
    submit.add_argument("question", nargs="+", help="the question, in quotes or not; - reads it from standard input")
    submit.add_argument("--mind", metavar="MIND", help="which Contemplator (default: the only one that workers have)")
    submit.add_argument("--mode", choices=MODES, help="how to think (default: as the Contemplator says)")
    submit.add_argument("--image", action="append", default=[], metavar="FILE", help="an image file or URL; repeatable")
    submit.add_argument("--run-id", metavar="ID", help="what to call the run; one of that name goes on")
    submit.add_argument(
        "--wait", action="store_true", help="wait for the answer, and print it; Ctrl-C ends the waiting"
    )
    submit.add_argument("--json", action="store_true", help="with --wait: print one JSON document")
    submit.add_argument("--events", action="store_true", help="with --wait: print the run's events as JSON lines")
    submit.add_argument("--quiet", action="store_true", help="with --wait: no progress on standard error")
    submit.add_argument("--plain", action="store_true", help="with --wait: on a terminal as in a pipe")
    cluster = commands.add_parser("cluster", help="see what workers do")
    actions = cluster.add_subparsers(dest="action", required=True, metavar="ACTION")
    status = actions.add_parser("status", help="workers, queues, limits and runs at a glance")
    status.add_argument("--json", action="store_true", help="print one JSON document")
    for parser in (worker, submit, status):
        parser.add_argument(
            "--journal", metavar="URL", help="the database, such as postgresql://me@db/app (or CONTEMPLATE_JOURNAL)"
        )
        add_debugging(parser)
