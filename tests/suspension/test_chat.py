"""A chat whose third turn waits, is killed, and finished by another process, costs what it costs without all that."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contemplate.testing import FaultyServer
from contemplate.testing.faulty import ChatAnswer, Exchange

from ..processes import Process
from .talk_process import talk

HERE = Path(__file__).parent.parent.parent
CALLS = {2: ("look", {"place": "the sky"}), 3: ("mail", {"to": "ann"}), 5: ("look", {"place": "the sea"})}


def reply(exchange: Exchange) -> ChatAnswer:
    """Answer the last question; of some, only after a tool."""
    last = exchange.messages[-1]
    turn = max(map(int, re.findall(r"question (\d)", json.dumps(exchange.messages))))
    if last["role"] == "tool":
        return ChatAnswer(f"{turn}: {last['content']}")
    if turn in CALLS:
        name, arguments = CALLS[turn]
        return ChatAnswer("", tool_calls=[(name, json.dumps(arguments))], finish="tool_calls")
    return ChatAnswer(f"{turn}: after {len(exchange.messages)} messages")


def requests(server: FaultyServer) -> list[Any]:
    asked = [exchange.messages for exchange in server.exchanges]
    server.exchanges.clear()
    return asked


def killed_chat(server: FaultyServer, folder: Path, decisions: Mapping[str, object]) -> list[str]:
    """Return what a process says of the chat before it is killed."""
    command = [sys.executable, "-m", "tests.suspension.talk_process", server.url, str(folder), json.dumps(decisions)]
    with Process[str](command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        said: list[str] = json.loads(running.stdout.readline())
        running.send_signal(signal.SIGKILL)
        assert running.wait() == -signal.SIGKILL
    return said


def test_six_turns_of_which_the_third_waits(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    with FaultyServer(reply) as server:
        expected = talk(server.url, whole, approve=lambda call: True)
        asked = requests(server)
        assert len(expected) == 6
        assert len(asked) == 9
        # The image and the tools of earlier turns are still there in the last one.
        assert "red.png" in json.dumps(asked[-1])
        assert sum(message["role"] == "tool" for message in asked[-1]) == 3

        *before, waits = killed_chat(server, killed, {})
        assert len(before) == 2
        after = killed_chat(server, killed, {waits: True})
        assert [*before, *after] == expected
        assert requests(server) == asked
