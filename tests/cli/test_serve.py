"""`contemplate serve`, from its first line to its last."""

from __future__ import annotations

import json
import re
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contemplate.cli import main

from ..patience import PATIENCE
from .asking import NOWHERE, command, process


def test_it_serves_until_it_is_told_to_stop() -> None:
    with process(command("serve", "--port", "0", *NOWHERE)) as running:
        assert running.stdout is not None
        url = re.search(r"http://\S+", running.stdout.readline())
        assert url is not None
        with urllib.request.urlopen(f"{url[0]}/models") as response:
            names = [each["id"] for each in json.load(response)["data"]]
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=PATIENCE)
    assert "contemplate" in names
    assert running.returncode == 0
    assert err == ""


def test_where_it_cannot_listen(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", *NOWHERE, "--host", "0.0.0.0"]) == 2
    assert "--api-key NAME=SECRET" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["serve", *NOWHERE, "--port", str(taken.getsockname()[1])]) == 2
    assert "hint: choose another port" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["65536", "-1", "http"])
def test_what_is_no_port(port: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["serve", *NOWHERE, "--port", port])
    assert caught.value.code == 2


def test_nothing_is_fetched_for_an_address_that_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[object] = []
    monkeypatch.setattr("contemplate.cli.serve.fetch_if_local", lambda *given, **_: fetched.append(given))
    assert main(["serve", "--model", "local:any", "--host", "0.0.0.0"]) == 2
    assert not fetched


MIND = """
from contemplate import Contemplator
from contemplate.server import ServerSettings
from contemplate.testing import ScriptedModel

minds = {"yes": Contemplator(ScriptedModel("Yes."), mode="instant")}
settings = ServerSettings(max_runs=7)
"""


def test_a_config_file_says_what_is_served(tmp_path: Path) -> None:
    (tmp_path / "mind.py").write_text(MIND)
    key = {"CONTEMPLATE_SERVER_KEYS": "ann=sk-0123456789"}
    given = command("serve", "--port", "0", "--config", str(tmp_path / "mind.py"), "--log-level", "info")
    with process(given, **key) as running:
        assert running.stdout is not None
        url = re.search(r"http://\S+", running.stdout.readline())
        assert url is not None
        asked = urllib.request.Request(f"{url[0]}/models", headers={"authorization": "Bearer sk-0123456789"})
        with urllib.request.urlopen(asked) as response:
            names = [each["id"] for each in json.load(response)["data"]]
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{url[0]}/models")
        running.send_signal(signal.SIGTERM)
        _, err = running.communicate(timeout=PATIENCE)
    assert (names, running.returncode) == (["yes"], 0)
    assert "GET /v1/models 200" in err
    assert "key=ann" in err
    assert "sk-0123456789" not in err


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module beside the user, which has a contemplator."""
    (tmp_path / "served_app.py").write_text(MIND.replace('minds = {"yes":', "mind = (").replace("}", ")"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    yield "served_app:mind"
    sys.modules.pop("served_app", None)


def test_contemplators_are_served_by_their_names(app: str, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Any] = []
    monkeypatch.setattr("contemplate.server.uvicorn_server.serve", lambda *_, **given: served.append(given))
    assert main(["serve", app, f"expert={app}"]) == 0
    assert main(["serve", f"expert={app}", "--journal", "runs.db"]) == 0
    assert main(["serve", f"expert={app}", "--workers", "--journal", "postgresql://me@db/app"]) == 0
    here, recorded, at_workers = served
    assert (here["minds"], here["workers"]) == ({app: app, "expert": app}, None)
    assert recorded["minds"]["expert"].journal is not None
    assert (at_workers["minds"], at_workers["workers"]) == ({"expert": app}, "postgresql://me@db/app")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["served_app:mind", "--workers"], "there is no journal"),
        (["served_app:mind", "--workers", "--journal", "runs.db"], "on one machine only"),
        (["--workers", "--journal", "postgresql://me@db/app"], "no contemplator of theirs is named"),
        (["served_app:mine"], "contemplator 'served_app:mine'"),
        (["served_app:mind", "--model", "openai:any"], "MIND says what is served"),
    ],
)
def test_contemplators_that_cannot_be_served(
    app: str, options: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CONTEMPLATE_JOURNAL", raising=False)
    assert main(["serve", *options]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--api-key", "sk-0123456789"], "has no name"),
        (["--api-key", "ann=short"], "at least 8"),
        (["--api-key", "ann=sk-0123456789", "--api-key", "ann=sk-9876543210"], "several keys have one name"),
        (["--key-budget", "much"], "5usd/day"),
        (["--key-budget", "bob:5usd/day"], "is that of no key"),
        (["--config", "/no/such/mind.py"], "No such file"),
    ],
)
def test_settings_that_are_wrong(options: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", *(() if "--config" in options else NOWHERE), *options]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "0123456789" not in told
