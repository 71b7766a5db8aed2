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
    chosen = {each.name: each for each in SCENARIOS if not options.only or each.name in options.only}
    for name in [*chosen, *(["starts"] if not options.only or "starts" in options.only else [])]:
        if name == "starts":
            scenarios[name] = running.starts(contenders.CONTEMPLATE, min(options.rounds, 3), rng)
        else:
            scenarios[name] = running.run(chosen[name].at_most(options.rounds, options.n), rng, versions)
        print(f"{time.monotonic() - begun:.0f} s: {name} is done", flush=True)
        options.out.write_text(json.dumps(results | {"seconds": round(time.monotonic() - begun)}, indent=1) + "\n")


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("setup", help="make an environment for each contender")
    run = verbs.add_parser("run", help="measure; about ten minutes")
    run.add_argument("--out", type=Path, required=True, help="a JSON file of every round")
    run.add_argument("--only", nargs="+", help="these scenarios")
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
