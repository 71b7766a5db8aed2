"""Run the scenarios: all contenders in turn, in every round in another order."""

from __future__ import annotations

import json
import os
import platform
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from .contenders import CONTENDERS, ROOT, Contender
from .scenarios import Scenario

# By contender, for each round.
Rounds = dict[str, list[dict[str, float]]]


@contextmanager
def server() -> Iterator[str]:
    """The URL of a server of one's own."""
    command = [sys.executable, "-m", "benchmarks.speed.server"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def open_many_files() -> int:
    """Allow this process, and those that it starts, as many open files as it may have; how many."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


class Worker:
    """A contender's process."""

    def __init__(self, contender: Contender, url: str, stack: ExitStack) -> None:
        distribution = contender.requirements[0].replace(str(ROOT), "contemplate-ai").partition("[")[0]
        command = [str(contender.python), "-m", "benchmarks.speed.worker", contender.module, url, distribution]
        self.contender = contender
        self._process = stack.enter_context(
            subprocess.Popen(
                [*command, *contender.on],
                cwd=ROOT,
                env=contender.environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        )
        stack.callback(self._process.kill)
        self.version: str = self._answer()["version"]

    def do(self, order: dict[str, str | int]) -> dict[str, float]:
        """Do a job.

        Raises:
            RuntimeError: the process died of it.
        """
        assert self._process.stdin is not None
        print(json.dumps(order), file=self._process.stdin, flush=True)
        taken: dict[str, float] = self._answer()
        return taken

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.contender.name} ended with {self._process.wait()}")
        return json.loads(line)


def run(scenario: Scenario, rng: random.Random, versions: dict[str, str]) -> dict[str, Rounds]:
    """All rounds of all jobs, by n."""
    taken: dict[str, Rounds] = {}
    if scenario.apart:
        for one in scenario.contenders:
            for n, its in run(replace(scenario, apart=False, contenders=(one,)), rng, versions).items():
                taken.setdefault(n, {}).update(its)
        return taken
    with ExitStack() as stack:
        url = f"{stack.enter_context(server())}/{scenario.path}/v1"
        workers = [each for one in scenario.contenders if one.is_there and (each := _started(one, url, stack))]
        versions.update({each.contender.name: each.version for each in workers})
        for job in scenario.jobs:
            rounds: Rounds = {each.contender.name: [] for each in workers}
            taken[str(job.n)] = rounds
            for _ in range(job.rounds):
                for worker in rng.sample(workers, len(workers)):
                    try:
                        rounds[worker.contender.name].append(worker.do(job.order))
                    except RuntimeError as error:
                        print(f"FAILED: {scenario.name}, n={job.n}: {error}", file=sys.stderr, flush=True)
                        workers.remove(worker)
    return taken


def _started(contender: Contender, url: str, stack: ExitStack) -> Worker | None:
    try:
        return Worker(contender, url, stack)
    except RuntimeError as error:
        print(f"FAILED to start: {error}", file=sys.stderr, flush=True)
        return None


def commands(own: Contender) -> dict[str, tuple[Contender, list[str]]]:
    """What is started and ended at once: an interpreter, imports, the command line."""
    everyone = {each.imports: (each, ["-c", each.imports]) for each in CONTENDERS}
    return {
        "nothing": (own, ["-c", ""]),
        "import openai": (own, ["-c", "import openai"]),
        "import contemplate": (own, ["-c", "import contemplate"]),
        "contemplate --version": (own, [str(own.home / "bin" / "contemplate"), "--version"]),
        "contemplate --help": (own, [str(own.home / "bin" / "contemplate"), "--help"]),
        **{name: command for name, command in everyone.items() if name != "import openai"},
    }


def starts(own: Contender, rounds: int, rng: random.Random) -> Rounds:
    """Seconds to start and end each command, in turn, and the modules that it loads."""
    there = {name: one for name, one in commands(own).items() if one[0].is_there}
    taken: Rounds = {name: [] for name in there}
    modules = {name: float(_modules(contender, arguments)) for name, (contender, arguments) in there.items()}
    for turn in range(rounds + 1):
        for name in rng.sample(list(there), len(there)):
            contender, arguments = there[name]
            begun, before = time.perf_counter(), _cpu_of_children()
            subprocess.run([contender.python, *arguments], env=contender.environ, stdout=subprocess.DEVNULL, check=True)
            if turn:  # The first time, files are compiled and read from the disk.
                took = {"wall": time.perf_counter() - begun, "cpu": _cpu_of_children() - before}
                taken[name].append(took | {"modules": modules[name]})
    return taken


def _cpu_of_children() -> float:
    times = resource.getrusage(resource.RUSAGE_CHILDREN)
    return times.ru_utime + times.ru_stime


def _modules(contender: Contender, arguments: list[str]) -> int:
    """How many modules are loaded, those of the interpreter's own start included."""
    command = [str(contender.python), "-X", "importtime", *arguments]
    done = subprocess.run(command, env=contender.environ, capture_output=True, text=True, check=True)
    return sum(line.startswith("import time:") for line in done.stderr.splitlines()) - 1


def machine() -> dict[str, str | int]:
    """What it ran on."""
    model = "unknown"
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as file:
            model = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), model)
    system = f"{platform.system()} {platform.machine()}"
    return {"cpu": model, "cores": os.cpu_count() or 1, "system": system, "python": platform.python_version()}
