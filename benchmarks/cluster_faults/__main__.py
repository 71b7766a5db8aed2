"""The command: `python -m benchmarks.cluster_faults kills|outages|stops`. Each starts a PostgreSQL of its own."""

from __future__ import annotations

import argparse
import json
import sys

import anyio

from ..speed.running import machine
from . import kills, outages, stops


def main() -> int:
    """Run one of them; 1 if a promise was not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    killing = commands.add_parser("kills")
    killing.add_argument("--kills", type=int, default=50)
    killing.add_argument("--seed", type=int, default=0)
    trouble = commands.add_parser("outages")
    trouble.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(outages.TROUBLES)}; all by default")
    trouble.add_argument("--seconds", type=float, default=30.0)
    trouble.add_argument("--verbose", action="store_true", help="print what was said, too")
    stopping = commands.add_parser("stops")
    stopping.add_argument("--times", type=int, default=10)
    given = parser.parse_args()
    print(f"{json.dumps(machine())}\n", flush=True)
    if given.command == "kills":
        kept = kills.main(given.kills, given.seed)
    elif given.command == "outages":
        kept = outages.main(given.names, given.seconds, verbose=given.verbose)
    else:
        kept = anyio.run(stops.main, given.times)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
