"""What docs show of the terminal is what is on one."""

from __future__ import annotations

import pytest

from .captures import PAGE, SIZES, capture, captures, masked


@pytest.mark.parametrize(("columns", "lines"), SIZES)
def test_docs_show_what_is_on_a_terminal(columns: int, lines: int) -> None:
    told = {moment: text for width, moment, text in captures(PAGE.read_text("utf-8")) if width == columns}
    shown = capture(columns, lines)
    assert told.keys() == shown.keys()
    for moment, text in shown.items():
        assert masked(told[moment]) == masked(text), "python -m tests.cli.captures writes the page anew"
        assert all(len(line) <= columns for line in told[moment].splitlines())
