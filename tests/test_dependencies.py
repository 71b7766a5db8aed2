"""What the package imports is declared: nothing is there only because something else happens to need it."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import contemplate

SOURCE = Path(contemplate.__file__).parent
PROJECT = SOURCE.parents[1] / "pyproject.toml"
# Imported only where it is running, which takes that it is installed.
RUNNING = {"trio"}


def imported(path: Path) -> set[str]:
    """Return the top-level packages that a file imports from outside its own."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names - {"contemplate"} - RUNNING


def normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def test_every_import_is_of_a_declared_distribution() -> None:
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    ours = [*project["dependencies"], *(each for name in extras.keys() - {"test", "lint"} for each in extras[name])]
    declared = {normal(re.split(r"[\s<>=!~;\[]", requirement)[0]) for requirement in ours}
    distributions = packages_distributions()
    undeclared = {
        f"{path.relative_to(SOURCE)}: {package}"
        for path in SOURCE.rglob("*.py")
        for package in imported(path)
        if not declared & {normal(each) for each in distributions.get(package, [package])}
    }
    assert not undeclared
