"""Hundreds of questions of a CSV file, in a process that is killed half-way."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from contemplate.journal import Journal
from contemplate.testing import FaultyServer
from contemplate.testing.faulty import Exchange, HttpError, Reply

from ..patience import PATIENCE
from ..processes import Process, run
from .pages import RECIPES

QUESTIONS = 400
PROGRAM = f"import runpy; runpy.run_path({str(RECIPES / 'csv_questions.py')!r}, run_name='__main__')"
COMMAND = [sys.executable, "-c", PROGRAM, "reviews.csv", "answers.csv"]


class Answers:
    """Answers by a server, which refuses some questions."""

    def __init__(self) -> None:
        self.refuses = {7, 11}
        self.asked: Counter[str] = Counter()

    def __call__(self, exchange: Exchange) -> Reply | str:
        self.asked[exchange.prompt] += 1
        number = int(exchange.prompt.split()[-1])
        return HttpError(400, "I do not like it") if number in self.refuses else f"Kind, said of {number}"


def question_of(number: int) -> str:
    return f"Is this,\nsaid like so, kind? {number}"


def rows(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def test_each_is_asked_once_though_the_process_is_killed(tmp_path: Path) -> None:
    with (tmp_path / "reviews.csv").open("w", newline="", encoding="utf-8-sig") as file:
        table = csv.writer(file)
        table.writerow(["id", "question"])
        table.writerows([f"r{number}", question_of(number)] for number in range(QUESTIONS))
    answers = Answers()
    with FaultyServer(answers) as server:
        environment = {**os.environ, "CONTEMPLATE_MODEL": f"{server.url}#model"}
        with Process[str](COMMAND, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL) as process:
            assert server.wait_for(lambda: answers.asked.total() > QUESTIONS // 2)
            process.kill()
        before = Counter(answers.asked)
        answered = {each.question for each in Journal(tmp_path / "answers.csv.db").runs() if each.status == "answered"}
        assert len(answered) > QUESTIONS // 4
        answers.refuses.remove(7)
        ended = run(COMMAND, PATIENCE, cwd=tmp_path, env=environment)
    assert (ended.returncode, ended.stderr) == (0, "")
    again = (answers.asked - before).keys()
    assert again.isdisjoint(answered)
    # What had failed is asked once more.
    assert {question_of(7), question_of(11)} <= again
    found = rows(tmp_path / "answers.csv")
    assert len(found) == QUESTIONS
    refused = found.pop("r11")
    assert refused["answer"] == ""
    assert "I do not like it" in refused["error"]
    assert {row["error"] for row in found.values()} == {""}
    assert all(row["answer"] == f"Kind, said of {name[1:]}" for name, row in found.items())
