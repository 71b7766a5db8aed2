"""Short versions of the long seeded runs in benchmarks/."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks import cancellations, fuzz
from benchmarks.speed import contenders, reporting, running, worker
from benchmarks.speed.peers import contemplated, openai_gather
from contemplate.testing import ScriptedModel


def test_every_parser_reads_anything() -> None:
    tallies = fuzz.fuzz(inputs=2000, seed=1)
    assert fuzz.show(tallies), [each.examples for each in tallies.values()]
    assert {each.inputs for each in tallies.values()} == {400}


def test_the_fuzz_finds_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(rng: random.Random) -> str:
        raise KeyError(rng.random())

    monkeypatch.setitem(fuzz.KINDS, "plans", broken)
    tallies = fuzz.fuzz(inputs=10, seed=1)
    assert {name: each.crashes for name, each in tallies.items() if each.crashes} == {"plans": 2}
    assert not fuzz.show(tallies)


def test_nothing_is_left_wherever_a_run_is_cancelled() -> None:
    report = cancellations.measured(100, 10, seed=1)
    assert cancellations.show(report, 0.0), report
    assert report.endings["cancelled"] >= 100


@pytest.mark.anyio
async def test_what_is_left_is_seen() -> None:
    run = cancellations.Run(ScriptedModel("Answer: 4"), "all", "vote", watched=True)
    assert await run.go() == "over"
    assert run.left(set()) == ["tasks"], "this test itself"
    (gate,) = cancellations.gates()
    run.counted.out += 1
    gate.pace.window.out += 1
    assert run.left(set()) == ["tasks", "calls", "places in a limiter"]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("way", ["fan_out", "stream"])
async def test_the_ways_of_the_speed_benchmark(way: str) -> None:
    with running.server() as url:
        pace = f"{url}/stream-200/v1"
        for opened in (contemplated.opened, openai_gather.opened):
            async with opened(pace) as ways:
                took = await worker.measured(ways, way=way, n=4, at_once=2, warm=1)
            assert took["cpu"] > 0
            assert took["pieces"] == (4 * 200 if way == "stream" else 0)


def test_a_report_is_written_between_its_markers(tmp_path: Path) -> None:
    slow, fast = {"cpu": 0.066, "wall": 0.4}, {"cpu": 0.033, "wall": 0.2}
    results = {
        "date": "2026-01-01",
        "machine": running.machine(),
        "versions": {contenders.BASE: "1"},
        "scenarios": {"fan_out": {"64": {contenders.BASE: [slow], "contemplate": [fast, fast], "dspy": []}}},
    }
    page = tmp_path / "performance.md"
    page.write_text(f"Before\n{reporting.BEGIN}\nold\n{reporting.END}\nAfter")
    reporting.write(results, page)
    text = page.read_text()
    assert text.startswith("Before")
    assert text.endswith("After")
    assert "old" not in text
    assert "| contemplate | 500 (0.50) | 200 (0.50) |" in text
    assert "<svg" in (tmp_path / "performance" / "fan-out-64-cpu.svg").read_text()
