"""How strong the tests are: what share of small changes of the core they see.

`python -m benchmarks.mutants --sample 300 --seed 0` tries a sample of the mutants of the modules in `tests.toml`, each
with the tests that are named there, and prints those that no test has seen, and the score of each room; `--module
answers/` tries those of some modules. A mutant that nobody could tell from the original stands in `equivalents.toml`,
with a reason.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from .operators import Mutant, mutants
from .trials import PACKAGE, ROOT, Trials

HERE = Path(__file__).parent


def files_of(table: Mapping[str, Sequence[str]], module: str) -> Sequence[str]:
    """Return the test files of a module: those of the longest key that its path begins with."""
    return table[max((key for key in table if module.startswith(key)), key=len)]


def core(table: Mapping[str, Sequence[str]], prefix: str = "") -> Iterator[Mutant]:
    """Yield the mutants of all modules in the table."""
    home = ROOT / PACKAGE
    for path in sorted(home.rglob("*.py")):
        module = path.relative_to(home).as_posix()
        if module.startswith(tuple(table)) and module.startswith(prefix):
            yield from mutants(module, path.read_text("utf-8"))


def without_equivalents(all_of_them: Sequence[Mutant], listed: Sequence[Mapping[str, str]]) -> list[Mutant]:
    """Return the mutants that are not listed.

    Raises:
        ValueError: one is listed that there is not, as after a change of the code.
    """
    names = {(each.module, each.was, each.now) for each in all_of_them}
    known = {(each["module"], each["was"], each["now"]) for each in listed}
    if known - names:
        raise ValueError(f"equivalents.toml lists what is no mutant any more: {sorted(known - names)}")
    return [each for each in all_of_them if (each.module, each.was, each.now) not in known]


def sample(all_of_them: Sequence[Mutant], size: int, seed: int) -> list[Mutant]:
    """Return a random sample, in random order, that a change elsewhere in the code leaves as it is."""
    seen: Counter[str] = Counter()
    chances = []
    for place, each in enumerate(all_of_them):
        name = f"{seed} {each.module} {each.was} {each.now}"
        seen[name] += 1
        chances.append((hashlib.sha256(f"{name} {seen[name]}".encode()).digest(), place))
    return [all_of_them[place] for _, place in sorted(chances)[:size]]


def show(mutant: Mutant) -> None:
    """Print a mutant as a diff."""
    print(f"--- {PACKAGE / mutant.module}:{mutant.line}")
    for sign, text in (("-", mutant.was), ("+", mutant.now)):
        print("\n".join(f"{sign} {line.strip()}" for line in text.splitlines()), flush=True)


def room(module: str) -> str:
    """Return the room in which a module is: its folder, or itself in the root."""
    return module.rpartition("/")[0] or module


def scores(tried: Mapping[Mutant, bool]) -> Iterator[str]:
    """Yield how many mutants of each room were killed, of how many, and of all rooms at the end."""
    every, killed = (Counter(room(each.module) for each in chosen) for chosen in (tried, filter(tried.get, tried)))
    for name in sorted(every):
        yield f"{killed[name]:4} of {every[name]:3}  {name}"
    yield f"{killed.total()} of {every.total()} mutants killed, {killed.total() / every.total():.1%}"


def main(size: int, seed: int, prefix: str, goal: float) -> bool:
    """Try a sample; whether the goal is met."""
    table = tomllib.loads((HERE / "tests.toml").read_text("utf-8"))["tests"]
    listed = tomllib.loads((HERE / "equivalents.toml").read_text("utf-8")).get("equivalent", [])
    every = without_equivalents(list(core(table)), listed)
    every = [each for each in every if each.module.startswith(prefix)]
    chosen = sample(every, size, seed)
    tried: dict[Mutant, bool] = {}
    with tempfile.TemporaryDirectory() as folder:
        trials = Trials(Path(folder))
        trials.copy()
        trials.warm()
        for number, each in enumerate(chosen, 1):
            tried[each] = not trials.survives(each, files_of(table, each.module))
            if not tried[each]:
                show(each)
            told = f"{number} of {len(chosen)}, {sum(tried.values())} killed"
            print(f"{each.module}:{each.line}: {told}", file=sys.stderr, flush=True)
    for file, said in trials.broken.items():
        print(f"{file} fails without a mutant:\n{said}")
    print(*scores(tried), sep="\n")
    print(f"drawn from {len(every)} with seed {seed}")
    return sum(tried.values()) >= goal * len(tried) and not trials.broken


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--module", default="", help="only modules whose path below the package begins so")
    parser.add_argument("--goal", type=float, default=0.95, help="the share that is to be killed")
    options = parser.parse_args()
    os.nice(10)
    # As an exception, so that what was started ends, and the copy goes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(0 if main(options.sample, options.seed, options.module, options.goal) else 1)
