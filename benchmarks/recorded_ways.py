r"""The ways of docs/ways.md as `contemplate compare` takes them, with what the model said in place of the model.

`python -m benchmarks.gsm8k QUESTIONS --rows questions.jsonl` writes the questions, and

    contemplate compare questions.jsonl --ways benchmarks/recorded_ways.py --no-journal --id-column id \
        --answer-column gold

counts. The seconds are those of counting. There is no journal, as answers are found by their places in the recording:
samples that were drawn without seeds are not to be had in common by the seeds that they have today.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.gsm8k import equals
from benchmarks.measured import BASE, Known, Models, Question, Recorded, read, run_id, with_shared
from benchmarks.ways import WAYS
from contemplate import Contemplator, RunResult
from contemplate.journal import Journal

RAW = Path(__file__).parent / "results" / "gsm8k-1.5b.jsonl.gz"


def metric(result: RunResult[Any], gold: object) -> bool:
    """Whether an answer ends with the right number."""
    return equals(str(gold), str(result.output or ""))


def _recorded() -> dict[str, Contemplator[Any]]:
    kept = read(RAW)
    ids = sorted(run.removeprefix(f"{BASE}.") for run in kept.runs if run.startswith(f"{BASE}."))
    questions = [Question(each, "", bool) for each in ids]
    known = Known(with_shared(WAYS, questions, kept.calls))
    asked = {way for way in WAYS if all(run_id(way, each) in kept.runs for each in questions)}
    return {way: how.set_up(_models(known, way), Journal()) for way, how in WAYS.items() if way in asked}


def _models(known: Known, way: str) -> Models:
    recorded = Recorded(known, way)
    return Models(recorded, recorded)


ways = _recorded()
