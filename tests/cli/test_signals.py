"""Ctrl-C and SIGTERM: what was reached is kept, the exit code says which it was, and nothing goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from contemplate import Contemplator, RunResult
from contemplate.cli import main
from contemplate.cli.plain_view import PlainView
from contemplate.cli.watch import watch
from contemplate.messages import Message
from contemplate.models import Delta, DeltaSink, ModelRequest, ModelResponse
from contemplate.modes import Mode
from contemplate.result import ErrorInfo
from contemplate.run.listeners import Listener
from contemplate.testing import FaultyServer
from contemplate.testing.faulty import ChatAnswer, Exchange, Reply, Silence
from contemplate.usage import Usage

from ..patience import PATIENCE
from .asking import command, contemplating, merges, model, on_terminal, on_terminal_here, plan, process

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


class Stuck:
    """A server that contemplates, and falls silent at some point; then `there` is set."""

    def __init__(self, where: str) -> None:
        self.there = threading.Event()
        self._where = where

    def __call__(self, exchange: Exchange) -> Reply | str:
        here = {"plan": exchange.schema == "plan", "task": "Do Two." in exchange.prompt, "merge": merges(exchange)}
        if not here[self._where]:
            return contemplating(exchange)
        self.there.set()
        return Silence()


@pytest.mark.parametrize(
    ("number", "code", "form"), [(signal.SIGINT, 130, []), (signal.SIGTERM, 143, []), (signal.SIGINT, 130, ["--json"])]
)
def test_what_was_reached_is_printed(number: signal.Signals, code: int, form: list[str]) -> None:
    script = Stuck("merge")
    with FaultyServer(script) as server:
        with process(command("ask", "Why?", *form, *model(server))) as running:
            assert script.there.wait(PATIENCE)
            running.send_signal(number)
            out, err = running.communicate(timeout=PATIENCE)
        assert server.wait_for(lambda: server.connections == 0)
    assert running.returncode == code
    assert "Traceback" not in err
    assert "interrupted; what it cost so far: 4 calls · " in err
    if form:
        document = json.loads(out)
        interruption = ErrorInfo(kind="Interrupted", message=f"interrupted by {number.name}")
        assert ErrorInfo.model_validate(document["error"]) == interruption
        assert [task["text"] for task in document["partial"]["tasks"]] == ["Result: One.", "Result: Two."]
        assert document["partial"]["complete"] is False
        assert document["partial"]["usage"]["calls"] == 4
    else:
        assert out == "## One (answered)\n\nResult: One.\n\n## Two (answered)\n\nResult: Two.\n"


def test_it_ends_while_it_plans() -> None:
    script = Stuck("plan")
    with FaultyServer(script) as server:
        with process(command("ask", "Why?", *model(server))) as running:
            assert script.there.wait(PATIENCE)
            running.send_signal(signal.SIGINT)
            _, err = running.communicate(timeout=PATIENCE)
        assert server.wait_for(lambda: server.connections == 0)
    assert running.returncode == 130
    assert "Traceback" not in err


REPLAY = """
import sys, anyio
from contemplate.journal.replaying import Replaying

taken = Replaying.turn

async def turn(self, entry):
    await taken(self, entry)
    if entry.role == "aggregator":
        print("merging", file=sys.stderr, flush=True)
        await anyio.sleep_forever()

