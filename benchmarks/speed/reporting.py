"""Tables and charts of one run: medians of its rounds, and their ratios to `openai` + gather in the same run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from statistics import median
from typing import Any

from . import goals
from .contenders import BASE, CONTENDERS, NOTHING
from .scenarios import CHUNKS, SCENARIOS, Job, Scenario

PEERS = {each.name for each in CONTENDERS if " " not in each.name}
IDEAL_MS = {"fan_out": 150.0, "hundred": 600.0}

Round = Mapping[str, float]
Relation = Callable[[float, float], str]
Column = tuple[str, Callable[[Round], float], Relation | None]
"""Its heading, its number of one round, and how that is related to the number of what all is held against."""


def ratio(number: float, base: float) -> str:
    """How many times as much."""
    return f"{number / base:.2f}"


def more(number: float, base: float) -> str:
    """How much more."""
    return f"{number - base:+,.0f}"


def columns(name: str, job: Job) -> list[Column]:
    """What is shown of a scenario's job."""
    cpu: Column = ("CPU per call, us", lambda took: took["cpu"] / job.calls * 1e6, ratio)
    wall: Column = ("wall, ms", lambda took: took["wall"] * 1e3, ratio)
    match name:
        case "stream":
            return [("CPU per 1,000 chunks, ms", lambda took: took["cpu"] / (job.n * CHUNKS) * 1e6, ratio)]
        case "memory_1000" | "memory_10000":
            memory: Column = ("KiB per subagent", lambda took: (took["peak_kib"] - took["base_kib"]) / job.n, ratio)
            return [
                memory,
                ("peak, MiB", lambda took: took["peak_kib"] / 1024, None),
                ("CPU, s", lambda took: took["cpu"], None),
            ]
        case "features":
            return [("CPU per call, us", cpu[1], more), ("wall, ms", wall[1], None)]
        case "hundred":
            return [wall, cpu, ("peak, MiB", lambda took: took["peak_kib"] / 1024, ratio)]
        case _:
            return [cpu, wall]


def tables(results: Mapping[str, Any]) -> str:
    """All tables, in markdown."""
    parts = [_about(results)]
    for scenario in SCENARIOS:
        for n, rounds in results["scenarios"].get(scenario.name, {}).items():
            job = next((each for each in scenario.jobs if str(each.n) == n), scenario.jobs[0])
            job = Job(int(n), job.rounds, job.way, job.at_once, job.warm)
            parts.append(_table(scenario, job, {name: each for name, each in rounds.items() if each}))
    if starts := results["scenarios"].get("starts"):
        shown: list[Column] = [
            ("wall, ms", lambda took: took["wall"] * 1e3, ratio),
            ("CPU, ms", lambda took: took["cpu"] * 1e3, ratio),
            ("modules", lambda took: took["modules"], None),
        ]
        parts.append(
            "### To start; in brackets the ratio to `import openai`\n\n"
            + _rows("command", shown, starts, "import openai")
        )
    if reached := goals.reached(results):
        parts.insert(1, f"### Goals\n\n{goals.table(reached)}")
    return "\n\n".join(parts)


def _about(results: Mapping[str, Any]) -> str:
    machine = results["machine"]
    versions = {"openai" if name == BASE else name: version for name, version in results["versions"].items()}
    named = "".join(f", {name} {version}" for name, version in versions.items() if name in {"openai", *PEERS})
    return (
        f"Measured {results['date']} on {machine['cores']} cores ({machine['cpu']}, {machine['system']}), "
        f"Python {machine['python']}{named}. "
        f"Medians; in brackets the ratio to `{BASE}`, unless it is said otherwise."
    )


