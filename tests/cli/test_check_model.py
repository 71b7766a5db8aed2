"""`contemplate models check`."""

from __future__ import annotations

import json
import signal

import pytest

from contemplate.testing import FaultyServer, Provider, providers
from contemplate.testing.faulty import Exchange, Reply, Silence

from ..patience import PATIENCE
from .asking import command, here, process

KEY = "sk-very-secret-key"


def test_the_table() -> None:
    with Provider(providers.OPENAI, key=KEY) as server:
        done = here("models", "check", f"{server.url}#m", CONTEMPLATE_API_KEY=KEY)
        place = server.url
    assert done.returncode == 0
    rows = {line[:20].strip(): line[21:28].strip() for line in done.stdout.splitlines() if line[:1].islower()}
    assert rows["answer"] == rows["two tools at once"] == rows["schema"] == "ok"
    assert rows["reasoning"] == "no"
    assert "\nProfile(" in done.stdout
    assert f"\n{place}#m: " in done.stdout
    assert KEY not in done.stdout + done.stderr


def test_json() -> None:
    with Provider(providers.OPENAI) as server:
        done = here("models", "check", f"{server.url}#m", "--json")
    report = json.loads(done.stdout)
    assert report["whole"] is True
    assert {"name", "verdict", "detail", "seconds", "calls"} == set(report["findings"][0])
    assert report["usage"]["calls"] > 20


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_nobody_there(form: tuple[str, ...]) -> None:
    done = here("models", "check", "http://127.0.0.1:9/v1#m", *form)
    assert done.returncode == 1
    assert done.stdout.count("no connection to http://127.0.0.1:9/v1") == 1


def test_no_such_model() -> None:
    done = here("models", "check", "nobody:nothing")
    assert done.returncode == 2
    assert "unknown provider 'nobody'" in done.stderr


def test_ctrl_c_keeps_what_is_known() -> None:
    def script(exchange: Exchange) -> Reply | str:
        return Silence() if exchange.number else "OK"

    with (
        FaultyServer(script) as server,
        process(command("models", "check", f"{server.url}#m", "--json")) as running,
    ):
        assert server.wait_for(lambda: len(server.exchanges) == 2, PATIENCE)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == 130, err
    report = json.loads(out)
    assert [each["name"] for each in report["findings"]] == ["answer", "usage", "reasoning"]
    assert report["whole"] is False
    assert "interrupted" in err
