"""Programs that nobody has looked at: what they cannot do, and that they end within their limits."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import anyio
import pytest
from pydantic import JsonValue

from contemplate.errors import MissingDependencyError, ProgramError
from contemplate.plan import Program
from contemplate.tools.sandbox import ProgramFunction, program_in, run_program

from .patience import PATIENCE

pytest.importorskip("pydantic_monty")
pytestmark = pytest.mark.anyio

SMALL = Program(seconds=0.5, memory_mib=16, output_kib=4)

REACHING_OUT = {
    "open(r'{secret}').read()": "PermissionError",
    "open('/tmp/x', 'w').write('x')": "PermissionError",
    "from pathlib import Path\nprint(Path(r'{secret}').read_text())": "PermissionError",
    "from pathlib import Path\nprint(list(Path('/').iterdir()))": "PermissionError",
    "__import__('os').system('echo hi')": "NameError",
    "import os\nprint(os.environ)": "RuntimeError",
    "import os\nprint(os.getenv('HOME'))": "RuntimeError",
    "import os\nos.system('echo hi')": "AttributeError",
    "import os\nprint(os.listdir('/'))": "Error",
    "import socket": "ModuleNotFoundError",
    "import subprocess": "ModuleNotFoundError",
    "import urllib.request": "ModuleNotFoundError",
    "import ctypes": "ModuleNotFoundError",
    "import contemplate": "ModuleNotFoundError",
    "import importlib": "ModuleNotFoundError",
    "print(().__class__.__base__.__subclasses__())": "AttributeError",
    "print(price.__globals__)": "Error",
    "print((lambda: 1).__code__)": "AttributeError",
    "eval(\"open(r'{secret}')\")": "PermissionError",
    "exec('import socket')": "ModuleNotFoundError",
    "print(input())": "NameError",
    "exit()": "NameError",
    "raise SystemExit": "SystemExit",
    "raise KeyboardInterrupt": "KeyboardInterrupt",
}

GREEDY = {
    "while True: pass": "time limit",
    "try:\n    while True: pass\nexcept BaseException:\n    print('on')": "time limit",
    "import time\nwhile True: time.sleep(3600)": "",
    "x = 'x' * 10 ** 10": "memory limit",
    "grown = []\nwhile True: grown.append('x' * 1000)": "limit",
    "grown = [0]\nwhile True: grown = grown + grown": "memory limit",
    "grown = {}\nn = 0\nwhile True:\n    grown[n] = n\n    n += 1": "limit",
    "x = 2 ** 10 ** 10": "memory limit",
    "x = 7\nwhile True: x = x * x": "limit",
    "print(10 ** 100000)": "4300 digits",
    "def deep(n): return deep(n + 1)\ndeep(0)": "RecursionError",
    "class A:\n    def __repr__(self): return repr(self)\nprint(A())": "RecursionError",
    "while True: print('x' * 1000)": "",
    "print('x' * 5000)": "more than 4 KiB",
    "import re\nre.match('(a+)+$', 'a' * 40 + 'b')": "",
    "print(sum(range(10 ** 12)))": "time limit",
    "print(sorted(range(10 ** 9)))": "limit",
    "while True: price('x')": "limit",
    "(" * 5000: "",
    "-" * 100_000 + "1": "",
    "x = " + "[" * 3000 + "]" * 3000: "",
    "\0": "",
}


async def price(*_: object, **__: object) -> JsonValue:
    return 1.5


FUNCTIONS: dict[str, ProgramFunction] = {"price": price}


def limits(code: str) -> Program:
    """The limits of one of `GREEDY`: no time for what need meet no other limit, and time enough for what should."""
    seconds = 0.1 if GREEDY[code] in ("", "limit", "time limit") else PATIENCE
    return SMALL.model_copy(update={"seconds": seconds})


async def problem(code: str, program: Program = SMALL) -> str:
    with pytest.raises(ProgramError) as caught:
        await run_program(code, program, FUNCTIONS)
    return caught.value.message


@pytest.mark.parametrize("code", REACHING_OUT)
async def test_nothing_outside_can_be_reached(code: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("the secret word")
    told = await problem(code.replace("{secret}", str(tmp_path / "secret")))
    assert REACHING_OUT[code] in told
    assert "secret word" not in told


@pytest.mark.parametrize("code", GREEDY, ids=lambda code: str(code)[:40])
async def test_what_takes_too_much_ends_in_time(code: str) -> None:
    began = time.perf_counter()
    assert GREEDY[code] in await problem(code, limits(code))
    assert time.perf_counter() - began < PATIENCE


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_this_process_does_not_grow_and_goes_on() -> None:
    """In a process of its own, as what the highest use of memory was cannot be asked for a part of the time."""
    pytest.importorskip("resource")
    script = (
        "import resource, sys, anyio\n"
        "from tests.test_sandbox import GREEDY, limits, problem\n"
        "anyio.run(problem, 'print(')\n"
        "def used(who): return resource.getrusage(who).ru_maxrss / (1024 if sys.platform == 'linux' else 1024 ** 2)\n"
        "before = used(resource.RUSAGE_SELF)\n"
        "for code in GREEDY: anyio.run(problem, code, limits(code))\n"
        "print(used(resource.RUSAGE_SELF) - before, used(resource.RUSAGE_CHILDREN))\n"
    )
    done = await anyio.run_process([sys.executable, "-W", "error", "-c", script], check=False)
    assert done.returncode == 0, done.stderr.decode()
    own, workers = map(float, done.stdout.split())
    assert own < 64
    assert workers < 400


async def test_the_event_loop_goes_on_while_a_program_runs() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await anyio.sleep(0.001)

    async with anyio.create_task_group() as group:
        group.start_soon(tick)
        await problem("while True: pass")
        group.cancel_scope.cancel()
    assert ticks > 3


needs_ps = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("ps") is None, reason="asks ps for processes, as Linux has it"
)


def workers() -> set[str]:
    """The interpreters that run now, as children of this process."""
    listed = subprocess.run(
        ["ps", "-o", "pid=,stat=,args=", "--ppid", str(os.getpid())], capture_output=True, text=True
    )
    return {line.split()[0] for line in listed.stdout.splitlines() if "monty" in line and "Z" not in line.split()[1]}


async def gone(before: set[str]) -> bool:
    with anyio.move_on_after(PATIENCE):
        while workers() - before:
            await anyio.sleep(0.01)
        return True
    return False


@needs_ps
async def test_a_cancelled_program_ends_within_its_time() -> None:
    before = workers()
    async with anyio.create_task_group() as group:
        group.start_soon(run_program, "while True: pass", Program(seconds=2), {})
        while not workers() - before:
            await anyio.sleep(0.01)
        group.cancel_scope.cancel()
    assert await gone(before)


@needs_ps
async def test_a_program_that_is_cancelled_while_it_waits_ends_at_once() -> None:
    waiting = anyio.Event()

    async def wait() -> JsonValue:
        waiting.set()
        await anyio.sleep_forever()
        return None

    before = workers()
    async with anyio.create_task_group() as group:
        group.start_soon(run_program, "print(wait())", Program(seconds=10 * PATIENCE), {"wait": wait})
        await waiting.wait()
        assert workers() - before
        group.cancel_scope.cancel()
    assert await gone(before)


async def test_programs_do_not_see_each_other() -> None:
    assert await run_program("shared = 1\nprint(shared)", SMALL, {}) == "1"
    assert "NameError" in await problem("print(shared)")


async def test_waiting_for_a_function_takes_no_time_of_the_program() -> None:
    async def slow() -> JsonValue:
        await anyio.sleep(SMALL.seconds * 2)
        return 5

    assert await run_program("print(slow())", SMALL, {"slow": slow}) == "5"


@pytest.mark.parametrize("value", [None, True, 5, -1.5, "é\n", [1, [2]], {"a": {"b": None}}])
async def test_json_goes_both_ways(value: JsonValue) -> None:
    seen: list[object] = []

    async def same(given: object, *, again: object) -> JsonValue:
        seen.extend((given, again))
        return value

    code = f"x = same({value!r}, again={value!r})\nassert x == {value!r}\nprint(type(x) == type({value!r}))"
    assert await run_program(code, SMALL, {"same": same}) == "True"
    assert seen == [value, value]


@pytest.mark.parametrize("code", ["def price(fruit):\n    return 0.5", "x = 1\nasync  def price(): 1"])
async def test_a_function_that_is_given_cannot_be_made_up(code: str) -> None:
    assert "price exists already" in await problem(code)
    assert await run_program("def prices(): return price()\nprint(prices())", SMALL, FUNCTIONS) == "1.5"


async def test_a_function_can_have_another_name_in_the_program() -> None:
    for code in (
        "cost = price\nprint(cost('fig') * 2)",
        "from tools import price\nprint(price('fig') * 2)",
        "from tools import price as cost\nprint(cost('fig') * 2)",
        "import tools\nprint(tools.price('fig') * 2)",
    ):
        assert await run_program(code, SMALL, FUNCTIONS) == "3.0"
    assert "ImportError" in await problem("from tools import cost")
    assert "AttributeError" in await problem("import tools\nprint(tools.price.__globals__)")


async def test_many_programs_at_once() -> None:
    printed: dict[int, str] = {}

    async def run(number: int) -> None:
        printed[number] = await run_program(f"print(sum(range({number})) + price())", Program(), FUNCTIONS)

    async with anyio.create_task_group() as group:
        for number in range(24):
            group.start_soon(run, number)
    assert printed == {number: str(math.comb(number, 2) + 1.5) for number in range(24)}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("no program", None),
        ("```python\n```", None),
        ("```python\nprint(1)\n```", "print(1)"),
        ("a\n```py3\nprint('```')\n```\n", "print('```')"),
        ("```json\n{}\n```", None),
        ("```\nx\n```\n```python\ny\n```\n```\nz\n```", "y"),
        ("``python\nx", None),
    ],
)
def test_which_block_is_the_program(text: str, code: str | None) -> None:
    assert program_in(text) == code


def test_a_long_text_is_searched_in_linear_time() -> None:
    began = time.perf_counter()
    for piece in ("```python\nx\n", "``` ", "```\n" * 2 + "   "):
        program_in(piece * 100_000)
    # Looking at each pair of fences, it would take far longer.
    assert time.perf_counter() - began < PATIENCE


async def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contemplate.tools.program_steps.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="a program that is run"):
        await run_program("print(1)", SMALL, {})


async def test_what_is_no_answer_is_an_error() -> None:
    assert await problem("x = 5\n") == "it printed nothing"
    assert await problem("print('  ')") == "it printed nothing"
    assert await problem("[1, 2]") == "it printed nothing"
    assert await run_program("print(1)\n[2]", SMALL, {}) == "1"
    assert await run_program("2 + 3", SMALL, {}) == "5"
