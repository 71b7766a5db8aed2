"""A batch that is killed and resumed: a small one of `python -m benchmarks.batch`."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import batch


def test_a_batch_that_is_killed_asks_nothing_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = batch.measured(questions=100, kills=1, concurrency=8, seed=1, folder=tmp_path)
    assert report.kept
    assert report.stored == 100
    assert len(report.legs) == 2
    assert sum(leg.marks[-1].asked for leg in report.legs[1:]) < 100, "the rest comes from the journal"
    batch.show(report, 100)
    assert "| in the journal, and asked again | 0 |" in capsys.readouterr().out