def _table(scenario: Scenario, job: Job, rounds: Mapping[str, list[Round]]) -> str:
    count = max((len(each) for each in rounds.values()), default=0)
    ideal = f", ideal {IDEAL_MS[scenario.name]:.0f} ms" if scenario.name in IDEAL_MS else ""
    titles = {
        "fan_out": f"Fan-out, N = {job.n:,}",
        "hundred": f"A hundred contemplations at once, N = {job.n}",
        "stream": f"Streaming, {job.n} x {CHUNKS} chunks",
        "features": f"What each feature costs by itself, N = {job.n}; in brackets what it adds",
    }
    title = titles.get(scenario.name, f"Memory, {job.n:,} subagents in flight")
    base = NOTHING.name if scenario.name == "features" else BASE
    rows = _rows("on" if scenario.name == "features" else "", columns(scenario.name, job), rounds, base)
    return f"### {title}{ideal} ({count} rounds)\n\n{rows}"


def _rows(heading: str, shown: list[Column], rounds: Mapping[str, list[Round]], base: str) -> str:
    lines = [f"| {heading} | {' | '.join(title for title, _, _ in shown)} |", "|---" * (len(shown) + 1) + "|"]
    values = {name: [median(map(value, each)) for _, value, _ in shown] for name, each in rounds.items()}
    for name, row in sorted(values.items(), key=lambda item: item[1][0]):
        cells = []
        for number, against, (_, _, related) in zip(row, values.get(base, row), shown, strict=True):
            relation = f" ({related(number, against)})" if related and base in values and against else ""
            cells.append(f"{number:,.{1 if number < 100 else 0}f}{relation}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def bars(title: str, values: Mapping[str, float]) -> str:
    """A bar chart as SVG; contemplate's bars stand out."""
    most, height = max(values.values()), 24 * len(values) + 40
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 {height}" font-family="sans-serif" font-size="13">',
        "<style>text{fill:#333}@media(prefers-color-scheme:dark){text{fill:#ddd}}</style>",
        f'<text x="8" y="20" font-weight="bold">{escape(title)}</text>',
    ]
    for index, (name, value) in enumerate(sorted(values.items(), key=lambda item: item[1])):
        y, width = 34 + 24 * index, max(1.0, 400 * value / most)
        colour = "#2563eb" if name.startswith("contemplate") else "#9ca3af"
        lines += [
            f'<text x="200" y="{y + 14}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="208" y="{y}" width="{width:.1f}" height="18" fill="{colour}"/>',
            f'<text x="{214 + width:.1f}" y="{y + 14}">{value:,.0f}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])


def charts(results: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """By file name: the title and the SVG of each chart."""
    drawn = {}
    for scenario, n, column in (("fan_out", 64, 0), ("fan_out", 256, 1), ("hundred", 8, 0)):
        rounds = {name: each for name, each in results["scenarios"].get(scenario, {}).get(str(n), {}).items() if each}
        if not rounds:
            continue
        job = Job(n, 1, at_once=100 if scenario == "hundred" else 1)
        heading, value, _ = columns(scenario, job)[column]
        what = "100 contemplations at once" if scenario == "hundred" else f"Fan-out to {n} subagents"
        title = f"{what}: {heading}"
        name = f"{scenario.replace('_', '-')}-{n}-{heading.split()[0].strip(',').lower()}.svg"
        drawn[name] = (title, bars(title, {one: median(map(value, each)) for one, each in rounds.items()}))
    return drawn


def write(results: Mapping[str, Any], page: Path) -> None:
    """Put tables and charts between the markers of `page`, and the charts' files into `performance/` beside it.

    Raises:
        ValueError: the page has no markers.
    """
    folder = page.parent / page.stem
    drawn = charts(results)
    pictures = [f"![{title}]({folder.name}/{name})" for name, (title, _) in drawn.items()]
    put("\n\n".join([*pictures, tables(results)]), page, "measured")
    folder.mkdir(exist_ok=True)
    for name, (_, svg) in drawn.items():
        (folder / name).write_text(svg)


def put(body: str, page: Path, mark: str) -> None:
    """Write `body` between the markers `<!-- mark -->` and `<!-- /mark -->` of `page`.

    Raises:
        ValueError: the page has no such markers.
    """
    begin, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    before, found, rest = page.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{page} has no {begin} ... {end}")
    page.write_text(f"{before}{begin}\n\n{body}\n\n{end}{after}")
