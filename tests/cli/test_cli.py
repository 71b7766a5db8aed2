"""The command line as a newcomer meets it: with pipes, signals and a terminal."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from contemplate._version import __version__
from contemplate.cli import main
from contemplate.testing import FaultyServer
from contemplate.testing.faulty import Answer, Exchange, HttpError, Reply, Silence

PLAN = json.dumps({"tasks": [{"title": t, "prompt": f"Do {t}.", "needs": []} for t in ("One", "Two")]})
MERGED = "The merged answer."


def thinking(exchange: Exchange) -> Reply | str:
    if exchange.schema == "plan":
        return PLAN
    return MERGED if "Now answer the whole question" in exchange.prompt else f"Result: {exchange.prompt[-4:]}"


def model(server: FaultyServer) -> list[str]:
    return ["--model", f"{server.url}#m"]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "contemplate", *arguments]


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "CONTEMPLATE_MODEL"):
        monkeypatch.delenv(name, raising=False)


def test_the_answer_alone_is_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with FaultyServer(thinking) as server:
        assert main(["ask", "Why?", *model(server)]) == 0
    out, err = capsys.readouterr()
    assert out == MERGED + "\n"
    for said in ("planning", "planned 1: One", "started 2", "answered 1 after", "4 calls"):
        assert said in err


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    with FaultyServer(thinking) as server:
        assert main(["ask", "Why?", "--json", "--quiet", *model(server)]) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert document["output"] == MERGED
    assert document["run_id"]
    assert [task["outcome"] for task in document["tasks"]] == ["answered", "answered"]
    assert [task["title"] for task in document["plan"]["tasks"]] == ["One", "Two"]
    assert document["usage"]["calls"] == 4
    assert err == ""


def test_events(capsys: pytest.CaptureFixture[str]) -> None:
    with FaultyServer(thinking) as server:
        assert main(["ask", "Why?", "--events", *model(server)]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[0]["kind"] == "run_started"
    assert events[-1]["kind"] == "run_finished"
    assert {"plan_delta", "task_planned", "task_delta", "output_delta"} <= {event["kind"] for event in events}


def test_a_question_from_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import io

    monkeypatch.setattr(sys, "stdin", io.StringIO("Why,\nreally?\n"))
    with FaultyServer("Because.") as server:
        assert main(["ask", "-", "--mode", "instant", *model(server)]) == 0
        assert server.exchanges[0].prompt == "Why,\nreally?"
    assert capsys.readouterr().out == "Because.\n"


def test_images(tmp_path: Path) -> None:
    image = tmp_path / "dot.png"
    image.write_bytes(b"\x89PNG\r\n\x1a\n....")
    with FaultyServer("A dot.") as server:
        assert main(["ask", "What is it?", "--mode", "instant", "--image", str(image), *model(server)]) == 0
        content = server.exchanges[0].messages[-1]["content"]
    assert [part["type"] for part in content] == ["text", "image_url"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ask", " ", "--model", "http://127.0.0.1:9/v1#m"], "the question is empty"),
        (["ask", "x", "--model", "openai:gpt-5"], "OPENAI_API_KEY is not set"),
        (["ask", "x", "--model", "gpt-5"], "names no provider"),
        (["ask", "x", "--model", "local:nope"], "known: qwen2.5-coder-1.5b"),
        (["ask", "x", "--image", "no.png", "--model", "http://127.0.0.1:9/v1#m"], "no such file"),
        (["models", "pull", "nope"], "known: qwen2.5-coder-1.5b"),
    ],
)
def test_wrong_settings_exit_with_2(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "hint: " in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments", [[], ["ask"], ["ask", "x", "--max-seconds", "0"], ["ask", "x", "--json", "--events"]]
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_a_server_that_is_down_exits_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "x", "--mode", "instant", "--model", "http://127.0.0.1:9/v1#m"]) == 1
    err = capsys.readouterr().err
    assert "no connection to http://127.0.0.1:9/v1" in err
    assert "is the server up" in err
    assert "Traceback" not in err


def test_a_traceback_only_if_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with FaultyServer(HttpError(401)) as server:
        assert main(["ask", "x", "--traceback", *model(server)]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_failure_as_json_holds_what_was_finished(capsys: pytest.CaptureFixture[str]) -> None:
    def script(exchange: Exchange) -> Reply | str:
        return HttpError(400, "no merging today") if "Now answer" in exchange.prompt else thinking(exchange)

    with FaultyServer(script) as server:
        assert main(["ask", "Why?", "--json", *model(server)]) == 1
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert document["error"]["kind"] == "ModelRequestError"
    assert [task["outcome"] for task in document["partial"]["tasks"]] == ["answered", "answered"]
    assert "2 of 2 tasks had been answered" in err


def test_a_limit_exits_with_3_and_a_partial_answer(capsys: pytest.CaptureFixture[str]) -> None:
    def script(exchange: Exchange) -> Reply | str:
        return Silence() if "Do Two." in exchange.prompt else thinking(exchange)

    with FaultyServer(script) as server:
        assert main(["ask", "Why?", "--max-seconds", "2", *model(server)]) == 3
    out, err = capsys.readouterr()
    assert out == MERGED + "\n"
    assert "stopped by the limit on seconds" in err
    assert "missing: 2" in err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_signal_ends_it_with_what_was_reached(number: signal.Signals, code: int, form: list[str]) -> None:
    merging = threading.Event()

    def script(exchange: Exchange) -> Reply | str:
        if "Now answer" in exchange.prompt:
            merging.set()
            return Silence()
        return thinking(exchange)

    with FaultyServer(script) as server:
        with subprocess.Popen(
            command("ask", "Why?", *form, *model(server)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert merging.wait(30)
            process.send_signal(number)
            out, err = process.communicate(timeout=30)
        assert process.returncode == code
        assert server.wait_for(lambda: server.connections == 0)
    assert "Traceback" not in err
    if form:
        document = json.loads(out)
        assert document["error"]["kind"] == "Interrupted"
        assert len(document["partial"]["tasks"]) == 2
    else:
        assert "Result: One." in out
        assert "Result: Two." in out


def test_a_reader_that_goes_away_is_no_error() -> None:
    with FaultyServer(Answer("x" * 2_000_000)) as server:
        arguments = command("ask", "x", "--mode", "instant", "--quiet", *model(server))
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.read(10)
            process.stdout.close()
            assert process.stderr.read() == b""


def on_terminal(arguments: list[str], columns: int = 80) -> str:
    """What a command prints on a terminal."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns), "LINES": "20"}
    with subprocess.Popen(arguments, stdin=follower, stdout=follower, stderr=follower, env=environment) as process:
        os.close(follower)
        shown = b""
        while True:
            try:
                data = os.read(leader, 65536)
            except OSError:
                break
            if not data:
                break
            shown += data
    os.close(leader)
    assert process.returncode == 0
    return shown.decode()


