"""Every exit code but those of signals, and what is said on the way out."""

from __future__ import annotations

import io
import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from contemplate.cli import main
from contemplate.cli.errors import say_error
from contemplate.errors import AggregationError
from contemplate.testing import FaultyServer
from contemplate.testing.faulty import ChatAnswer, Exchange, HttpError, Reply, Silence

from .. import processes
from ..patience import PATIENCE
from .asking import MERGED, NOWHERE, command, contemplating, here, merges, model, on_terminal, run, run_fresh


def no_merging(exchange: Exchange) -> Reply | str:
    return HttpError(400, "no merging today") if merges(exchange) else contemplating(exchange)


UNMERGED = "## One\n\nResult: One.\n\n## Two\n\nResult: Two."
WRONG = [
    (["ask", " ", *NOWHERE], "the question is empty"),
    (["ask", "x", "--model", "openai:gpt-5"], "OPENAI_API_KEY is not set"),
    (["ask", "x", "--model", "gpt-5"], "has no provider prefix"),
    (["ask", "x", "--model", "groq:"], "names no model after its provider"),
    (["ask", "x", "--model", "nobody:gpt-5"], "unknown provider 'nobody'"),
    (["ask", "x", "--model", "http://127.0.0.1:9/v1"], "has no model name"),
    (["ask", "x", "--model", "local:nope"], "known: qwen2.5-coder-1.5b"),
    (["ask", "x", "--model", "local:nope.gguf"], "no such file"),
    (["ask", "x", "--image", "no.png", *NOWHERE], "no such file"),
    (["models", "pull", "nope"], "known: qwen2.5-coder-1.5b"),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG)
