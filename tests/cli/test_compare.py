"""`contemplate compare`: rows in, a table out, in modes or in the ways of a file."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from contemplate.cli.arguments.rows import KEYS
from contemplate.cli.compare.ways import _KEYS
from contemplate.testing import FaultyServer
from contemplate.testing.faulty import Exchange, Hold, HttpError, Reply

from ..patience import PATIENCE
from .asking import NOWHERE, command, here, model, process

ROWS = "".join(
    json.dumps({"question": f"What is {n} and {n}?", "answer": 2 * n, "key": f"k{n}"}) + "\n" for n in range(5)
)
WAYS = """
from beside import model
from contemplate import Contemplator

ways = {"instant": Contemplator(model, mode="instant"), "vote": Contemplator(model, mode="vote")}
"""
MODEL = """
from contemplate.testing import ScriptedModel


def script(request):
    number = 2 * int(request.messages[-1].text.split()[2])
    return f"Answer: {number + (number == 8 and not request.settings.seed)}"


model = ScriptedModel(script)
"""


def double(exchange: Exchange) -> Reply | str:
    return f"Answer: {2 * int(exchange.prompt.split()[2])}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in (("rows.jsonl", ROWS), ("ways.py", WAYS), ("beside.py", MODEL)):
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_modes_are_compared_on_the_rows(folder: Path) -> None:
    with FaultyServer(double) as server:
        (folder / "instant, vote").write_text("a file of this name has no ways")
        said = here("compare", "rows.jsonl", "--ways", "instant, vote", "--against", "vote", *model(server))
        assert said.returncode == 0, said.stderr
        asked = len(server.exchanges)
        again = here("compare", "rows.jsonl", "--ways", "instant, vote", "--against", "vote", *model(server))
        assert len(server.exchanges) == asked == 5 + 5 * 3
    head, _, instant, vote = said.stdout.splitlines()
    assert "against vote" in head
    assert instant.split()[1:6] == ["instant", "|", "5", "|", "100.0"]
    assert "+0.0 (" in instant
    assert vote.split()[1:4] == ["vote", "|", "5"]
    assert again.stdout == said.stdout
    assert "spent by this call: 20 calls · " in said.stderr
    assert "spent by this call: 0 calls · " in again.stderr
    assert (folder / "rows.jsonl.compare.db").exists()


def test_the_ways_of_a_file_are_compared_and_recorded(folder: Path) -> None:
    written = ("--records", "records.jsonl", "--plot", "plot.svg")
    said = here("compare", "rows.jsonl", "--ways", "ways.py", "--id-column", "key", *written)
    assert said.returncode == 0, said.stderr
    assert "vote</text>" in (folder / "plot.svg").read_text()
    assert [line.split("|")[3].strip() for line in said.stdout.splitlines()[2:]] == ["80.0 %", "100.0 %"]
    records: list[dict[str, Any]] = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    assert [(each["way"], each["id"], each["score"]) for each in records][3:6] == [
        ("instant", "k3", 1.0),
        ("instant", "k4", 0.0),
        ("vote", "k0", 1.0),
    ]


def test_a_file_may_make_ways_of_a_model_and_score_by_itself(folder: Path) -> None:
    (folder / "ways.py").write_text(
        "from contemplate import Contemplator\n"
        "def ways(model): return {'plain': Contemplator(model, mode='instant')}\n"
        "def metric(result, expected): return len(result.text) / 100 if expected is None else 0\n"
    )
    (folder / "rows.jsonl").write_text('"What is 1 and 1?"\n"What is 50 and 50?"\n')
    with FaultyServer(double) as server:
        said = here("compare", "rows.jsonl", "--ways", "ways.py", "--no-journal", *model(server))
    assert said.returncode == 0, said.stderr
    assert "| 0.100 |" in said.stdout
    assert not list(folder.glob("*.db"))


@pytest.mark.parametrize(
    ("key", "said", "expected", "right"),
    [
        (None, "Answer: 4 dollars", "4", "0.0 %"),
        ("final", "Answer: four", "4", "100.0 %"),
        ("math", "It is 4 dollars.", "4", "100.0 %"),
        ("choice", "So it is.\nAnswer: (b)", "B", "100.0 %"),
        ("text", "A  Cat", "a cat", "100.0 %"),
    ],
)
def test_a_key_says_what_is_equal(key: str | None, said: str, expected: str, right: str, folder: Path) -> None:
    (folder / "rows.jsonl").write_text(json.dumps({"question": "q", "answer": expected}))
    with FaultyServer(lambda exchange: said) as server:
        options = ["--no-journal", *(["--key", key] if key else [])]
        done = here("compare", "rows.jsonl", "--ways", "instant", *options, *model(server))
    assert done.returncode == 0, done.stderr
    assert f"| {right} |" in done.stdout


def test_each_key_is_there() -> None:
    assert tuple(_KEYS) == KEYS


def test_what_was_not_measured_is_told(folder: Path) -> None:
    def script(exchange: Exchange) -> Reply | str:
        return HttpError(401) if "4 and 4" in exchange.prompt else double(exchange)

    with FaultyServer(script) as server:
        said = here("compare", "rows.jsonl", "--ways", "instant", *model(server))
    assert said.returncode == 3
    assert "instant: not counted, as they say nothing of it (1 run): " in said.stdout
    assert here("compare", "rows.jsonl", "--ways", "instant", "--quiet", *NOWHERE).returncode == 1


def test_a_comparison_that_is_interrupted_goes_on(folder: Path) -> None:
    held = threading.Event()

    def script(exchange: Exchange) -> Reply | str:
        return double(exchange) if held.is_set() or len(server.exchanges) < 7 else Hold(held)

    arguments = ["compare", "rows.jsonl", "--ways", "instant,thinking", "--concurrency", "1"]
    with FaultyServer(script) as server:
        with process(command(*arguments, *model(server))) as running:
            arrived = server.wait_for(lambda: len(server.exchanges) >= 7, PATIENCE)
            running.send_signal(signal.SIGINT)
            _, err = running.communicate(timeout=PATIENCE)
        assert arrived
        assert running.returncode == 130
        assert "interrupted: 6 of 10" in err
        assert "to go on, give the same command again" in err
        held.set()
        said = here(*arguments, *model(server))
        assert said.returncode == 0, said.stderr
        assert len(server.exchanges) == 11


def test_an_estimate_makes_no_call(folder: Path) -> None:
    said = here("compare", "rows.jsonl", "--ways", "instant,vote", "--estimate", *NOWHERE)
    assert said.returncode == 0
    assert said.stdout.startswith("instant: 5 rows; of each, by the first:\ncalls          1;")
    assert "\nvote: 5 rows" in said.stdout


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["missing.jsonl"], "No such file"),
        (
            ["rows.jsonl", "--answer-column", "gold"],
            "line 1: there is no 'gold'; there are: 'question', 'answer'",
        ),
        (["rows.jsonl", "--answer-column", "gold"], "; and 2 more"),
        (["rows.jsonl", "--question-column", "prompt"], "there is no 'prompt'"),
        (["empty.jsonl"], "no row that can be asked"),
        (["bad.jsonl"], "line 2: it is not JSON"),
        (["null.jsonl"], "line 2: 'answer' is empty"),
        (["rows.jsonl", "--ways", "instat,vote"], "'instat' is neither a mode nor a file"),
        (["rows.jsonl", "--ways", ","], "nothing is neither a mode"),
        (["rows.jsonl", "--ways", "none.py"], "there is no such file"),
        (["rows.jsonl", "--ways", "beside.py"], "beside.py: ways is not there"),
        (["rows.jsonl", "--ways", "list.py"], "list.py: ways is a list"),
        (["rows.jsonl", "--ways", "text.py"], "the way 'instant' is a str"),
        (["rows.jsonl", "--ways", "broken.py"], "broken.py: NameError: name 'oh' is not defined"),
        (["rows.jsonl", "--ways", "leaves.py"], "leaves.py: SystemExit: no key"),
        (["rows.jsonl", "--journal", "a.db", "--no-journal"], "--journal and --no-journal exclude each other"),
        (["rows.jsonl", "--ways", "metric.py"], "metric.py: metric is a int"),
        (["rows.jsonl", "--ways", "ways.py", "--max-calls", "3"], "--max-calls is for modes"),
        (["rows.jsonl", "--ways", "ways.py"], "--model is for modes"),
        (["rows.jsonl", "--against", "council"], "one of the ways: 'instant', 'vote', 'auto'"),
        (["rows.jsonl", "--name", "a b"], "compare(name='a b')"),
        (["rows.jsonl", "--records", "none/records.jsonl"], "it cannot be written"),
        (["rows.jsonl", "--plot", "plot.png"], "it is written as SVG"),
        (["rows.jsonl", "--ways", "key.py", "--key", "math"], "key.py says how answers are scored"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_asked(arguments: list[str], part: str, folder: Path) -> None:
    for name, text in (
        ("empty.jsonl", ""),
        ("null.jsonl", ROWS.splitlines()[0] + '\n{"question": "a", "answer": null}\n'),
        ("bad.jsonl", ROWS.splitlines()[0] + "\n{broken\n"),
        ("list.py", "ways = ['instant']"),
        ("leaves.py", "import sys; sys.exit('no key')"),
        ("text.py", "ways = lambda model: {'instant': 'instant'}"),
        ("broken.py", "oh"),
        ("key.py", "key = len\ndef ways(model): return {'a': None}"),
        ("metric.py", "from ways import ways\nways = lambda model, ways=ways: ways\nmetric = 5"),
    ):
        (folder / name).write_text(text)
    said = here("compare", *arguments, *NOWHERE)
    assert said.returncode == 2, said.stderr
    assert part in said.stderr
