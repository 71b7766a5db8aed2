"""Tool calls that need an approval, on the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from contemplate.testing import FaultyServer
from contemplate.testing.faulty import ChatAnswer, Exchange

from .. import mcp_quick_server
from .asking import here, model, on_terminal_here

# Not imported here: each worker would import it, which takes more than a second.
pytestmark = pytest.mark.skipif(find_spec("mcp") is None, reason="the extra `mcp`")
MCP = f"{sys.executable} {mcp_quick_server.__file__}"


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "runs.db"
    monkeypatch.setenv("CONTEMPLATE_JOURNAL", str(path))
    return path


def adding(exchange: Exchange) -> ChatAnswer:
    """Add two numbers with a tool, and say the result."""
    results = [str(message["content"]) for message in exchange.messages if message["role"] == "tool"]
    if results:
        return ChatAnswer(f"It is: {results[-1]}")
    return ChatAnswer("", tool_calls=[("add", json.dumps({"a": 2, "b": 3}))], finish="tool_calls")


def asked(server: FaultyServer, *more: str) -> subprocess.CompletedProcess[str]:
    return here("ask", "2 + 3?", *model(server), "--mode", "instant", "--mcp", MCP, *more)


@pytest.mark.usefixtures("journal")
def test_a_call_waits_where_nobody_is_asked_and_is_decided_later(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultyServer(adding) as server, open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        waiting = asked(server, "--run-id", "sum")
        assert (waiting.returncode, waiting.stdout) == (3, "")
        call_id = next(line.split(":")[0].strip() for line in waiting.stderr.splitlines() if line.startswith("  add-"))
        assert f"contemplate resume sum --approve {call_id}" in waiting.stderr
        assert "--yes-to add" in waiting.stderr
        assert "suspended" in here("runs").stdout
        assert f"waits for {call_id}" in here("show", "sum").stdout

        without = here("resume", "sum", "--approve", call_id)
        assert without.returncode == 2
        assert "give --mcp as before" in without.stderr
        twice = here("resume", "sum", "--mcp", MCP, "--approve", call_id, "--deny", call_id)
        assert (twice.returncode, "decided twice" in twice.stderr) == (2, True)
        unknown = here("resume", "sum", "--mcp", MCP, "--approve", "add-0")
        assert unknown.returncode == 2
        assert call_id in unknown.stderr
        again = here("resume", "sum", "--mcp", MCP)
        assert again.returncode == 3
        assert len(server.exchanges) == 1

        done = here("resume", "sum", "--mcp", MCP, "--approve", call_id)
        assert (done.returncode, done.stdout) == (0, "It is: 5\n")
        assert len(server.exchanges) == 2


@pytest.mark.usefixtures("journal")
@pytest.mark.parametrize(
    ("decision", "answer"),
    [("--deny={}=not today", "not today"), ("--return={}=five, they say", "five, they say")],
)
def test_what_was_decided_reaches_the_model(decision: str, answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultyServer(adding) as server, open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        (call,) = json.loads(asked(server, "--run-id", "sum", "--json").stdout)["pending"]
        done = here("resume", "sum", "--mcp", MCP, decision.format(call["id"]))
        assert answer in done.stdout


@pytest.mark.usefixtures("journal")
def test_a_tool_that_is_allowed_is_not_asked_for() -> None:
    with FaultyServer(adding) as server:
        done = asked(server, "--yes-to", "add")
    assert (done.returncode, done.stdout) == (0, "It is: 5\n")


@pytest.mark.usefixtures("journal")
@pytest.mark.parametrize(("typed", "answer"), [("y\n", "It is: 5"), ("too dear\n", "too dear")])
def test_whoever_sits_at_the_terminal_is_asked(typed: str, answer: str) -> None:
    with FaultyServer(adding) as server:
        code, shown = on_terminal_here("ask", "2 + 3?", *model(server), "--mode", "instant", "--mcp", MCP, typed=typed)
    assert code == 0
    assert "add(a=2, b=3)" in shown
    assert answer in shown
