"""Imports go downwards only, as `.importlinter` and the package's docstring draw it."""

from __future__ import annotations

import ast
import configparser
import os
import subprocess
import sys
from pathlib import Path

import pytest

import contemplate

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "contemplate"
CONFIG = ROOT / ".importlinter"


def layers() -> list[list[str]]:
    """The layers of `.importlinter`, from the roof down."""
    parser = configparser.ConfigParser()
    parser.read(CONFIG)
    lines = parser["importlinter:contract:layers"]["layers"].split()
    rows: list[list[str]] = [[]]
    for word, after in zip(lines, [*lines[1:], ""], strict=True):
        if word in ("|", ":"):
            continue
        rows[-1].append(word)
        if after not in ("|", ":"):
            rows.append([])
    return [row for row in rows if row]


def test_every_module_is_in_a_layer() -> None:
    named = {name for row in layers() for name in row}
    source = Path(contemplate.__file__).parent
    there = {path.stem for path in source.iterdir() if (path / "__init__.py").exists() or path.suffix == ".py"}
    assert there - {"__init__", "_version"} == named


def test_the_map_in_the_docstring_is_that_of_the_contract() -> None:
    place = {name: number for number, row in enumerate(layers()) for name in row}
    drawn = [line.split("  ")[0] if "  " in line else line for line in _map()]
    rows = [[word.strip() for word in line.split(",") if word.strip() in place] for line in drawn]
    assert sum(map(len, rows)) >= 20
    lowest = -1
    for row in rows:
        assert row
        assert min(place[name] for name in row) > lowest, row
        lowest = max(place[name] for name in row)


def test_no_files_import_each_other_in_a_circle() -> None:
    """Imports for type checkers count, and so do those within functions."""
    grimp = pytest.importorskip("grimp", reason="grimp comes with import-linter, of the extra `lint`")
    graph = grimp.build_graph("contemplate", cache_dir=None)
    # Packages hand names on: what is imported from one is imported from its modules.
    sources = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    circle = _circle({name: found for name, found in sources.items() if name != "contemplate"})
    assert not circle, " -> ".join(circle)


def _circle(imports: dict[str, set[str]]) -> list[str]:
    """A circle among `imports`; empty if there is none."""
    done: set[str] = set()

    def search(name: str, trail: list[str]) -> list[str]:
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name in done or name not in imports:
            return []
        for each in sorted(imports[name]):
            found = search(each, [*trail, name])
            if found:
                return found
        done.add(name)
        return []

    return next((found for name in sorted(imports) if (found := search(name, []))), [])


def test_a_circle_is_found() -> None:
    assert _circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert _circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def _map() -> list[str]:
    lines = [line.strip() for line in (contemplate.__doc__ or "").splitlines() if line.startswith("    ")]
    assert len(lines) >= 8
    return lines


def test_lint_imports() -> None:
    pytest.importorskip("importlinter", reason="import-linter comes with the extra `lint`")
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()"]
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [*command, "--config", str(CONFIG), "--no-cache"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_no_two_classes_share_a_name() -> None:
    """Only the rooms of the APIs repeat names: those that the APIs themselves have."""
    homes: dict[str, set[str]] = {}
    for path in SOURCE.rglob("*.py"):
        room = path.relative_to(SOURCE)
        if room.parts[:2] in {("server", "chat"), ("server", "messages"), ("server", "responses")}:
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, set()).add(str(room))
    assert len(homes) > 300
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}
