"""`python -m benchmarks.speed setup`, then `run --out FILE`, then `report FILE --docs docs/performance.md`."""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import contenders, reporting, running
from .scenarios import SCENARIOS

STARTS, ROUNDS_OF_STARTS = "starts", 9


def measure(options: argparse.Namespace) -> None:
    """Everything, round by round; what is measured already is in the file if the rest fails."""
    for each in contenders.CONTENDERS:
        if not each.is_there:
            print(f"SKIPPED: {each.name}: run `python -m benchmarks.speed setup`", file=sys.stderr, flush=True)
    rng, begun = random.Random(options.seed), time.monotonic()
    versions: dict[str, str] = {}
    scenarios: dict[str, Any] = {}
    results: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "seed": options.seed,
        "settings": {"rounds_at_most": options.rounds, "n_at_most": options.n},
        "machine": running.machine(),
        "versions": versions,
        "scenarios": scenarios,
    }
    files = running.open_many_files()
    chosen = {each.name: each.at_most(options.rounds, options.n) for each in SCENARIOS}
    for name in options.only or (*chosen, STARTS):
        if name == STARTS:
            scenarios[name] = running.starts(contenders.CONTEMPLATE, min(options.rounds, ROUNDS_OF_STARTS), rng)
        elif chosen[name].open_files > files:
            print(f"SKIPPED: {name}: raise `ulimit -n` to {chosen[name].open_files}", file=sys.stderr, flush=True)
        else:
            scenarios[name] = running.run(chosen[name], rng, versions)
        print(f"{time.monotonic() - begun:.0f} s: {name} is done", flush=True)
        options.out.write_text(json.dumps(results | {"seconds": round(time.monotonic() - begun)}, indent=1) + "\n")


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("setup", help="make an environment for each contender")
    run = verbs.add_parser("run", help="measure everything, which takes a while")
    run.add_argument("--out", type=Path, required=True, help="a JSON file of every round")
    run.add_argument("--only", nargs="+", choices=(*(each.name for each in SCENARIOS), STARTS), help="these alone")
    run.add_argument("--rounds", type=int, default=100, help="at most so many of each")
    run.add_argument("--n", type=int, default=100_000, help="at most so many subagents")
    run.add_argument("--seed", type=int, default=0, help="of the order in which contenders take their turns")
    report = verbs.add_parser("report", help="tables and charts from a JSON file")
    report.add_argument("file", type=Path)
    report.add_argument("--docs", type=Path, help="write them into this page, between its markers")
    options = parser.parse_args()
    match options.verb:
        case "setup":
            sys.exit(1 if contenders.set_up() else 0)
        case "run":
            measure(options)
        case "report":
            results = json.loads(options.file.read_text())
            if options.docs:
                reporting.write(results, options.docs)
            else:
                print(reporting.tables(results))


if __name__ == "__main__":
    main()
