"""How the command starts, and what it loads before it is needed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import contemplate.cli.arguments
from contemplate._version import __version__

from .asking import command, run_fresh

LISTED = """
import sys
from contemplate.cli import main
try:
    main({arguments})
except SystemExit:
    pass
sys.stdout.flush()
sys.stderr.write(" ".join(sorted(sys.modules)))
"""
ROOM = Path(contemplate.cli.arguments.__file__).parent
BARE = "import sys; sys.stderr.write(' '.join(sorted(sys.modules)))"


def loaded(arguments: list[str]) -> tuple[str, set[str]]:
    """What was printed, and the modules that a bare interpreter does not have."""
    done = run_fresh([sys.executable, "-c", LISTED.format(arguments=arguments)])
    bare = run_fresh([sys.executable, "-c", BARE])
    assert done.returncode == 0, done.stderr
    return done.stdout, set(done.stderr.split()) - set(bare.stderr.split())


def test_the_version_loads_nothing_at_all() -> None:
    out, modules = loaded(["--version"])
    assert out == f"contemplate {__version__}\n"
    assert modules == {"__future__", "contemplate", "contemplate._version", "contemplate.cli"}


@pytest.mark.parametrize(
    "arguments", [["--help"], ["ask", "--help"], ["models", "--help"], ["serve", "--help"], ["view", "--help"]]
)
def test_help_loads_nothing_of_anybody_elses(arguments: list[str]) -> None:
    out, modules = loaded(arguments)
    assert "usage: contemplate" in out
    assert {name.split(".")[0] for name in modules} - sys.stdlib_module_names == {"contemplate"}
    assert {name for name in modules if name.startswith("contemplate.")} == {
        "contemplate._version",
        "contemplate.cli",
        "contemplate.cli.arguments",
        *(f"contemplate.cli.arguments.{each.stem}" for each in ROOM.glob("[!_]*.py")),
    }


def test_the_help_names_the_exit_codes() -> None:
    out, _ = loaded(["ask", "--help"])
    for code in (
        "0 answered",
        "1 no answer",
        "2 wrong usage",
        "3 an incomplete answer",
        "130 interrupted",
        "OPENAI_API_KEY",
    ):
        assert code in out


@pytest.mark.parametrize("how", [command(), [str(Path(sys.executable).parent / "contemplate")]])
def test_both_ways_to_call_it(how: list[str]) -> None:
    if not Path(how[0]).exists():
        pytest.skip("the command is not installed beside this interpreter")
    done = run_fresh([*how, "--version"])
    assert done.stdout == f"contemplate {__version__}\n"
