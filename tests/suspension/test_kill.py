"""A run that is suspended, killed, and resumed by other processes costs what it costs without all that."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from contemplate.journal import Journal
from contemplate.testing import FaultyServer
from contemplate.testing.faulty import ChatAnswer, Exchange

from ..processes import Process
from .chat_process import PARTS, RUN, contemplator

HERE = Path(__file__).parent.parent.parent


def reply(exchange: Exchange) -> ChatAnswer:
    """The first turn sends a mail, the last one says what came of it."""
    said = json.dumps(exchange.messages)
    part = next(each for each in PARTS if f"part {each}" in said)
    results = [str(message["content"]) for message in exchange.messages if message["role"] == "tool"]
    if results:
        return ChatAnswer(f"{part}: {results[-1]}")
    return ChatAnswer("", tool_calls=[("mail", json.dumps({"to": part}))], finish="tool_calls")


def asked(server: FaultyServer) -> Counter[str]:
    return Counter(json.dumps(exchange.messages, sort_keys=True) for exchange in server.exchanges)


def process(
    server: FaultyServer, folder: Path, decisions: Mapping[str, object], *, hang: bool = False
) -> subprocess.Popen[str]:
    arguments = (server.url, f"sqlite:///{folder}/runs.db", str(folder), json.dumps(decisions), "1" if hang else "")
    return Process[str](
        [sys.executable, "-m", "tests.suspension.chat_process", *arguments],
        cwd=HERE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def ended(running: subprocess.Popen[str]) -> Any:
    """What a process says before it is killed."""
    with running:
        assert running.stdout is not None
        said = running.stdout.readline()
        running.send_signal(signal.SIGKILL)
        assert running.wait() == -signal.SIGKILL
    return json.loads(said)


def test_killed_and_resumed_it_costs_what_it_costs_without(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    with FaultyServer(reply) as server:
        mind = contemplator(server.url, "memory:", whole)
        expected = mind.run_sync("What is to be done?", approve=lambda call: call.arguments["to"] != "c")
        costs = asked(server)
        assert costs.total() == 6

        server.exchanges.clear()
        first = ended(process(server, killed, {}))
        assert first["status"] == "suspended"
        ids = first["pending"]
        assert sorted(ids) == ["a", "b", "c"]
        second = ended(process(server, killed, {ids["b"]: True}))
        assert second["pending"] == {name: ids[name] for name in ("a", "c")}
        # Killed within the tool, after the decision was recorded.
        hanging = process(server, killed, {ids["a"]: True}, hang=True)
        with hanging:
            assert hanging.stdout is not None
            assert hanging.stdout.readline() == "begun\n"
            hanging.send_signal(signal.SIGKILL)
            assert hanging.wait() == -signal.SIGKILL
        # The same decision once more, as its sender cannot know whether it was recorded.
        third = ended(process(server, killed, {ids["a"]: True}))
        assert third["pending"] == {"c": ids["c"]}
        last = ended(process(server, killed, {ids["c"]: False}))
        assert last == {"status": "answered", "text": expected.text, "calls": expected.usage.calls, "pending": {}}
        assert asked(server) == costs
    assert sorted((killed / "sent").read_text().split()) == ["a", "b"]
    with closing(Journal(killed / "runs.db")) as journal:
        run = journal.load(RUN)
    assert run is not None
    assert run.status == "answered"