def test_wrong_settings_exit_with_2(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert said in err
    assert err.startswith("error: ")
    assert "hint: " in err
    assert "Traceback" not in err
    assert out == ""


@pytest.mark.parametrize(("arguments", "said"), [each for each in WRONG if each[0][0] == "ask"])
def test_as_json_they_are_a_document(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["kind"] == "ConfigurationError"
    assert said in error["message"] + error["hint"]


def test_an_empty_standard_input_exits_with_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    done = here("ask", "-", *NOWHERE)
    assert done.returncode == 2
    assert "the question is empty" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["ask"],
        ["muse"],
        ["ask", "x", "--mode", "dreaming"],
        ["ask", "x", "--max-seconds", "0"],
        ["ask", "x", "--max-seconds", "inf"],
        ["ask", "x", "--max-tokens", "many"],
        ["ask", "x", "--json", "--events"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: contemplate" in capsys.readouterr().err


def test_an_address_that_others_reach_is_refused_with_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--host", "0.0.0.0", *NOWHERE]) == 2
    said = capsys.readouterr().err
    assert "the server has no keys" in said
    assert "--api-key NAME=SECRET" in said


def test_a_server_that_is_down_exits_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "x", "--mode", "instant", *NOWHERE]) == 1
    out, err = capsys.readouterr()
    assert "no connection to http://127.0.0.1:9/v1" in err
    assert "hint: is the server running" in err
    assert "Traceback" not in err
    assert out == ""


def test_a_traceback_only_if_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with FaultyServer(HttpError(401)) as server:
        assert main(["ask", "x", *model(server)]) == 1
        assert "Traceback" not in capsys.readouterr().err
        assert main(["ask", "x", "--traceback", *model(server)]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_error_of_ours_tells_how_to_see_where(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("contemplate.cli.run_options.resolve", broken)
    assert main(["ask", "x", "--json", *NOWHERE]) == 1
    out, err = capsys.readouterr()
    assert err == "error: ZeroDivisionError: a bug\nhint: run it again with --traceback, and report it if it is a bug\n"
    assert json.loads(out)["error"]["kind"] == "ZeroDivisionError"


@pytest.mark.parametrize("kind", [ValueError, OSError, partial(AggregationError, hint="not sk-0123456789abcdef")])
def test_no_secret_is_said_of_an_error(kind: Callable[[str], Exception], capsys: pytest.CaptureFixture[str]) -> None:
    say_error(kind("no key sk-0123456789abcdef"))
    said = capsys.readouterr().err
    assert "no key [secret]" in said
    assert "sk-0123" not in said


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_an_output_that_cannot_be_written_exits_with_1() -> None:
    with FaultyServer("Because.") as server, open("/dev/full", "w") as full:
        done = processes.run(command("ask", "x", "--mode", "instant", *model(server)), PATIENCE, stdout=full)
    assert done.returncode == 1
    assert "error: [Errno 28] No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_merge_that_fails_leaves_the_answers_of_the_parts(capsys: pytest.CaptureFixture[str]) -> None:
    with FaultyServer(no_merging) as server:
        assert main(["ask", "Why?", *model(server)]) == 3
    out, err = capsys.readouterr()
    assert out == UNMERGED + "\n"
    assert "Note: the aggregator failed, and what it had offered is taken" in err
    assert "no merging today" in err
    assert "incomplete" in err


def test_as_json_it_does_too(capsys: pytest.CaptureFixture[str]) -> None:
    with FaultyServer(no_merging) as server:
        assert main(["ask", "Why?", "--json", *model(server)]) == 3
    document = json.loads(capsys.readouterr().out)
    assert (document["text"], document["complete"]) == (UNMERGED, False)
    assert [task["text"] for task in document["tasks"]] == ["Result: One.", "Result: Two."]


def test_as_events_a_note_tells(capsys: pytest.CaptureFixture[str]) -> None:
    with FaultyServer(no_merging) as server:
        assert main(["ask", "Why?", "--events", *model(server)]) == 3
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert any(each["kind"] == "noted" and "no merging today" in each["message"] for each in events)
    assert (events[-1]["kind"], events[-1]["complete"]) == ("run_finished", False)


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_limit_exits_with_3_and_a_partial_answer(form: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    def script(exchange: Exchange) -> Reply | str:
        return Silence() if "Do Two." in exchange.prompt else contemplating(exchange)

    with FaultyServer(script) as server:
        assert main(["ask", "Why?", "--max-seconds", "2", *form, *model(server)]) == 3
    out, err = capsys.readouterr()
    assert "stopped by the limit on seconds" in err
    assert "missing: 2" in err
    if form:
        document = json.loads(out)
        assert document["output"] == MERGED
        assert document["stopped_by"] == "seconds"
        assert document["complete"] is False
        assert document["missing"] == ["2"]
    else:
        assert out == MERGED + "\n"


def test_a_limit_before_there_is_any_answer_exits_with_3(capsys: pytest.CaptureFixture[str]) -> None:
    with FaultyServer(contemplating) as server:
        assert main(["ask", "Why?", "--max-tokens", "5", *model(server)]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "error: " in err


def test_no_more_calls_at_once_than_were_allowed() -> None:
    def script(exchange: Exchange) -> Reply | str:
        answer = contemplating(exchange)
        return ChatAnswer(answer, delay=0.05) if isinstance(answer, str) else answer

    with FaultyServer(script) as server:
        assert main(["ask", "Why?", "--concurrency", "1", *model(server)]) == 0
        times = sorted((each.arrived, each.answered or 0.0) for each in server.exchanges)
    assert len(times) == 4
    assert all(earlier[1] <= later[0] for earlier, later in itertools.pairwise(times))


NO_DATABASE = ["--journal", "postgresql://127.0.0.1:1/x"]
WITHOUT = """
import sys
sys.modules.update(dict.fromkeys({missing}))
from contemplate.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("start", "missing", "arguments", "hint"),
    [
        (run, "xllamacpp", ["ask", "x"], "contemplate-ai[local]', set OPENAI_API_KEY, or choose a --model"),
        (run, "xllamacpp", ["ask", "x", "--model", "local:qwen2.5-coder-0.5b"], "contemplate-ai[local]"),
        # Copies of processes may have imported what needs these.
        (run_fresh, "uvicorn", ["serve", *NOWHERE], "contemplate-ai[server]"),
        (run_fresh, "dbos", ["submit", "x", *NO_DATABASE], "contemplate-ai[cluster]"),
        (
            run_fresh,
            "psycopg",
            ["worker", "app:mind", *NO_DATABASE],
            "contemplate-ai[cluster]",
        ),
    ],
)
def test_a_missing_extra_is_named(
    start: Callable[[list[str]], subprocess.CompletedProcess[str]],
    missing: str,
    arguments: list[str],
    hint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CONTEMPLATE_CACHE", str(tmp_path))
    done = start([sys.executable, "-c", WITHOUT.format(missing=[missing]), *arguments])
    assert done.returncode == 2
    assert "packages that are not installed" in done.stderr
    assert hint in done.stderr


def test_without_rich_a_terminal_gets_lines() -> None:
    with FaultyServer(contemplating) as server:
        without = WITHOUT.format(missing=["rich", "rich.live"])
        code, shown = on_terminal([sys.executable, "-c", without, "ask", "Why?", *model(server)], fresh=True)
    assert code == 0
    assert "1 (One): answered after" in shown
    assert f"\n{MERGED}\n" in shown
    assert "\x1b" not in shown
