"""Pictures of comparisons: well formed, whatever the ways are called, with names that do not cover each other."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contemplate import ComparisonReport
from contemplate.comparison import Scored, WayReport
from contemplate.comparison.axes import cost_axis, score_axis
from contemplate.comparison.plot import HEIGHT, LINE, TOP
from contemplate.errors import ConfigurationError
from contemplate.usage import Usage

SVG = "{http://www.w3.org/2000/svg}"
COSTS = st.lists(st.floats(0, 1e9).map(lambda cost: round(cost, 6)), min_size=1, max_size=12)
SCORES = st.lists(st.floats(-1e6, 1e6).map(lambda score: round(score, 6)), min_size=1, max_size=12)


def way(name: str, *scores: float | None, tokens: int = 100, usd: float | None = None) -> WayReport:
    usage = Usage(calls=1, input_tokens=tokens, cost_usd=usd)
    outcomes = (Scored(place, None, "q", "e", "o", score, usage=usage) for place, score in enumerate(scores))
    return WayReport(name, tuple(outcomes))


def report(*ways: WayReport) -> ComparisonReport:
    return ComparisonReport("<sums> & more", {each.name: each for each in ways}, ways[0].name)


def texts(svg: str) -> list[str]:
    return [each.text or "" for each in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def names(svg: str) -> list[tuple[str, float]]:
    """The names of the ways, and where they stand."""
    found = ElementTree.fromstring(svg).findall(f"{SVG}text")
    return [(each.text or "", float(each.attrib["y"])) for each in found if "class" not in each.attrib]


def test_each_way_has_its_point_and_its_name() -> None:
    svg = report(way("<a> & 'b'", 1, 1, 0), way("c", 0, 0, 1, tokens=5000), way("unmeasured", None)).svg()
    root = ElementTree.fromstring(svg)
    assert texts(svg)[0] == "<sums> & more"
    assert [name for name, _ in names(svg)] == ["<a> & 'b'", "c"]
    assert "tokens per question" in texts(svg)
    assert {"100", "5,000"} <= set(texts(svg))
    said = [each.findtext(f"{SVG}title") for each in root.iter(f"{SVG}circle")]
    assert said[0] == "<a> & 'b': 66.67 % (20.77 % to 93.85 %), 100"
    assert sum(each.get("class") == "against" for each in root.iter(f"{SVG}path")) == 1


@given(st.lists(st.tuples(st.integers(0, 10), st.integers(0, 100_000)), min_size=1, max_size=40))
def test_no_name_covers_another_one(ways: list[tuple[int, int]]) -> None:
    given = [way(f"way {n}", *[1.0] * right, *[0.0] * (10 - right), tokens=t) for n, (right, t) in enumerate(ways)]
    found = names(report(*given).svg())
    assert sorted(name for name, _ in found) == sorted(each.name for each in given)
    places = [place for _, place in found]
    assert all(later - place >= LINE - 0.11 for place, later in pairwise(places))
    assert places[0] >= TOP
    assert places[-1] <= TOP + max(HEIGHT, LINE * len(ways)) + LINE


@pytest.mark.parametrize("axis", [cost_axis, score_axis])
@given(values=COSTS)
def test_an_axis_has_room_for_all_values(axis: type, values: list[float]) -> None:
    made = axis(values, 0, 100)
    assert list(made.ticks) == sorted(set(made.ticks))
    assert 2 <= len(made.ticks) <= 11
    low, high = made.ticks[0], made.ticks[-1]
    assert low <= min(values) * 1.01 + 1e-9
    assert high >= max(values) * 0.99 - 1e-9
    places = [made.place(each) for each in sorted(values)]
    assert places == sorted(places)
    assert all(0 <= each <= 100 for each in places)


@given(SCORES)
def test_an_axis_of_scores_is_no_longer_than_it_must_be(values: list[float]) -> None:
    made = score_axis(values, 100, 0)
    assert made.place(made.ticks[0]) == 100
    assert len(made.ticks) <= 8


def test_costs_that_are_far_apart_get_equal_ratios() -> None:
    made = cost_axis([0.0003, 0.02], 0, 100)
    assert made.logarithmic
    assert made.ticks == pytest.approx((0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02))
    assert cost_axis([100, 700], 0, 100).ticks == (0, 200, 400, 600, 800)


def test_the_cost_is_in_usd_where_all_have_a_price() -> None:
    priced = report(way("a", 1, usd=0.5), way("b", 0, usd=2.0))
    assert "USD per question" in texts(priced.svg())
    assert "calls per question" in texts(priced.svg("calls"))
    assert "tokens per question" in texts(report(way("a", 1, usd=0.5), way("b", 0, usd=None)).svg())


def test_other_scores_are_shown_as_they_are() -> None:
    svg = report(way("a", 0.25, 0.75), way("one question", 0.4)).svg()
    assert "mean score" in texts(svg)
    assert not any("%" in text for text in texts(svg))


def test_it_is_written_to_a_file(tmp_path: Path) -> None:
    made = report(way("ä", 1, 0))
    made.plot(tmp_path / "plot.svg")
    assert (tmp_path / "plot.svg").read_text("utf-8") == made.svg()


def test_what_cannot_be_drawn_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no way has a score"):
        report(way("a", None)).svg()
    with pytest.raises(ConfigurationError, match="the way 'a' has no usd"):
        report(way("a", 1)).svg("usd")
    with pytest.raises(ConfigurationError, match="'tokens', 'usd', 'calls', 'seconds'"):
        report(way("a", 1)).svg("money")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"name it \*.svg"):
        report(way("a", 1)).plot(tmp_path / "plot.png")
