"""`contemplate serve`, from its first line to its last."""

from __future__ import annotations

import json
import re
import signal
import socket
import urllib.request

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
    assert "no authentication" in capsys.readouterr().err
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