Replaying.turn = turn
from contemplate.cli import main
sys.exit(main(["replay", "r", "--quiet", *sys.argv[1:]]))
"""


class Interrupting:
    """A model that is interrupted by the terminal when it has written half of its answer."""

    name = "interrupting"

    def __init__(self) -> None:
        self.times = 0

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        assert on_delta is not None
        on_delta(Delta("Half of "))
        on_delta(Delta("an answer"))
        if not self.times:
            self.times += 1
            os.kill(os.getpid(), signal.SIGINT)
        await anyio.sleep_forever()
        raise AssertionError


@pytest.mark.parametrize("mode", ["instant", "council"])
def test_what_was_written_and_paid_for_is_told(mode: Mode, capsys: pytest.CaptureFixture[str]) -> None:
    """Also of calls that were stopped, and also where there were no others."""
    model = Interrupting()

    async def start(listener: Listener) -> RunResult[str]:
        return await Contemplator(model, mode=mode, on_event=listener).run("Why?")

    assert watch(start, PlainView(quiet=False)) == 130
    out, err = capsys.readouterr()
    assert "Half of an answer" in out
    told = re.search(r"what it cost so far: (\d) calls? · (\d+) tokens in, (\d+) out", err)
    assert told is not None, err
    assert min(map(int, told.groups())) > 0


class InterruptedAtTwo(Interrupting):
    """A model that plans two tasks, answers the first one, and is interrupted within the second."""

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        text = request.messages[-1].text
        if "Do Two." in text:
            return await super().request(request, on_delta)
        planned = plan("One", "Two").replace('"needs": []}]', '"needs": [1]}]')
        answer = Message.assistant("Whole." if "Do One." in text else planned)
        return ModelResponse(message=answer, finish="stop", usage=Usage(calls=1), model=self.name)


def test_what_an_unfinished_task_had_written_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    async def start(listener: Listener) -> RunResult[str]:
        return await Contemplator(InterruptedAtTwo(), on_event=listener).run("Why?")

    assert watch(start, PlainView(quiet=False), go_on="go on") == 130
    out, err = capsys.readouterr()
    assert out == "## One (answered)\n\nWhole.\n\n## Two (unfinished)\n\nHalf of an answer\n"
    assert "interrupted; what it cost so far: 3 calls · " in err
    assert err.endswith(": go on\n")


@pytest.mark.parametrize("again", [("replay",), ("reaggregate", "--aggregator", "synthesize")])
def test_a_run_that_is_gone_through_again_is_interrupted_like_any_other(again: tuple[str, ...], tmp_path: Path) -> None:
    named = ["--journal", str(tmp_path / "runs.db")]
    done = False
    there = threading.Event()

    def script(exchange: Exchange) -> Reply | str:
        if not (done and merges(exchange)):
            return contemplating(exchange)
        there.set()
        return Silence(after_first_token=True)

    name, *options = again
    with FaultyServer(script) as server:
        assert main(["ask", "Why?", "--run-id", "r", *model(server), *named]) == 0
        done = True
        # A replay makes no call that could tell how far it is: it is stopped where its answer would be recorded.
        arguments = (
            command(name, "r", *options, *named) if name == "reaggregate" else [sys.executable, "-c", REPLAY, *named]
        )
        with process(arguments) as running:
            if name == "reaggregate":
                assert there.wait(PATIENCE)
            else:
                assert running.stderr is not None
                assert running.stderr.readline() == "merging\n"
            running.send_signal(signal.SIGINT)
            out, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == 130, err
    assert "## One (answered)\n\nResult: One.\n" in out
    assert "interrupted; what it cost so far: " in err
    assert f"contemplate {' '.join([name, 'r', *options])}\n" in err
    assert "Traceback" not in err


def test_events_end_with_a_whole_line() -> None:
    script = Stuck("task")
    with FaultyServer(script) as server:
        with process(command("ask", "Why?", "--events", *model(server))) as running:
            assert running.stdout is not None
            kinds = []
            for line in running.stdout:
                kinds.append(json.loads(line)["kind"])
                if kinds[-1] == "task_finished":
                    break
            running.send_signal(signal.SIGINT)
            rest, _ = running.communicate(timeout=PATIENCE)
        assert server.wait_for(lambda: server.connections == 0)
    assert running.returncode == 130
    assert "task_started" in kinds
    for line in rest.splitlines():
        json.loads(line)


def test_a_terminal_is_left_as_it_was() -> None:
    script = Stuck("task")

    def interrupt(running: subprocess.Popen[bytes]) -> None:
        assert script.there.wait(PATIENCE)
        running.send_signal(signal.SIGINT)

    with FaultyServer(script) as server:
        code, shown = on_terminal(command("ask", "Why?", *model(server)), meanwhile=interrupt)
    assert code == 130
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
    assert "stopped" in shown
    assert "interrupted; " in shown


def test_what_was_stopped_is_told_apart_from_what_had_not_started() -> None:
    def script(exchange: Exchange) -> Reply | str:
        if exchange.schema == "plan":
            # In one piece: else the first task may be stopped before the second is known.
            return ChatAnswer(plan("One", "Two").replace('"needs": []}]', '"needs": [1]}]'), chunk=4096)
        os.kill(os.getpid(), signal.SIGINT)
        return Silence()

    with FaultyServer(script) as server:
        _, shown = on_terminal_here("ask", "Why?", *model(server))
    assert "stopped" in shown
    assert "not started" in shown


HELD = """
import sys, threading
from contemplate.models.local import model

def never(*_, **__):
    print("loading", flush=True)
    threading.Event().wait()

model.local_server = never
from contemplate.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_the_second_signal_does_not_wait_for_anything(number: signal.Signals, code: int, tmp_path: Path) -> None:
    file = tmp_path / "tiny.gguf"
    file.write_bytes(b"GGUF")
    with process([sys.executable, "-c", HELD, "ask", "Why?", "--quiet", "--model", f"local:{file}"]) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "loading\n"
        for _ in range(100):
            running.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                running.wait(0.2)
                break
        else:
            running.kill()
    assert running.returncode == code
