"""Killed and continued: the short version of `python -m benchmarks.kill`."""

from __future__ import annotations

from benchmarks import kill


def test_killed_and_continued() -> None:
    report = kill.main(kills=5, seed=1)
    assert report.kept, report
    assert report.kills.total() == 5
