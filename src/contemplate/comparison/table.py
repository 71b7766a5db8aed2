"""A comparison as a table, for markdown and for terminals."""

from __future__ import annotations

import math
from collections.abc import Mapping

from .intervals import Interval
from .way_report import WayReport, are_graded, difference

Rows = list[list[str]]


def rows_of(ways: Mapping[str, WayReport], against: str) -> Rows:
    """Return the cells of the table, its head first; ways without scores are left out."""
    measured = [way for way in ways.values() if way.accuracy is not None]
    graded, costs = are_graded(measured), any(way.usage.cost_usd for way in measured)
    head = ["", "questions", "score" if graded else "right", "95 % interval", f"against {_cell(against)}"]
    head += ["calls", "tokens read", "tokens written", *(["USD"] if costs else []), "seconds"]
    return [head, *(_row(way, ways[against], graded, costs) for way in measured)]


def aligned(rows: Rows) -> str:
    """Return a table with columns of one width, for terminals: names to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows]
    return _table(padded, ["-" * (width + 2) for width in widths])


def markdown(rows: Rows) -> str:
    """Return a table in markdown."""
    return _table(rows, ["---", *["--:"] * (len(rows[0]) - 1)])


def _table(rows: Rows, rule: list[str]) -> str:
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join((head.replace("|  |", "| |", 1), f"|{'|'.join(rule)}|", *body))


def _row(way: WayReport, against: WayReport, graded: bool, costs: bool) -> list[str]:
    accuracy, usage, number = way.accuracy, way.usage, len(way.scores)
    assert accuracy is not None  # noqa: S101
    gain = None if way is against else difference(way, against)
    cost = [] if not costs else ["" if usage.cost_usd is None else f"{usage.cost_usd / number:.5f}"]
    return [
        _cell(way.name),
        str(number),
        *_value(accuracy, graded),
        "" if gain is None else signed(gain, graded=graded),
        f"{usage.calls / number:.1f}",
        f"{usage.input_tokens / number:.0f}",
        f"{usage.output_tokens / number:.0f}",
        *cost,
        "" if way.seconds is None else f"{way.seconds:.1f}",
    ]


def _value(interval: Interval, graded: bool) -> tuple[str, str]:
    """Return a mean and its interval: shares in per cent, other scores as they are."""
    if graded:
        return f"{interval.value:.3f}", f"{interval.low:.3f} to {interval.high:.3f}" if _is_known(interval) else ""
    return percent(interval.value), f"{100 * interval.low:.1f} to {100 * interval.high:.1f}"


def percent(share: float) -> str:
    """Return a share in per cent."""
    return f"{100 * share:.1f} %"


def signed(gain: Interval, *, graded: bool = False) -> str:
    """Return a difference with its interval: of shares in points of per cent, of other scores as it is."""
    scale, digits = (1, 3) if graded else (100, 1)
    # Without a zero that is below zero.
    value, low, high = (f"{round(scale * each, digits) + 0.0:+.{digits}f}" for each in gain)
    return f"{value} ({low} to {high})" if _is_known(gain) else value


def _is_known(interval: Interval) -> bool:
    return math.isfinite(interval.low)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
