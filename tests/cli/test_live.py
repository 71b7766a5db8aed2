"""The live view, on a real pseudo-terminal."""

from __future__ import annotations

import re
import threading

import pytest
from rich.console import Console

from contemplate import Task
from contemplate.cli.task_rows import TaskRows
from contemplate.events import TaskDelta, TaskPlanned, TaskStarted, ToolFinished, ToolProgress, ToolStarted
from contemplate.testing import FaultyServer
from contemplate.testing.faulty import BrokenBody, ChatAnswer, Exchange, HttpError, Reply
from contemplate.views.task_states import TaskStates

from .asking import MERGED, command, contemplating, merges, model, on_terminal, on_terminal_here, plan
from .screen import Screen

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
TITLES = ("Alpha", "Beta", "Gamma", "Delta", "Epsilon", "Zeta")


def six(exchange: Exchange) -> Reply | str:
    if exchange.schema == "plan":
        return ChatAnswer(plan(*TITLES), gap=0.02)
    return ChatAnswer(MERGED, first_token_delay=0.3) if merges(exchange) else ChatAnswer("word " * 20, gap=0.05)


def left(shown: str, columns: int = 80, lines: int = 24) -> str:
    """What is on a terminal in the end, with what has scrolled out of it."""
    screen = Screen(columns, lines)
    screen.feed(shown.replace("\n", "\r\n"))
    assert screen.cursor_shown
    return screen.text


