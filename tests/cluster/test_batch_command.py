"""`contemplate batch --cluster`, as it is typed; and what `contemplate runs prune` leaves of it."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from contemplate.cli import main
from contemplate.cluster import prune_queues
from contemplate.cluster.engine.run_queue import AT_ONCE, RunQueue
from contemplate.cluster.site import Site
from contemplate.journal import prune

from .stage import Stage, wait_until


def lines(path: Path) -> list[dict[str, Any]]:
    return sorted((json.loads(line) for line in path.read_text().splitlines()), key=lambda each: each["index"])


@pytest.fixture
def command(workers: str, tmp_path: Path) -> list[str]:
    (tmp_path / "rows.csv").write_text("id,question\na,one\nb,fail at once\nc,three\n")
    out, mind = str(tmp_path / f"{tmp_path.name}.jsonl"), ["--mind", "voters", "--mode", "instant"]
    rows = ["batch", str(tmp_path / "rows.csv"), "--id-column", "id", "--question-column", "question"]
    return [*rows, "--out", out, "--cluster", "--journal", workers, *mind]


def answers(command: Sequence[str]) -> list[dict[str, Any]]:
    return lines(Path(command[command.index("--out") + 1]))


def test_rows_are_answered_by_workers(
    command: list[str], on_stage: Stage, capsys: pytest.CaptureFixture[str], workers: str
) -> None:
    assert main(command) == 3
    assert "2 answered; 1 failed" in capsys.readouterr().err
    assert [(each["id"], each["output"], each["calls"]) for each in answers(command) if not each["error"]] == [
        ("a", "answer 0", 1),
        ("c", "answer 0", 1),
    ]
    assert main(command) == 1
    # On another machine, where there is no file with answers.
    Path(command[command.index("--out") + 1]).unlink()
    assert main(command) == 3
    assert [each["error"] is None for each in answers(command)] == [True, False, True]
    asked = Counter(question for _, _, question in on_stage.asked())
    assert asked == {"one": 1, "three": 1, "fail at once": 3}


def test_ctrl_c_cancels_what_it_has_submitted(
    command: list[str], on_stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str], workers: str
) -> None:
    (tmp_path / "rows.csv").write_text("id,question\n" + "".join(f"{i},wait 0 {i}\n" for i in range(6)))
    command += ["--name", "interrupted"]

    def press() -> None:
        wait_until(lambda: len(on_stage.asked()) >= 4)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    assert main(command) == 130
    thread.join()
    assert "to go on, give the same command again" in capsys.readouterr().err
    with closing(RunQueue(Site.of(workers))) as queue:
        assert {each.state for each in queue.runs([f"interrupted.{i}" for i in range(6)])} == {"cancelled"}
    on_stage.open()
    assert main(command) == 0
    assert len(answers(command)) == 6


def test_queues_forget_what_the_journal_has_not_any_more(
    command: list[str], on_stage: Stage, capsys: pytest.CaptureFixture[str], workers: str
) -> None:
    site = Site.of(workers)
    assert main([*command, "--name", "pruned"]) == 3
    with closing(RunQueue(site)) as queue, closing(site.journal()) as journal:
        runs = [f"pruned.{row}" for row in "abc"]
        # What is in the journal may go on, with what it was asked.
        prune_queues(workers, 0.0)
        assert len(queue.runs(runs)) == 3
        assert prune(journal, 0.0) >= 3
        assert main(["runs", "prune", "--older-than", "1h", "--journal", workers]) == 0
        assert len(queue.runs(runs)) == 3
        assert main(["runs", "prune", "--older-than", "0m", "--journal", workers]) == 0
        assert queue.runs(runs) == []
        assert queue.forget(["unknown"]) == 0
        assert queue.over(0.0, AT_ONCE) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--cluster", "--total-cost", "5"], r'Budget("...", cost_usd=..., journal="postgresql://..."'),
        (["--cluster", "--mcp", "server"], "--mcp cannot travel to workers"),
        (["--cluster", "--prompts", "folder"], "--prompts cannot travel"),
        (["--cluster", "--program", "file.py"], "--program cannot travel"),
        (["--cluster", "--yes-to", "delete"], "--yes-to cannot travel"),
        (["--cluster", "--no-journal"], "workers write down what they do"),
        (["--cluster", "--estimate"], "mind.estimate(question)"),
        (["--cluster", "--name", "a b"], "name='a b'"),
        (["--cluster", "--journal", "runs.db"], "one machine only"),
        (["--mind", "app:mind"], "let them answer: --cluster"),
    ],
)
def test_what_workers_cannot_be_given_is_said_before_anything_is_asked(
    options: list[str],
    says: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows, out = tmp_path / "rows.txt", tmp_path / "out.jsonl"
    rows.write_text("one\n")
    monkeypatch.setenv("CONTEMPLATE_JOURNAL", "postgresql://127.0.0.1:1/nowhere")
    assert main(["batch", str(rows), "--out", str(out), *options]) == 2
    assert says in capsys.readouterr().err
