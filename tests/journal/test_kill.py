"""Processes that are killed: a few of `python -m benchmarks.kill`."""

from __future__ import annotations

from benchmarks import kill


def test_nothing_is_paid_for_twice() -> None:
    report = kill.main(kills=3, seed=1)
    assert report.kills.total() == 3
    assert report.kept
    assert report.runs == report.equal > 0