@pytest.mark.parametrize(("columns", "lines"), [(250, 50), (200, 50), (80, 24), (60, 20), (40, 6), (20, 4)])
def test_rows_and_answer_stay_in_the_scrollback(columns: int, lines: int) -> None:
    with FaultyServer(six) as server:
        code, shown = on_terminal_here("ask", "Why?", *model(server), columns=columns, lines=lines)
    assert code == 0
    seen = left(shown, columns, lines)
    rows = [line.split() for line in seen.splitlines() if line.startswith("✓")]
    label = max(5, columns // 3)
    assert [row[1] for row in rows] == [t if len(t) <= label else t[: label - 1] + "…" for t in TITLES]
    answer = " ".join(seen[seen.index("\n\n") :].split())
    assert answer.startswith(f"{MERGED} 8 calls")


def test_a_line_never_fills_the_terminal_while_it_is_redrawn() -> None:
    with FaultyServer(six) as server:
        _, shown = on_terminal_here("ask", "Why?", *model(server), columns=40, lines=10)
    drawn = ESCAPES.sub("", shown[: shown.rindex("merging")])
    # What is expected is told beforehand, and stays where it is.
    lines = [line for line in re.split("[\r\n]", drawn) if not line.startswith("Expected: ")]
    assert max(map(len, lines)) < 40


def test_where_not_all_rows_fit_the_rest_is_counted() -> None:
    counted = threading.Event()

    def script(exchange: Exchange) -> Reply | str:
        if exchange.schema == "plan" or merges(exchange):
            return six(exchange)
        return ChatAnswer("word", gates={0: counted})

    # How many depends on what the line above says by then, and in how many lines.
    gates = {" more": counted}
    with FaultyServer(script) as server:
        _, shown = on_terminal_here("ask", "Why?", *model(server), columns=40, lines=6, gates=gates)
    assert re.search(r"and [2-5] more", shown)


def test_what_a_task_waits_for_is_named_as_in_view() -> None:
    console = Console(width=80)
    states = TaskStates()
    rows = TaskRows(console, states)
    for task in (
        Task(id="1", prompt="a", title="Prices"),
        Task(id="2", prompt="b", title="Weather"),
        Task(id="3", prompt="c", title="Both", needs=("1", "2")),
    ):
        states.add(TaskPlanned(task=task))
    with console.capture() as shown:
        console.print(rows.table())
    assert "waits for Prices, Weather" in shown.get()


def test_what_a_tool_says_that_it_does_is_in_its_tasks_row() -> None:
    console = Console(width=80)
    states = TaskStates()
    rows = TaskRows(console, states)
    states.add(TaskPlanned(task=Task(id="1", prompt="a", title="Prices")))
    states.add(TaskStarted(task_id="1", model="m"))
    states.add(ToolStarted(task_id="1", tool="orders", call_id="c"))
    states.add(ToolProgress(task_id="1", tool="orders", call_id="c", message="page 2\x1b[2J"))
    states.add(ToolProgress(task_id="other", tool="orders", call_id="c", message="elsewhere"))
    with console.capture() as shown:
        console.print(rows.table())
    assert "orders: page 2" in shown.get()
    assert "\x1b[2J" not in shown.get()
    assert "elsewhere" not in shown.get()
    states.add(ToolFinished(task_id="1", tool="orders", call_id="c", seconds=1))
    states.add(TaskDelta(task_id="1", text="They fell."))
    assert [state.said for state in states] == ["They fell."]


def test_each_phase_is_seen() -> None:
    asking, planning, merging = (threading.Event() for _ in range(3))

    def script(exchange: Exchange) -> Reply | str:
        if exchange.schema == "plan":
            return ChatAnswer(plan(*TITLES), gates={0: asking, 5: planning})
        return ChatAnswer(MERGED, gates={0: merging} if merges(exchange) else {})

    gates = {"asking ": asking, "planning ": planning, "merging": merging}
    with FaultyServer(script) as server:
        _, shown = on_terminal_here("ask", "Why?", *model(server), gates=gates)
    shown = ESCAPES.sub("", shown)
    assert shown.index("asking http://127.0.0.1") < shown.index("planning ") < shown.index("merging")


def test_a_plan_is_shown_by_its_titles_beside_a_clock_and_a_speed() -> None:
    planning = threading.Event()

    def script(exchange: Exchange) -> Reply | str:
        if exchange.schema == "plan":
            # It waits where the second title has not come: a screen that is drawn late would not show the first.
            return ChatAnswer(plan(*TITLES), chunk=16, gates={4: planning})
        return six(exchange)

    with FaultyServer(script) as server:
        _, shown = on_terminal_here("ask", "Why?", *model(server), gates={"tokens/s · planning Alpha": planning})
    shown = ESCAPES.sub("", shown)
    assert re.search(r"[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] \d:\d\d · \d+ tokens/s · planning (Alpha|Beta|Gamma|Delta|Epsilon|Zeta)", shown)
    assert '{"tasks"' not in shown
    assert '"needs"' not in shown


def test_without_a_plan_it_is_the_answer_as_it_streams() -> None:
    thought = threading.Event()
    with FaultyServer(ChatAnswer("Because.", reasoning="Hmm.", gates={0: thought})) as server:
        ask = ("ask", "Why?", "--mode", "instant", *model(server))
        code, shown = on_terminal_here(*ask, gates={"thinking Hmm.": thought})
    assert code == 0
    assert "thinking Hmm." in ESCAPES.sub("", shown)
    assert left(shown).splitlines()[-2] == "Because."


def test_why_a_task_failed_is_told_in_full() -> None:
    message = "this part cannot be done, for reasons that take more than one line to tell"

    def script(exchange: Exchange) -> Reply | str:
        return HttpError(400, message) if "Do Two." in exchange.prompt else contemplating(exchange)

    with FaultyServer(script) as server:
        code, shown = on_terminal_here("ask", "Why?", *model(server), columns=60)
    assert code == 3, "the answer is there, and something is missing from it"
    seen = " ".join(left(shown, 60).split())
    assert message in seen
    assert "missing: 2" in seen


def test_an_answer_that_starts_over_says_so() -> None:
    merged = 0

    def script(exchange: Exchange) -> Reply | str:
        nonlocal merged
        merged += merges(exchange)
        return BrokenBody("This will not be the answer") if merged == 1 else contemplating(exchange)

    with FaultyServer(script) as server:
        code, shown = on_terminal_here("ask", "Why?", *model(server))
    assert code == 0
    assert f"the answer starts over]\n{MERGED}\n" in left(shown)


def test_a_failure_shows_what_was_finished() -> None:
    def script(exchange: Exchange) -> Reply | str:
        return HttpError(400, "no merging today") if merges(exchange) else contemplating(exchange)

    with FaultyServer(script) as server:
        code, shown = on_terminal_here("ask", "Why?", *model(server))
    assert code == 3
    seen = left(shown)
    assert "One\n\nResult: One.\n" in seen
    assert seen.index("Result: Two.") < seen.index("incomplete")
    assert "no merging today" in ESCAPES.sub("", shown)


def test_what_a_model_says_does_not_steer_the_terminal() -> None:
    evil = "\x1b]0;owned\x07\x9b31m\x1b[2J"

    def script(exchange: Exchange) -> Reply | str:
        if exchange.schema == "plan":
            return plan(f"One{evil}", "Two")
        if "Do Two." in exchange.prompt:
            return HttpError(400, f"no{evil}")
        return f"{MERGED}{evil}" if merges(exchange) else f"Result{evil}"

    with FaultyServer(script) as server:
        code, shown = on_terminal_here("ask", "Why?", *model(server))
    assert code == 3
    assert MERGED in shown
    for sequence in ("\x1b]", "\x07", "\x9b", "\x1b[2J"):
        assert sequence not in shown


def test_no_colour_where_none_is_wanted() -> None:
    with FaultyServer(contemplating) as server:
        _, coloured = on_terminal_here("ask", "Why?", *model(server))
        _, shown = on_terminal_here("ask", "Why?", *model(server), NO_COLOR="1")
    colours = re.compile(r"\x1b\[(?:\d+;)*3[0-7]m")
    assert colours.search(coloured)
    assert not colours.search(shown)


def test_logs_are_not_written_over_it() -> None:
    with FaultyServer(contemplating) as server:
        code, shown = on_terminal(command("ask", "Why?", "--log-level", "info", *model(server)))
    assert code == 0
    assert "\x1b[?25l" not in shown
    assert "INFO run_finished" in shown
    assert f"\n{MERGED}\n" in shown
