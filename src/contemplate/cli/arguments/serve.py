"""The options of `serve`."""

from __future__ import annotations

import argparse

from .common import add_debugging, add_model, add_own_prompts
from .values import Commands, above_zero, port

DESCRIPTION = """\
Serve OpenAI's chat completions API over a model, or over contemplators of your own:
MIND is module:attribute, such as app:mind for `mind` in app.py. With --workers, those of
`contemplate worker` on the same --journal carry out what is asked.

Off loopback, clients need keys. Each has a name and a secret: --api-key ann=SECRET,
or, where other users of the machine cannot see it, in the environment:
CONTEMPLATE_SERVER_KEYS="ann=SECRET bob=SECRET". A key's budgets are AMOUNT/WINDOW,
such as --key-budget 5usd/day for each key, or --key-budget ann:200000tokens/minute
for one; windows are minute, hour and day."""


def add_serve(commands: Commands) -> None:
    """Add `serve`."""
    serve = commands.add_parser(
        "serve",
        help="serve an OpenAI-compatible endpoint",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_model(serve)
    add_own_prompts(serve)
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=port, default=8400, help="port; 0 picks one (default: %(default)s)")
    _add_serving(serve)
    add_debugging(serve)


def _add_serving(serve: argparse.ArgumentParser) -> None:
    serve.add_argument(
        "minds", nargs="*", metavar="[NAME=]MIND", help="module:attribute of a Contemplator, such as app:mind, as NAME"
    )
    serve.add_argument("--config", metavar="FILE", help="a Python file with `minds = {name: Contemplator(...)}`")
    serve.add_argument(
        "--workers", action="store_true", help="let the workers on --journal, a database, carry out the runs"
    )
    serve.add_argument("--journal", metavar="FILE", help="where runs, and what keys spent, are written down")
    clients = serve.add_argument_group("clients")
    clients.add_argument("--api-key", action="append", default=[], metavar="NAME=SECRET", help="repeatable")
    clients.add_argument(
        "--key-budget", action="append", default=[], metavar="[NAME:]AMOUNT", help="what a key may spend; repeatable"
    )
    clients.add_argument(
        "--allow-origin", action="append", metavar="URL", help="a web page that may ask from a browser; repeatable"
    )
    clients.add_argument(
        "--allow-host",
        action="append",
        metavar="NAME",
        help="a Host that requests may name beside loopback; repeatable",
    )
    serve.add_argument(
        "--no-viewer", action="store_const", const=False, dest="viewer", help="show no runs in browsers at /"
    )
    bounds = serve.add_argument_group("bounds")
    whole, number = above_zero(int), above_zero(float)
    bounds.add_argument("--max-runs", type=whole, metavar="N", help="runs that go on at once")
    bounds.add_argument("--max-queued", type=whole, metavar="N", help="runs that wait for their turn")
    bounds.add_argument("--drain-seconds", type=number, metavar="S", help="how long runs may go on after a SIGTERM")
    each = serve.add_argument_group("limits of each request, which a client may lower")
    each.add_argument("--max-seconds", type=number, metavar="S", help="wall-clock time")
    each.add_argument("--max-tokens", type=whole, metavar="N", help="tokens of all calls together")
    each.add_argument("--max-cost", type=number, metavar="USD", help="what all calls cost together")
    each.add_argument("--max-calls", type=whole, metavar="N", help="model calls")
