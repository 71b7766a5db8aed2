"""`contemplate view`: a viewer of one's own, and a run as a page of one file."""

from __future__ import annotations

import json
import re
import signal
import stat
import urllib.request
from pathlib import Path
from unittest.mock import patch

import pytest

from contemplate import Contemplator
from contemplate.journal import Journal, RunRecord
from contemplate.testing import FaultyServer, ScriptedModel

from ..patience import PATIENCE
from .asking import command, contemplating, here, model, process


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "runs.db"
    monkeypatch.setenv("CONTEMPLATE_JOURNAL", str(path))
    Contemplator(ScriptedModel("yes"), mode="thinking", journal=f"sqlite:///{path}").run_sync("Why?", run_id="mine")
    return path


def test_it_shows_runs_to_whoever_has_the_address(journal: Path) -> None:
    with process(command("view", "mine", "--no-browser")) as running:
        assert running.stdout is not None
        found = re.search(r"(http://127\.0\.0\.1:\d+)/#key=([\w-]{43})&to=(\S+)", running.stdout.readline())
        assert found is not None
        url, key, place = found.groups()
        assert place == "/runs/mine"
        asked = urllib.request.Request(f"{url}/viewer/runs", headers={"authorization": f"Bearer {key}"})
        with urllib.request.urlopen(asked) as response:
            assert [run["run_id"] for run in json.load(response)["runs"]] == ["mine"]
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=PATIENCE)
    assert (running.returncode, err) == (0, "")


def test_it_ends_while_a_run_is_followed(journal: Path) -> None:
    Journal(journal).save(RunRecord(run_id="theirs", question="Still?", model="m"))
    with process(command("view", "theirs", "--no-browser")) as running:
        assert running.stdout is not None
        found = re.search(r"(http://127\.0\.0\.1:\d+)/#key=([\w-]{43})", running.stdout.readline())
        assert found is not None
        url, key = found.groups()
        asked = urllib.request.Request(f"{url}/viewer/runs/theirs/events", headers={"authorization": f"Bearer {key}"})
        with urllib.request.urlopen(asked) as response:
            assert json.loads(response.readline())["question"] == "Still?"
            running.send_signal(signal.SIGINT)
            _, err = running.communicate(timeout=PATIENCE)
    assert (running.returncode, err) == (0, "")


def test_the_browser_is_not_told_the_key_where_others_see_it(journal: Path) -> None:
    opened: list[str] = []

    def see(address: str) -> None:
        opened.append(address)
        page = Path(address.removeprefix("file://"))
        assert stat.S_IMODE(page.stat().st_mode) == 0o600
        assert "#key=" in page.read_text("utf-8")
        raise KeyboardInterrupt

    with patch("webbrowser.open", see):
        assert here("view").returncode == 130
    assert opened[0].startswith("file://")
    assert "key" not in opened[0]
    assert not Path(opened[0].removeprefix("file://")).exists()


def test_a_run_becomes_a_page_and_a_page_is_shown(journal: Path, tmp_path: Path) -> None:
    page = tmp_path / "run.html"
    assert here("view", "last", "--export", str(page)).returncode == 0
    assert "<title>Why?</title>" in page.read_text("utf-8")
    again = here("view", "last", "--export", str(page))
    assert (again.returncode, "there already" in again.stderr) == (2, True)
    other = tmp_path / "again.html"
    assert here("view", str(page), "--export", str(other)).returncode == 0
    assert "<title>Why?</title>" in other.read_text("utf-8")


def test_events_that_were_printed_are_shown(tmp_path: Path) -> None:
    with FaultyServer(contemplating) as server:
        asked = here("ask", "Which?", *model(server), "--events", "--no-journal")
    events = tmp_path / "events.jsonl"
    events.write_text(asked.stdout, encoding="utf-8")
    page = tmp_path / "run.html"
    assert here("view", str(events), "--export", str(page)).returncode == 0
    assert "<title>Which?</title>" in page.read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "there is no run 'nothing'"),
        (["--export", "run.html"], "--export needs a run"),
        (["http://127.0.0.1:9", "--export", "run.html"], "exported by its page"),
    ],
)
def test_what_cannot_be_shown_is_told(journal: Path, arguments: list[str], said: str) -> None:
    shown = here("view", *arguments)
    assert shown.returncode == 2
    assert said in shown.stderr


def test_a_file_of_something_else_is_told(journal: Path, tmp_path: Path) -> None:
    for text, said in (("", "no events"), ("hello\n", "line 1 is no event"), ("<html></html>", "line 1")):
        path = tmp_path / "other.txt"
        path.write_text(text, encoding="utf-8")
        shown = here("view", str(path))
        assert shown.returncode == 2
        assert said in shown.stderr


def test_a_server_is_opened_where_it_is(journal: Path) -> None:
    opened: list[str] = []
    with patch("webbrowser.open", opened.append):
        assert here("view", "http://127.0.0.1:8400").returncode == 0
    assert opened == ["http://127.0.0.1:8400/"]
