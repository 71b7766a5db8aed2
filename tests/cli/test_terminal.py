"""A run on a terminal as a person has one: of any width, resized, interrupted, or one that cannot be drawn on."""

from __future__ import annotations

import json
import threading

import pytest
from rich.console import Console

from contemplate import Task
from contemplate.cli.task_rows import MOST_ROWS, TaskRows
from contemplate.events import TaskPlanned, TaskStarted
from contemplate.testing import FaultyServer
from contemplate.testing.faulty import ChatAnswer, Exchange, Reply, Silence
from contemplate.views.task_states import TaskStates

from ..patience import PATIENCE
from .asking import command, contemplating, merges, model, on_terminal_here, plan, process, run
from .screen import CTRL_C, Screen, terminal

WIDTHS = [40, 80, 200]
ANSWER = "# Result\n\nUse **this**, and\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nThe end."
SHOWN = "Result\n\nUse this, and\n\n • one\n • two\n\na  b\n────\n1  2\n\nThe end.\n"
TITLES = ("Short", "日本語の長い題名がここにあります" * 9, "🙂 " * 50, "x" * 399)


def answering(exchange: Exchange) -> Reply | str:
    return ChatAnswer(ANSWER, chunk=3) if merges(exchange) else contemplating(exchange)


@pytest.mark.parametrize("columns", WIDTHS)
def test_the_answer_is_markdown_and_nothing_is_there_twice(columns: int) -> None:
    with FaultyServer(answering) as server, terminal(command("ask", "Why?", *model(server)), columns=columns) as shown:
        assert shown.end() == 0
    assert SHOWN in shown.screen.text
    assert shown.screen.text.count("The end.") == 1
    assert shown.screen.cursor_shown


def test_a_block_is_there_once_it_is_whole_and_the_rest_as_it_is_written() -> None:
    gate = threading.Event()

    def script(exchange: Exchange) -> Reply | str:
        text = "**One.**\n\n**Two.**\n\nT: **ee.**"
        return ChatAnswer(text, chunk=5, gates={5: gate}) if merges(exchange) else contemplating(exchange)

    with FaultyServer(script) as server, terminal(command("ask", "Why?", *model(server))) as shown:
        shown.wait_for("\nOne.\n\nTwo.\n\nT: **")
        gate.set()
        assert shown.end() == 0
    assert "\nOne.\n\nTwo.\n\nT: ee.\n4 calls" in shown.screen.text


