"""A comparison as a picture, in SVG: how often each way is right, against what it costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Literal

from ..errors import ConfigurationError
from .axes import Axis, cost_axis, score_axis
from .intervals import Interval
from .way_report import WayReport, are_graded

Cost = Literal["tokens", "usd", "calls", "seconds"]

LEFT, TOP, WIDTH, HEIGHT = 80, 40, 460, 300
LINE = 20
# Of a letter, in the mean; names are beside the picture, whose width they have no say in.
LETTER = 7.5
_TITLES: Mapping[Cost, str] = {
    "tokens": "tokens per question",
    "usd": "USD per question",
    "calls": "calls per question",
    "seconds": "seconds per question",
}


@dataclass(frozen=True, slots=True)
class _Point:
    name: str
    cost: float
    score: Interval


def svg_of(ways: Mapping[str, WayReport], against: str, title: str, cost: Cost | None = None) -> str:
    """Return the picture: a point for each way, with its interval of 95 %, and its name beside it.

    Args:
        ways: the ways; those without scores are left out.
        against: the one with which the others are compared, whose score is a line.
        title: what stands above it.
        cost: what stands below; if None, USD where all of them have a price, else tokens.

    Raises:
        ConfigurationError: no way has a score, or one has no such cost.
    """
    measured = [way for way in ways.values() if way.accuracy is not None]
    if not measured:
        raise ConfigurationError("no way has a score: there is nothing to draw", hint="the report says why not")
    kind = cost or ("usd" if all(way.usage.cost_usd for way in measured) else "tokens")
    points = sorted((_point(way, kind) for way in measured), key=lambda each: -each.score.value)
    bottom = TOP + max(HEIGHT, LINE * len(points))
    across = cost_axis([each.cost for each in points], LEFT, LEFT + WIDTH)
    ends = [end for each in points for end in each.score if math.isfinite(end)]
    up = score_axis(ends, bottom, TOP)
    graded = are_graded(measured)
    names = _names_apart([up.place(each.score.value) for each in points], TOP + LINE / 2, bottom - LINE / 2)
    drawn = [
        *_grid(across, up, kind, "mean score" if graded else "right", graded),
        *(_line(up.place(each.score.value)) for each in points if each.name == against),
        *(part for each, y in zip(points, names, strict=True) for part in _drawn(each, across, up, y, graded)),
    ]
    width = LEFT + WIDTH + 40 + LETTER * max(len(each.name) for each in points)
    style = files(__package__).joinpath("plot.css").read_text(encoding="utf-8")
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {bottom + 52:.0f}" role="img">'
    frame = f'<rect class="page" width="{width:.0f}" height="{bottom + 52:.0f}"/>'
    heading = f'<text class="title" x="{LEFT}" y="24">{escape(title)}</text>'
    return "\n".join(
        [head, f"<title>{escape(title)}</title>", f"<style>{style}</style>", frame, heading, *drawn, "</svg>\n"]
    )


def _point(way: WayReport, cost: Cost) -> _Point:
    usage, number, accuracy = way.usage, len(way.scores), way.accuracy
    assert accuracy is not None  # noqa: S101
    whole: Mapping[Cost, float | None] = {
        "tokens": usage.total_tokens,
        "usd": usage.cost_usd,
        "calls": usage.calls,
        "seconds": None if way.seconds is None else way.seconds * number,
    }
    found = whole[cost]
    if found is None:
        raise ConfigurationError(f"the way {way.name!r} has no {cost}", hint='plot(..., cost="tokens")')
    return _Point(way.name, found / number, accuracy)


def _grid(across: Axis, up: Axis, cost: Cost, score: str, graded: bool) -> list[str]:
    lines = []
    for tick in across.ticks:
        x = across.place(tick)
        lines.append(f'<path class="grid" d="M{x:.1f} {up.start:.1f}V{up.end:.1f}"/>')
        lines.append(f'<text class="middle" x="{x:.1f}" y="{up.start + 18:.1f}">{tick:,.10g}</text>')
    for tick in up.ticks:
        y = up.place(tick)
        lines.append(f'<path class="grid" d="M{across.start:.1f} {y:.1f}H{across.end:.1f}"/>')
        lines.append(f'<text class="end" x="{LEFT - 8}" y="{y + 4:.1f}">{_said(tick, graded)}</text>')
    middle = (across.start + across.end) / 2
    lines.append(f'<text class="middle" x="{middle:.1f}" y="{up.start + 40:.1f}">{_TITLES[cost]}</text>')
    centre = (up.start + up.end) / 2
    lines.append(f'<text class="middle" transform="translate(18 {centre:.1f}) rotate(-90)">{score}</text>')
    return lines


def _line(y: float) -> str:
    return f'<path class="against" d="M{LEFT} {y:.1f}H{LEFT + WIDTH}"/>'


def _drawn(point: _Point, across: Axis, up: Axis, name_y: float, graded: bool) -> list[str]:
    x, y = across.place(point.cost), up.place(point.score.value)
    low, high = (up.place(end) for end in (point.score.low, point.score.high))
    said = f"{point.name}: {_said(point.score.value, graded)}"
    if math.isfinite(point.score.low):
        said += f" ({_said(point.score.low, graded)} to {_said(point.score.high, graded)}), {point.cost:,.4g}"
    edge = LEFT + WIDTH
    return [
        f'<path class="leader" d="M{x:.1f} {y:.1f}L{edge} {name_y:.1f}H{edge + 12}"/>',
        f'<path class="interval" d="M{x:.1f} {low:.1f}V{high:.1f}M{x - 4:.1f} {low:.1f}h8M{x - 4:.1f} {high:.1f}h8"/>',
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5"><title>{escape(said)}</title></circle>',
        f'<text x="{edge + 18}" y="{name_y + 4:.1f}">{escape(point.name)}</text>',
    ]


def _names_apart(places: Sequence[float], top: float, bottom: float) -> list[float]:
    """Return where names stand, given from the top to the bottom: near their points, and none over another one."""
    apart: list[float] = []
    for number, place in enumerate(places):
        lowest = bottom - LINE * (len(places) - 1 - number)
        above = apart[-1] + LINE if apart else top
        apart.append(max(above, min(place, lowest)))
    return apart


def _said(value: float, graded: bool) -> str:
    return f"{value:.4g}" if graded else f"{100 * value:.4g} %"
