"""`contemplate prompts`, and runs with prompts of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from contemplate.cli import main
from contemplate.prompts import Prompts, render
from contemplate.prompts.templates import names, template
from contemplate.testing import FaultyServer

from .asking import MERGED, contemplating, here, model


def test_prompts_are_listed_with_what_they_must_keep(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prompts"]) == 0
    lines = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert tuple(lines) == names()
    assert lines["plan_question"] == ["$question"]
    assert {"$question", "$mark", '"best"'} <= set(lines["judge_candidates"])
    assert lines["synthesis"] == []


def test_copies_are_where_one_begins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "a" / "prompts"
    assert main(["prompts", "--copy-to", str(folder)]) == 0
    assert str(folder) in capsys.readouterr().err
    assert Prompts.from_folder(folder).texts == {name: template(name).template for name in names()}
    (folder / "judge.md").write_text("mine")
    assert main(["prompts", "--copy-to", str(folder)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert (folder / "judge.md").read_text() == "mine"
    assert main(["prompts", "--copy-to", str(folder / "judge.md" / "x")]) == 2


def test_a_run_is_asked_and_gone_through_again_in_ones_own_words(tmp_path: Path) -> None:
    (tmp_path / "de").mkdir()
    (tmp_path / "de" / "synthesis.md").write_text("Du schreibst die Antwort.")
    journal = ["--journal", str(tmp_path / "runs.db")]
    options = ["--prompts", str(tmp_path / "de"), "--run-id", "one", *journal]
    with FaultyServer(contemplating) as server:
        asked = here("ask", "q", *model(server), *options)
        assert asked.stdout.strip() == MERGED, asked.stderr
        told = [str(each.body) for each in server.exchanges]
        again = here("resume", "one", *journal)
        assert again.stdout.strip() == MERGED, again.stderr
        assert len(server.exchanges) == len(told)
    assert any("Du schreibst die Antwort." in each for each in told)
    assert not any(render("synthesis") in each for each in told)
    replayed = here("replay", "one", *journal)
    assert replayed.stdout.strip() == MERGED, replayed.stderr


def test_a_folder_that_is_none_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "q", "--model", "http://127.0.0.1:9/v1#m", "--prompts", str(tmp_path / "none")]) == 2
    assert "there is no folder of prompts" in capsys.readouterr().err