@pytest.mark.parametrize("how", ["--plain", "NO_COLOR", "TERM=dumb", "TERM=unknown"])
def test_who_wants_no_markdown_has_the_text_as_it_was_written(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "NO_COLOR":
        monkeypatch.setenv("NO_COLOR", "1")
    options = [how] if how == "--plain" else []
    with FaultyServer(answering) as server:
        kind = how.removeprefix("TERM=") if how.startswith("TERM") else "xterm"
        code, shown = on_terminal_here("ask", "Why?", *options, *model(server), TERM=kind)
    assert code == 0
    assert f"\n{ANSWER}\n" in shown
    assert ("\x1b" in shown) == (how == "NO_COLOR")


def test_a_pipe_gets_the_text_as_it_was_written() -> None:
    with FaultyServer(answering) as server:
        done = run(command("ask", "Why?", "--quiet", *model(server)), FORCE_COLOR="1")
    assert (done.returncode, done.stdout) == (0, ANSWER + "\n")


def test_without_progress_a_terminal_gets_markdown_all_the_same() -> None:
    with FaultyServer(answering) as server:
        _, shown = on_terminal_here("ask", "Why?", "--quiet", *model(server), NO_COLOR="")
    screen = Screen(80, 24)
    screen.feed(shown.replace("\n", "\r\n"))
    assert screen.text == SHOWN


def test_a_console_that_knows_no_escape_sequences_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rich.console.detect_legacy_windows", lambda: True)
    with FaultyServer(answering) as server:
        _, shown = on_terminal_here("ask", "Why?", *model(server))
    assert "1 (One): started" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize("where", ["pipe", "terminal", "help", "mistake"])
def test_an_encoding_without_our_signs_breaks_nothing(where: str) -> None:
    old = {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    asked = {"help": ["--help"], "mistake": ["✓", "--modle"]}.get(where, ["Why ✓ 日本?"])
    with FaultyServer(answering) as server:
        ask = command("ask", *asked, *model(server))
        if where == "terminal":
            with terminal(ask, environment=old) as shown:
                assert shown.end() == 0
            assert SHOWN in shown.screen.text
            return
        done = run(ask, **old)
    assert done.returncode == (2 if where == "mistake" else 0)
    assert "Traceback" not in done.stderr


class Held:
    """A server that plans two tasks, and falls silent in the middle of the second, or of the answer."""

    def __init__(self, where: str) -> None:
        self.never = threading.Event()
        self._where = where

    def __call__(self, exchange: Exchange) -> Reply | str:
        here = {"task": "Do Two." in exchange.prompt, "answer": merges(exchange)}[self._where]
        if not here:
            return contemplating(exchange)
        return ChatAnswer("**Whole.**\n\nHalf of *it*", chunk=4, gates={5: self.never})


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("where", ["task", "answer"])
def test_ctrl_c_leaves_a_whole_screen(where: str, columns: int) -> None:
    with (
        FaultyServer(Held(where)) as server,
        terminal(command("ask", "Why?", *model(server)), columns=columns) as shown,
    ):
        shown.wait_for("Half" if where == "answer" else "Whole")
        shown.press(CTRL_C)
        assert shown.end() == 130
    screen = shown.screen
    assert screen.cursor_shown
    said = " ".join(screen.text.split())
    assert "interrupted; what it cost so far: " in said
    assert "contemplate resume " in said
    assert "Traceback" not in said
    assert said.count("✓ One") == 1
    if where == "answer":
        assert "Whole. Half" in said
        assert said.count("Half") == 1
    else:
        assert "One (answered) Result: One. Two (unfinished) Whole." in said
        assert "- Two stopped" in said


def test_ctrl_c_in_a_pipe_prints_what_there_is_as_it_was_written() -> None:
    seen = threading.Event()

    def script(exchange: Exchange) -> Reply | str:
        if "Do Two." not in exchange.prompt:
            return contemplating(exchange)
        seen.set()
        return Silence()

    with FaultyServer(script) as server, process(command("ask", "Why?", *model(server))) as running:
        assert seen.wait(PATIENCE)
        assert running.stderr is not None
        for line in running.stderr:
            if "1 (One): answered" in line:
                break
        running.send_signal(2)
        out, _ = running.communicate(timeout=PATIENCE)
    assert running.returncode == 130
    assert out == "## One (answered)\n\nResult: One.\n"


@pytest.mark.parametrize(("before", "after"), [((80, 24), (40, 10)), ((40, 10), (120, 30))])
def test_a_window_that_is_resized_is_drawn_anew(before: tuple[int, int], after: tuple[int, int]) -> None:
    gate = threading.Event()

    def script(exchange: Exchange) -> Reply | str:
        if "Do Two." in exchange.prompt:
            return ChatAnswer("word " * 90, gates={20: gate})
        return answering(exchange)

    with (
        FaultyServer(script) as server,
        terminal(command("ask", "Why?", *model(server)), columns=before[0], lines=before[1]) as shown,
    ):
        room = [size[0] - max(5, size[0] // 3) - 7 for size in (before, after)]
        shown.wait_for(lambda screen: any(len(row.partition("Two ")[2].strip()) > room[0] - 5 for row in screen.seen))
        shown.resize(*after)
        shown.wait_for(
            lambda screen: any(
                room[1] - 5 < len(row.partition("Two ")[2].strip()) <= room[1] for row in screen.seen if "word" in row
            )
        )
        gate.set()
        assert shown.end() == 0
    text = shown.screen.text
    assert SHOWN in text
    assert text.count("✓ One") == text.count("✓ Two") == 1
    assert "▸" not in text, "nothing of an earlier drawing is left"


@pytest.mark.parametrize("columns", [40, 41, 80, 250])
def test_wide_and_long_titles_stay_in_their_line(columns: int) -> None:
    gate = threading.Event()

    def script(exchange: Exchange) -> Reply | str:
        if exchange.schema == "plan":
            return plan(*TITLES)
        return ANSWER if merges(exchange) else ChatAnswer("日本語 🙂 word " * 40, gates={20: gate})

    with FaultyServer(script) as server, terminal(command("ask", "?", *model(server)), columns=columns) as shown:
        shown.wait_for(lambda screen: sum(row.startswith("▸") for row in screen.seen) == len(TITLES))
        drawn = [row for row in shown.screen.rows if row.startswith("▸")]
        gate.set()
        assert shown.end() == 0
    assert len(drawn) == len(TITLES)
    assert all(Console(width=columns).measure(row).maximum < columns for row in drawn)
    assert sum(row.startswith("✓") for row in shown.screen.rows) == len(TITLES)


def test_needs_are_a_tree() -> None:
    def script(exchange: Exchange) -> Reply | str:
        if exchange.schema == "plan":
            needs = {"Alpha": [], "Beta": [], "Gamma": [1], "Delta": [2, 3]}
            tasks = [{"title": each, "prompt": f"Do {each}.", "needs": after} for each, after in needs.items()]
            return json.dumps({"tasks": tasks})
        return contemplating(exchange)

    with FaultyServer(script) as server:
        with terminal(command("ask", "Why?", *model(server))) as shown:
            assert shown.end() == 0
        rows = [row.partition("answered")[0].rstrip() for row in shown.screen.rows if row.startswith("✓")]
        assert rows == ["✓ Alpha", "✓ └ Gamma", "✓   └ Delta", "✓ Beta"]
        lines = run(command("ask", "Why?", *model(server))).stderr.splitlines()
    planned = [line for line in lines if "planned" in line]
    assert planned == [
        "1 (Alpha): planned",
        "2 (Beta): planned",
        "3 (Gamma): planned, after 1 (Alpha)",
        "4 (Delta): planned, after 2 (Beta), 3 (Gamma)",
    ]


def test_of_a_thousand_tasks_there_are_as_many_as_fit() -> None:
    console = Console(width=40, height=24)
    states = TaskStates()
    rows = TaskRows(console, states)
    for number in range(1000):
        needs = (str(number - 1),) if number % 100 else ()
        states.add(TaskPlanned(task=Task(id=str(number), prompt="a", title=f"Task {number}", needs=needs)))
    states.add(TaskStarted(task_id="999", model="m"))
    with console.capture() as captured:
        for each in rows.lines(20):
            console.print(each)
    seen = captured.get().splitlines()
    assert len(seen) == 21
    assert seen[0].startswith("· Task 0 ")
    assert seen[-2].startswith("▸"), "one at work is always seen"
    assert seen[-1].strip() == "and 980 more; 0 of 1000 are done"
    states.stop()
    with console.capture() as captured:
        console.print(rows.table())
    assert len(captured.get().splitlines()) == MOST_ROWS + 1
