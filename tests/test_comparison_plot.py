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
from contemplate.comparison.intervals import mean_interval
from contemplate.comparison.plot import HEIGHT, LEFT, LINE, TOP, WIDTH
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


@pytest.mark.parametrize(
    "values", [[0.3, 0.1 + 0.2], [0.0, 1e-300], [1e9, 1e9 + 1e-4], [1e300, 1e300], [-1e300, -1e300]]
)
def test_scores_that_hardly_differ_have_an_axis(values: list[float]) -> None:
    ticks = score_axis(values, 100, 0).ticks
    assert list(ticks) == sorted(set(ticks))
    assert len(ticks) > 1


@pytest.mark.parametrize("cost", [1e-13, 1e-9, 1e12])
def test_costs_of_every_size_have_an_axis(cost: float) -> None:
    ticks = cost_axis([0, cost], 0, 100).ticks
    assert (ticks[0], ticks[-1]) == (0, cost)
    assert len(set(ticks)) == 6


def test_what_is_beyond_an_axis_is_at_its_end() -> None:
    made = cost_axis([5], 0, 100)
    assert [made.place(each) for each in (-1, 0, 2.5, 5, 99)] == [0, 0, 50, 100, 100]
    assert cost_axis([1, 100], 0, 100).place(0) == 0
    assert cost_axis([0], 0, 100).ticks == (0, 0.2, 0.4, 0.6, 0.8, 1)


def paths(root: ElementTree.Element, kind: str) -> list[str]:
    return [each.attrib["d"] for each in root.iter(f"{SVG}path") if each.get("class") == kind]


def texts_of(root: ElementTree.Element, kind: str) -> list[tuple[str | None, ...]]:
    found = [each for each in root.iter(f"{SVG}text") if each.get("class") == kind]
    return [(each.text, each.get("x"), each.get("y"), each.get("transform")) for each in found]


def test_everything_is_at_its_place_within_the_picture() -> None:
    svg = report(way("a", 1, 1, 0, 0, tokens=200), way("b", 1, 0, tokens=400)).svg()
    root = ElementTree.fromstring(svg)
    right, low, middle = LEFT + WIDTH, TOP + HEIGHT, LEFT + WIDTH / 2
    # 0, 100, ... 400 tokens, and 0 to 100 %.
    grid = [f"M{LEFT + WIDTH * each / 4:.1f} {low:.1f}V{TOP:.1f}" for each in range(5)]
    grid += [f"M{LEFT:.1f} {TOP + HEIGHT * (5 - each) / 5:.1f}H{right:.1f}" for each in range(6)]
    assert paths(root, "grid") == grid
    circles = [(float(each.attrib["cx"]), float(each.attrib["cy"])) for each in root.iter(f"{SVG}circle")]
    assert circles == [(middle, TOP + HEIGHT / 2), (right, TOP + HEIGHT / 2)]
    worst, best = (TOP + HEIGHT * (1 - share) for share in mean_interval([1, 1, 0, 0])[1:])
    whisker = f"M{middle:.1f} {worst:.1f}V{best:.1f}M{middle - 4:.1f} {worst:.1f}h8M{middle - 4:.1f} {best:.1f}h8"
    assert paths(root, "interval")[0] == whisker
    for path, (_, y) in zip(paths(root, "leader"), names(svg), strict=True):
        assert path.endswith(f"L{right} {y - 4:.1f}H{right + 12}")
    assert texts_of(root, "end")[0] == ("0 %", str(LEFT - 8), f"{low + 4:.1f}", None)
    assert texts_of(root, "middle")[4:] == [
        ("400", f"{right:.1f}", f"{low + 18:.1f}", None),
        ("tokens per question", f"{middle:.1f}", f"{low + 40:.1f}", None),
        ("right", None, None, f"translate(18 {TOP + HEIGHT / 2:.1f}) rotate(-90)"),
    ]
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for each in root.iter(f"{SVG}text"):
        assert 0 <= float(each.get("x", 0)) < width
        assert 0 <= float(each.get("y", 0)) < height


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
    said = [each.findtext(f"{SVG}title") for each in ElementTree.fromstring(svg).iter(f"{SVG}circle")]
    assert said == ["a: 0.5 (-2.677 to 3.677), 100", "one question: 0.4"]


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
