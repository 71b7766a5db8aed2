"""A terminal for tests: its screen as a person sees it, of a size that can change, with keys that can be pressed."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from rich.cells import get_character_cell_size

from ..patience import PATIENCE
from ..processes import Process

CTRL_C = b"\x03"
# All that our views may send to a terminal: whatever else comes is text that steers it.
_KNOWN = re.compile(r"\x1b\[(?:(?P<up>\d*)A|(?P<erase>2)K|\?25(?P<cursor>[lh])|[\d;]*m)|(?P<text>[^\x1b])")
_CUT_OFF = re.compile(r"\x1b(\[[\d;?]*)?\Z")


class Screen:
    """What is on a terminal, as the lines that it was sent leave it; what scrolled out of it is kept."""

    def __init__(self, columns: int, lines: int) -> None:
        self.columns, self.height = columns, lines
        self.cursor_shown = True
        self._rows: list[list[str]] = [[]]
        self._row = self._column = 0

    def feed(self, text: str) -> None:
        place = 0
        while place < len(text):
            found = _KNOWN.match(text, place)
            assert found is not None, f"the terminal is steered: {text[place : place + 20]!r}"
            place = found.end()
            self._take(found)

    def _take(self, found: re.Match[str]) -> None:
        if found["up"] is not None:
            self._row = max(len(self._rows) - self.height, 0, self._row - int(found["up"] or 1))
        elif found["erase"]:
            self._rows[self._row] = []
        elif found["cursor"]:
            self.cursor_shown = found["cursor"] == "h"
        elif found["text"] == "\r":
            self._column = 0
        elif found["text"] == "\n":
            self._down()
        elif found["text"]:
            self._write(found["text"])

    def _down(self) -> None:
        self._row += 1
        if self._row == len(self._rows):
            self._rows.append([])

    def _write(self, character: str) -> None:
        assert character >= " ", f"the terminal is steered: {character!r}"
        assert not "\x7f" <= character < "\xa0", f"the terminal is steered: {character!r}"
        cells = get_character_cell_size(character)
        if self._column + cells > self.columns:
            self._column = 0
            self._down()
        row = self._rows[self._row]
        row += [" "] * (self._column + cells - len(row))
        if cells:
            row[self._column : self._column + cells] = [character, *[""] * (cells - 1)]
        self._column += cells

    def resize(self, columns: int, lines: int) -> None:
        """Change its size as xterm does: what is no longer on it is lost."""
        self.columns, self.height = columns, lines
        self._rows = [row[:columns] for row in self._rows]

    @property
    def rows(self) -> list[str]:
        """All lines, also those that have scrolled out."""
        return ["".join(row).rstrip() for row in self._rows]

    @property
    def text(self) -> str:
        return "\n".join(self.rows)

    @property
    def seen(self) -> list[str]:
        """The lines that are on the screen now."""
        return self.rows[-self.height :]


class Terminal:
    """A command that runs on a terminal of its own."""

    def __init__(self, leader: int, running: subprocess.Popen[bytes], screen: Screen) -> None:
        self.screen = screen
        self.running = running
        self.sent = ""
        self._leader = leader
        self._changed = threading.Condition()
        self._over = False
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def wait_for(self, seen: Callable[[Screen], bool] | str) -> None:
        """Wait until the screen shows it; it is an error if the command ends before."""
        shows = seen if callable(seen) else lambda screen: seen in screen.text
        with self._changed:
            assert self._changed.wait_for(lambda: shows(self.screen) or self._over, PATIENCE), self.screen.text
            assert shows(self.screen), self.screen.text

    def press(self, keys: bytes) -> None:
        os.write(self._leader, keys)

    def resize(self, columns: int, lines: int) -> None:
        with self._changed:
            self.screen.resize(columns, lines)
            _resize(self._leader, columns, lines)

    def end(self) -> int:
        """Wait for the end of the command, and return its exit code."""
        self._reader.join(PATIENCE)
        return self.running.wait(PATIENCE)

    def _read(self) -> None:
        with suppress(OSError):
            rest = b""
            while data := os.read(self._leader, 65536):
                rest += data
                # What is cut off in the middle of a character or of a sequence waits for its end.
                whole = _CUT_OFF.sub("", rest.decode(errors="ignore"))
                rest = rest[len(whole.encode()) :]
                with self._changed:
                    self.sent += whole
                    self.screen.feed(whole)
                    self._changed.notify_all()
        with self._changed:
            self._over = True
            self._changed.notify_all()


@contextmanager
def terminal(
    arguments: Sequence[str], *, columns: int = 80, lines: int = 24, environment: Mapping[str, str] = {}
) -> Iterator[Terminal]:
    """Run a command on a terminal of that size, until it is left."""
    leader, follower = pty.openpty()
    _resize(leader, columns, lines)
    variables = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    variables |= {"TERM": "xterm", **environment}
    streams = {"stdin": follower, "stdout": follower, "stderr": follower}
    with Process[bytes](arguments, terminal=True, env=variables, **streams) as running:
        os.close(follower)
        shown = Terminal(leader, running, Screen(columns, lines))
        try:
            yield shown
        finally:
            if running.poll() is None:
                running.kill()
            shown.end()
    os.close(leader)


def _resize(leader: int, columns: int, lines: int) -> None:
    fcntl.ioctl(leader, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
