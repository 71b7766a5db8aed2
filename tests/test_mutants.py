"""The tool that says how strong the tests are: its mutants, and who tries them."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

from benchmarks.mutants.__main__ import HERE, core, sample, scores, without_equivalents
from benchmarks.mutants.operators import Mutant, mutants
from benchmarks.mutants.trials import PACKAGE, ROOT

TABLE: dict[str, list[str]] = tomllib.loads((HERE / "tests.toml").read_text("utf-8"))["tests"]
CORE = (
    *("run", "aggregators", "planners", "answers", "agents", "journal", "tools", "server"),
    *("models/wrappers", "models/openai", "models/schemas"),
)


@pytest.mark.parametrize(
    ("line", "changed"),
    [
        ("x = a < b <= c", ["x = a <= b <= c", "x = a < b < c"]),
        ("x = a is not None", ["x = a is None"]),
        ("x = a in b", ["x = a not in b"]),
        ("x = a and (b or c)", ["x = a or (b or c)", "x = a and (b and c)"]),
        ("x = (a + b) * c", ["x = (a + b) / c", "x = (a - b) * c"]),
        ("x -= a", ["x += a"]),
        ("x = not a", ["x = a"]),
        ("x = True", ["x = False"]),
        ("x = -3", ["x = 3", "x = -4"]),
        ("x = 0.5", ["x = 1.0"]),
        ("x = 20", ["x = 40"]),
        ("x = min(a)", ["x = max(a)"]),
        ("x = b if a else c", ["x = b if (not (a)) else c"]),
        ("x = [b for b in a if b]", ["x = [b for b in a if (not (b))]"]),
        ("f(a)", ["pass"]),
        ("raise a", ["pass"]),
        ("x = f(a, b=c, d=e)", ["x = f(a, b=c, )", "x = f(a, d=e)"]),
        ("with a: f()", ['with __import__("contextlib").nullcontext(): f()', "with a: pass"]),
        ('x: Literal[1] | None = f"{1 + 1}"', []),
        ("def f(a: Literal[1] = a) -> Literal[2]: return g", []),
        ("assert a == b", []),
        ("raise AssertionError(a == b)", []),
        ('x = "\u00e9", a - b', ['x = "\u00e9", a + b']),
    ],
)
def test_what_is_changed(line: str, changed: list[str]) -> None:
    source = f"# one\n{line}\n# three\n"
    found = mutants("m.py", source)
    assert sorted(each.now for each in found) == sorted(changed)
    assert all((each.was, each.line) == (line, 2) for each in found)
    assert [each.of(source) for each in found] == [source.replace(line, each.now) for each in found]


@cache
def all_mutants() -> list[Mutant]:
    return list(core(TABLE))


def test_every_mutant_is_python() -> None:
    for each in sample(all_mutants(), 50, seed=1):
        source = (ROOT / PACKAGE / each.module).read_text("utf-8")
        assert ast.dump(ast.parse(each.of(source))) != ast.dump(ast.parse(source)), each


def test_each_module_of_the_core_has_its_tests() -> None:
    home = ROOT / PACKAGE
    for path in (path for room in CORE for path in (home / room).rglob("*.py")):
        module = path.relative_to(home).as_posix()
        assert module.startswith(tuple(TABLE)) or not mutants(module, path.read_text("utf-8")), module
    assert [key for key in TABLE if not (home / key).exists()] == []
    assert {file for files in TABLE.values() for file in files if not (ROOT / file).is_file()} == set()


def test_a_sample_is_stable() -> None:
    found = [Mutant("m.py", 1, "a", str(number), 0, 1, "") for number in range(100)]
    assert sample(found, 10, seed=0) == sample(found, 10, seed=0) != sample(found, 10, seed=1)
    left = [each for each in found if each not in sample(found, 10, seed=0)[:1]]
    assert set(sample(left, 10, seed=0)) >= set(sample(found, 10, seed=0)[1:])


def test_each_room_has_its_score() -> None:
    modules = ("run/a.py", "run/b.py", "models/openai/c.py", "usage.py")
    tried = {Mutant(module, 1, "a", "b", 0, 1, ""): module != "run/b.py" for module in modules}
    rooms = ["   1 of   1  models/openai", "   1 of   2  run", "   1 of   1  usage.py"]
    assert list(scores(tried)) == [*rooms, "3 of 4 mutants killed, 75.0%"]


def test_what_is_equivalent_is_known_by_its_text() -> None:
    listed = tomllib.loads((HERE / "equivalents.toml").read_text("utf-8")).get("equivalent", [])
    found = all_mutants()
    assert len(without_equivalents(found, listed)) <= len(found) - len(listed)
    assert all(len(each["why"]) > 10 for each in listed)
    with pytest.raises(ValueError, match="no mutant any more"):
        without_equivalents(found, [{"module": "m.py", "was": "a", "now": "b"}])


TRY = """
import sys
from pathlib import Path
from benchmarks.mutants.operators import mutants
from benchmarks.mutants.trials import PACKAGE, Trials

root, folder = map(Path, sys.argv[1:])
trials = Trials(folder, root)
trials.copy()
for each in mutants("m.py", (root / PACKAGE / "m.py").read_text()):
    print(each.now, trials.survives(each, ["tests/test_broken.py", "tests/test_m.py"]), sep=": ")
print(*trials.broken)
"""


def test_a_mutant_is_tried_in_a_copy(tmp_path: Path) -> None:
    root, folder = tmp_path / "root", tmp_path / "copy"
    folder.mkdir()
    (root / PACKAGE).mkdir(parents=True)
    (root / PACKAGE / "__init__.py").touch()
    (root / "tests").mkdir()
    (root / PACKAGE / "m.py").write_text("def least(a, b):\n    return a if a < b else b\n")
    (root / "tests" / "test_m.py").write_text(
        "from contemplate.m import least\n\ndef test_m():\n    assert least(1, 2) == least(2, 1) == 1\n"
    )
    (root / "tests" / "test_broken.py").write_text("def test_it():\n    assert False\n")
    for name in ("pyproject.toml", "README.md"):
        (root / name).touch()
    done = subprocess.run(
        [sys.executable, "-c", TRY, root, folder], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout.splitlines() == ["return a if a <= b else b: True", "tests/test_broken.py"]
    assert (root / PACKAGE / "m.py").read_text() == (folder / PACKAGE / "m.py").read_text()
