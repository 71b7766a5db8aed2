"""Lines for whoever reads what a program prints, and may be gone."""

from __future__ import annotations

import sys
from io import StringIO

import pytest

from contemplate.views.printable import print_line, printable


def test_a_line_that_nobody_reads_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    closed = StringIO()
    closed.close()
    for nobody in (Gone(), closed):
        monkeypatch.setattr(sys, "stdout", nobody)
        print_line("Working")


def test_a_line_is_written_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    print_line("Working")
    assert capfd.readouterr().out == "Working\n"


def test_nothing_steers_a_terminal() -> None:
    assert printable("a\x1b[2Jb\r\n\tc\x9b") == "a[2Jb\n\tc"
