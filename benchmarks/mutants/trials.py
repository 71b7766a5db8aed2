"""Tests of a mutant: forked from a process that has imported what is slow, in a copy of the tree.

So a trial costs its tests and little else, and nothing of it is left, however it ends. POSIX only.
"""

from __future__ import annotations

import compileall
import gc
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from py_compile import PycInvalidationMode

import hypothesis
import pytest

from .operators import Mutant

ROOT = Path(__file__).parents[2]
PACKAGE = Path("src", "contemplate")
# Nothing of the package itself: a trial imports its mutant.
_SLOW = (
    *("anyio.pytest_plugin", "anyio._backends._asyncio", "trio", "openai", "aiohttp", "structlog", "tenacity", "mcp"),
    *("pytest_examples", "xdist.plugin", "trustme", "hypothesis.strategies", "jsonschema", "httpx2", "uvicorn"),
    *("starlette.applications", "starlette.middleware.cors", "prometheus_client"),
)
_IGNORED = shutil.ignore_patterns("__pycache__", "results", "performance")
_MEMORY = 8 << 30
# A trial is over after so many times its tests' time without a mutant, and some seconds.
_TIMES, _SECONDS, _LONGEST = 4, 5.0, 600.0


@dataclass(frozen=True, slots=True)
class Trials:
    """A copy of a tree, in `folder`, in which mutants are tried one after the other."""

    folder: Path
    root: Path = ROOT
    seconds: dict[str, float] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)

    def copy(self) -> None:
        """Copy the tree."""
        for name in ("src", "tests", "benchmarks", "examples", "docs"):
            if (self.root / name).is_dir():
                shutil.copytree(self.root / name, self.folder / name, ignore=_IGNORED)
        for name in ("pyproject.toml", "README.md"):
            shutil.copy(self.root / name, self.folder)
        # By content: a mutant is as old as the module, perhaps as long, and must not be taken for it.
        compileall.compile_dir(self.folder / "src", quiet=2, invalidation_mode=PycInvalidationMode.CHECKED_HASH)

    def warm(self) -> None:
        """Import what is slow, which all trials are then spared."""
        for module in _SLOW:
            import_module(module)
        # Else each trial's collections go through all of it.
        gc.freeze()

    def survives(self, mutant: Mutant, files: Sequence[str]) -> bool:
        """Return whether no test in `files` fails; those of a file that fails without a mutant tell nothing."""
        path = self.folder / PACKAGE / mutant.module
        original = path.read_text("utf-8")
        for file in files:
            seconds = self._seconds_of(file)
            if file in self.broken:
                continue
            allowed = seconds * _TIMES + _SECONDS
            path.write_text(mutant.of(original), "utf-8")
            try:
                if not self._passes(file, allowed):
                    return False
            finally:
                path.write_text(original, "utf-8")
        return True

    def _seconds_of(self, file: str) -> float:
        """Return how long a file's tests take without a mutant."""
        if file not in self.seconds:
            began = time.monotonic()
            if not self._passes(file, _LONGEST):
                self.broken[file] = self._log.read_text("utf-8", "replace")
            self.seconds[file] = time.monotonic() - began
        return self.seconds[file]

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    def _passes(self, file: str, seconds: float) -> bool:
        pid = os.fork()
        if pid == 0:
            self._run_tests(file)
        until, status = time.monotonic() + seconds, None
        try:
            while status is None and time.monotonic() < until:
                time.sleep(0.02)
                ended, code = os.waitpid(pid, os.WNOHANG)
                status = os.waitstatus_to_exitcode(code) if ended else None
        finally:
            # Whatever its tests have started is in its process group, also where this process is to end.
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            if status is None:
                os.waitpid(pid, 0)
        return status == pytest.ExitCode.OK

    def _run_tests(self, file: str) -> None:
        """Become the process of a trial, and end with what pytest says."""
        status: int = pytest.ExitCode.INTERNAL_ERROR
        try:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
            log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            for stream in (1, 2):
                os.dup2(log, stream)
            os.chdir(self.folder)
            path = [str(self.folder / "src"), str(self.folder)]
            os.environ["PYTHONPATH"] = os.pathsep.join(path)
            sys.path[:0] = path
            os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
            # The same examples for each mutant, however busy the machine is.
            hypothesis.settings.register_profile(
                "mutants",
                max_examples=50,
                derandomize=True,
                database=None,
                deadline=None,
                suppress_health_check=[hypothesis.HealthCheck.too_slow],
            )
            hypothesis.settings.load_profile("mutants")
            ignored = "ignore:Module already imported:pytest.PytestAssertRewriteWarning"
            # On one event loop: what only the other sees is rare, and half of the time is saved.
            options = ["-k", "not trio", "-x", "-q", "--tb=short", "-p", "no:cacheprovider", "-W", ignored]
            options += ["--basetemp", str(self.folder / "tmp")]
            status = pytest.main([*options, file])
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
