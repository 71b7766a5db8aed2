"""What docs/terminal.md shows of the terminal, captured: `python -m tests.cli.captures` writes it anew."""

from __future__ import annotations

import json
import re
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from contemplate.testing import FaultyServer
from contemplate.testing.faulty import ChatAnswer, Exchange, Reply

from .asking import command, merges, model
from .screen import Screen, terminal

PAGE = Path(__file__).parents[2] / "docs" / "terminal.md"
SIZES = ((40, 40), (80, 40), (200, 40))
QUESTION = "Should a small web shop use SQLite or PostgreSQL?"
TASKS = (
    ("Load of 50 orders a day", (), "Fifty orders are a few hundred writes, over a whole day."),
    ("Durability", (), "Both keep what was committed: SQLite in write-ahead mode, PostgreSQL by default."),
    ("Backups", (2,), "SQLite: one file, copied by its own command. PostgreSQL: a dump, or a stream of its log."),
    ("Cost of a year", (1, 3), "A few dollars for the one, and a server for the other."),
)
ANSWER = """\
# SQLite, for now

Fifty orders a day are **a few hundred writes**, which `SQLite` takes in *one second*.

| | SQLite | PostgreSQL |
|---|---|---|
| Backup | one file | a dump, or a stream |
| Cost | none | a server |

Go to PostgreSQL as soon as

1. several machines write, or
2. a report takes longer than you wait:

```sql
PRAGMA journal_mode = WAL;
```
"""
_BLOCK = re.compile(r"(<!-- capture: (\d+) columns, (work|end) -->\n```text\n).*?(```\n)", re.DOTALL)


class _Shop:
    """A server that answers, and waits in the middle of the second task until the screen was captured."""

    def __init__(self) -> None:
        self.seen = threading.Event()

    def __call__(self, exchange: Exchange) -> Reply | str:
        if exchange.schema == "plan":
            tasks = [{"title": title, "prompt": f"{title}?", "needs": needs} for title, needs, _ in TASKS]
            return ChatAnswer(json.dumps({"tasks": tasks}), chunk=4096)
        if merges(exchange):
            return ChatAnswer(ANSWER)
        title, _, text = next(task for task in TASKS if f"{task[0]}?" in exchange.prompt)
        return ChatAnswer(text, chunk=8, gates={6: self.seen} if title == "Durability" else {})


def capture(columns: int, lines: int) -> dict[str, str]:
    """Return what is on a terminal of that size while the second task is at work, and in the end."""
    shop = _Shop()
    with tempfile.TemporaryDirectory() as folder, FaultyServer(shop) as server:
        # What was learnt of other servers is not told.
        own = {"XDG_DATA_HOME": folder, "XDG_CACHE_HOME": folder, "CONTEMPLATE_CACHE": folder}
        ask = command("ask", QUESTION, "--run-id", "shop", "--journal", f"{folder}/runs.db", *model(server))
        with terminal(ask, columns=columns, lines=lines, environment=own) as shown:
            shown.wait_for(_is_half_done)
            work = shown.screen.text
            shop.seen.set()
            assert shown.end() == 0
    return {"work": work.strip("\n") + "\n", "end": shown.screen.text.strip("\n") + "\n"}


def _is_half_done(screen: Screen) -> bool:
    return re.search(r"✓ Load.*\n▸ Durability .*write-ah\n(.*\n)*.* left", screen.text) is not None


def masked(text: str) -> str:
    """Return a capture without what differs from run to run: times, numbers of tokens, and where they break lines."""
    text = re.sub("[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]", "*", text)
    return " ".join(re.sub(r"\d[\d:.,]*|calls?\b", "0", text).replace("·", " ").split())


def captures(page: str) -> Iterator[tuple[int, str, str]]:
    """Yield the captures of a page: their columns, which moment they are of, and what they show."""
    for found in _BLOCK.finditer(page):
        head, columns, moment, _ = found.groups()
        yield int(columns), moment, found[0].removeprefix(head).removesuffix("```\n")


def write() -> None:
    """Write all captures of the page anew."""
    fresh = {columns: capture(columns, lines) for columns, lines in SIZES}
    page = PAGE.read_text("utf-8")
    page = _BLOCK.sub(lambda found: found[1] + fresh[int(found[2])][found[3]] + found[4], page)
    PAGE.write_text(page, "utf-8")


if __name__ == "__main__":
    write()
