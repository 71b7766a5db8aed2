"""Short versions of the long seeded runs in benchmarks/."""

from __future__ import annotations

import random

import pytest

from benchmarks import cancellations, fuzz
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