@pytest.mark.parametrize("columns", [40, 80])
def test_the_live_view(columns: int) -> None:
    with FaultyServer(thinking) as server:
        shown = on_terminal(command("ask", "Why?", *model(server)), columns)
    assert "One" in shown
    assert "answered" in shown
    assert MERGED in shown.replace("\r\n", " ")
    assert "4 calls" in shown


def test_the_live_view_without_a_plan_is_the_answer_as_it_streams() -> None:
    with FaultyServer("Because.") as server:
        shown = on_terminal(command("ask", "Why?", "--mode", "instant", *model(server)))
    assert "Because." in shown
    assert "1 call " in shown


def test_logs_on_request(capfd: pytest.CaptureFixture[str]) -> None:
    with FaultyServer("Because.") as server:
        done = subprocess.run(
            command("ask", "Why?", "--mode", "instant", "--log-level", "info", *model(server)),
            capture_output=True,
            text=True,
            check=True,
        )
    assert "INFO model_called" in done.stderr
    assert "output_tokens=2" in done.stderr
    assert "Why?" not in done.stderr


def test_models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CONTEMPLATE_CACHE", str(tmp_path))
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    for said in ("local:qwen2.5-coder-1.5b", "1.12 GB", "Apache-2.0", "not fetched", str(tmp_path)):
        assert said in out


LISTED = """
import sys
from contemplate.cli import main
try:
    main({arguments})
except SystemExit:
    pass
names = sorted({{name.split(".")[0] for name in sys.modules}} - sys.stdlib_module_names)
sys.stderr.write(" ".join(names))
"""


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["ask", "--help"]])
def test_what_is_asked_often_loads_nothing(arguments: list[str]) -> None:
    def loaded(code: str) -> Any:
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    done = loaded(LISTED.format(arguments=arguments))
    bare = loaded(LISTED.replace("from contemplate.cli import main", "def main(_): pass").format(arguments=arguments))
    assert set(done.stderr.split()) - set(bare.stderr.split()) == {"contemplate"}
    if arguments == ["--version"]:
        assert done.stdout == f"contemplate {__version__}\n"
