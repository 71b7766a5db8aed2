"""What contemplate is to reach, and whether one run of the benchmark did."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from .contenders import ALONE, BASE, CONTEMPLATE, CONTENDERS, EVERYTHING, FEATURES

OURS = CONTEMPLATE.name
FRAMEWORKS = [each.name for each in CONTENDERS if each.name != OURS and " " not in each.name]
ALL_ON = next(each.name for each in FEATURES if each.on == EVERYTHING)


class Medians:
    """The medians of a run's rounds.

    Its methods raise KeyError for what was not measured.
    """

    def __init__(self, results: Mapping[str, Any]) -> None:
        self._scenarios = results["scenarios"]

    def of(self, scenario: str, n: int, name: str, what: str) -> float:
        """One contender's seconds of `wall` or `cpu`, or KiB."""
        return _median(self._scenarios[scenario][str(n)][name], what)

    def start(self, command: str) -> float:
        """Seconds of CPU to start and end."""
        return _median(self._scenarios["starts"][command], "cpu")

    def of_base(self, scenario: str, n: int, name: str, what: str) -> float:
        """In relation to `openai` + gather."""
        return self.of(scenario, n, name, what) / self.of(scenario, n, BASE, what)

    def kib_each(self, n: int, name: str) -> float:
        """Memory of each of n subagents in flight."""
        return (self.of(f"memory_{n}", n, name, "peak_kib") - self.of(f"memory_{n}", n, name, "base_kib")) / n

    def of_cheapest_framework(self, n: int) -> float:
        """CPU of a fan-out, in relation to the framework that takes least."""
        rounds = self._scenarios["fan_out"][str(n)]
        least = min((_median(rounds[name], "cpu") for name in FRAMEWORKS if rounds.get(name)), default=None)
        if least is None:
            raise KeyError("no framework")
        return self.of("fan_out", n, OURS, "cpu") / least

    def own_us(self, n: int) -> float:
        """Microseconds of CPU that planner, engine, events and limits add to a call of the model."""
        return (self.of("features", n, ALL_ON, "cpu") - self.of("features", n, ALONE.name, "cpu")) / (n + 2) * 1e6


def _median(rounds: list[Mapping[str, float]], what: str) -> float:
    if not rounds:
        raise KeyError(what)
    return median(each[what] for each in rounds)


@dataclass(frozen=True, slots=True)
class Goal:
    """Something that is to be at most so much."""

    what: str
    measured: Callable[[Medians], float]
    most: float
    unit: str = "x"


def _of_base(scenario: str, n: int, name: str, what: str) -> Callable[[Medians], float]:
    return lambda medians: medians.of_base(scenario, n, name, what)


GOALS = (
    *(Goal(f"CPU, N = {n}: `{OURS}`, of `{BASE}`", _of_base("fan_out", n, OURS, "cpu"), 0.40) for n in (64, 256)),
    Goal(f"CPU, N = 64: `{OURS}`, of the cheapest framework", lambda medians: medians.of_cheapest_framework(64), 0.25),
    Goal(f"wall, N = 8: `{OURS}`, of the ideal 150 ms", lambda run: run.of("fan_out", 8, OURS, "wall") / 0.15, 1.12),
    Goal(f"wall, N = 256: `{OURS}`, of the ideal 150 ms", lambda run: run.of("fan_out", 256, OURS, "wall") / 0.15, 2.1),
    Goal("own layer above the model's call, CPU", lambda run: run.own_us(64), 100, "us"),
    Goal(f"a hundred at once, wall: `{OURS}`, of `{BASE}`", _of_base("hundred", 8, OURS, "wall"), 0.50),
    Goal(f"a hundred at once, CPU: `{OURS}`, of `{BASE}`", _of_base("hundred", 8, OURS, "cpu"), 0.40),
    Goal(f"a hundred at once, peak memory: `{OURS}`, of `{BASE}`", _of_base("hundred", 8, OURS, "peak_kib"), 1.1),
    Goal(f"10,000 subagents in flight: `{OURS}`, each", lambda run: run.kib_each(10_000, OURS), 45, "KiB"),
    Goal(f"CPU of streams: `{OURS}`, of `{BASE}`", _of_base("stream", 16, OURS, "cpu"), 0.40),
    Goal(
        "`import contemplate`, of `import openai`",
        lambda run: run.start("import contemplate") / run.start("import openai"),
        0.35,
    ),
    Goal(
        "`contemplate --version`, of an interpreter that does nothing",
        lambda run: run.start("contemplate --version") / run.start("nothing"),
        2.0,
    ),
    Goal(
        "`contemplate --help`, of `import openai`",
        lambda run: run.start("contemplate --help") / run.start("import openai"),
        0.50,
    ),
)


def reached(results: Mapping[str, Any]) -> list[tuple[Goal, float]]:
    """Each goal for which there are figures, with what was measured."""
    medians, found = Medians(results), []
    for goal in GOALS:
        try:
            found.append((goal, goal.measured(medians)))
        except KeyError:
            continue
    return found


def table(found: Iterable[tuple[Goal, float]]) -> str:
    """In markdown."""
    lines = ["| goal | at most | measured | reached |", "|---|--:|--:|---|"]
    for goal, value in found:
        shown = f"{value:,.2f}" if value < 10 else f"{value:,.0f}"
        lines.append(f"| {goal.what} | {goal.most:g} {goal.unit} | {shown} {goal.unit} | {_yes(value <= goal.most)} |")
    return "\n".join(lines)


def _yes(reached: bool) -> str:
    return "yes" if reached else "**no**"
