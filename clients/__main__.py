"""The command line of the suite."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import platformdirs

from . import page
from .catalog import clients
from .cells import Cell, run
from .environments import environment
from .features import FEATURES
from .server_process import serving


def main() -> int:
    """Run clients, print each cell, and keep the table; return 1 if a cell fails."""
    parser = argparse.ArgumentParser(prog="python -m clients", description="Real clients against a real server.")
    parser.add_argument("clients", nargs="*", choices=[[], *clients()], help="which; see --list")
    parser.add_argument("--all", action="store_true", help="every client")
    parser.add_argument("--list", action="store_true", help="name the clients")
    parser.add_argument("--feature", action="append", choices=[each.name for each in FEATURES], help="only this one")
    parser.add_argument("--cache", type=Path, default=Path(platformdirs.user_cache_dir("contemplate-clients")))
    parser.add_argument("-v", "--verbose", action="store_true", help="print what server and models said in each cell")
    parser.add_argument("--page", action="store_true", help="write what came of it into docs/clients.md")
    asked = parser.parse_args()
    if asked.list or not (asked.all or asked.clients):
        print("\n".join(f"{each.name:28}{each.title} {each.version}, {each.api}" for each in clients().values()))
        return 0
    asked.cache.mkdir(parents=True, exist_ok=True)
    cells: list[Cell] = []
    for name in clients() if asked.all else asked.clients:
        client = clients()[name]
        place = environment(client, asked.cache)
        with serving(place.folder / "work") as server:
            for feature in FEATURES:
                if not asked.feature or feature.name in asked.feature:
                    cells.append(run(client, feature, place, server))
                    show(cells[-1], asked.verbose)
        if asked.page:
            page.keep([cell for cell in cells if cell.client == name])
    failed = sum(cell.verdict == "fails" for cell in cells)
    print(f"{sum(cell.verdict == 'passes' for cell in cells)} passed, {failed} failed")
    return 1 if failed else 0


def show(cell: Cell, verbose: bool) -> None:
    """Print what became of a cell, and in `verbose` what was said."""
    if cell.verdict == "does not apply":
        return
    print(f"{cell.client:28}{cell.feature:12}{cell.verdict}", flush=True)
    for why in cell.why:
        print(f"    {why}\n    see {cell.folder}", flush=True)
    if verbose and cell.folder is not None:
        print((cell.folder / "transcript.txt").read_text("utf-8"))


if __name__ == "__main__":
    sys.exit(main())
