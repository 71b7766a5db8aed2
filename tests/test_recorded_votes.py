"""The library's votes over recorded answers of real models, in few orders; the benchmark measures them in many."""

from __future__ import annotations

import os
import random
from functools import cache
from pathlib import Path

import pytest

from benchmarks.game24 import makes_24
from benchmarks.recorded_votes import (
    CERTIFIED_ERROR,
    KNOWN_BETA,
    KNOWN_CHECKED,
    KNOWN_WEIGHTED,
    SAMPLES_TOLERANCE,
    Tries,
    compare_keys,
    count,
    count_beta,
    measure,
    show,
    weigh,
)
from benchmarks.recordings import Question, Sample, load
from contemplate import answers

DATA = Path(os.environ.get("CONTEMPLATE_DATA", Path(__file__).parents[2] / "shared" / "data")) / "votes"

if not DATA.is_dir():
    pytest.skip(f"recorded votes are not in {DATA}; set CONTEMPLATE_DATA to their parent", allow_module_level=True)

RECORDED = sorted(file.name.removesuffix(".jsonl.gz") for file in DATA.glob("*.jsonl.gz"))
BRUMO = [name for name in RECORDED if name.startswith("brumo")]
# What `answers.math` takes for one value, and the recording does not; and a rounded number that it does.
DIFFERENT_ON_PURPOSE = {"brumo2025_deepconf_b128": 5, "brumo2025_deepconf_b64": 0}


@cache
def all_recorded() -> dict[str, list[Question]]:
    return load(DATA)


def recorded(name: str) -> list[Question]:
    return all_recorded()[name]


@pytest.mark.parametrize("name", RECORDED)
def test_the_exact_stop_gives_the_full_votes_answer(name: str) -> None:
    questions = random.Random(0).sample(recorded(name), min(60, len(recorded(name))))
    tries = Tries()
    for question in questions:
        tries.add(count(question, seeds=4))
    assert tries.tries == 4 * len(questions)
    assert tries.other_answer == 0
    assert tries.used < tries.samples
    assert tries.beta_used <= tries.samples
    assert tries.certificate_used < tries.samples
    assert tries.certified_wrong <= CERTIFIED_ERROR * tries.tries


@pytest.mark.parametrize("name", KNOWN_BETA)
def test_the_beta_stop_is_right_as_often_and_as_early_as_known(name: str) -> None:
    accuracy, used, tolerance = KNOWN_BETA[name]
    tries = Tries()
    for question in recorded(name):
        tries.add(count_beta(question, seeds=4 if len(recorded(name)) > 200 else 30))
    assert 100 * tries.beta_right / tries.tries == pytest.approx(accuracy, abs=tolerance)
    assert tries.beta_used / tries.tries == pytest.approx(used, abs=SAMPLES_TOLERANCE)


@pytest.mark.parametrize("name", KNOWN_WEIGHTED)
def test_log_odds_learnt_on_other_questions_lift_the_vote(name: str) -> None:
    accuracy, tries = weigh(recorded(name), seeds=1)
    assert accuracy >= KNOWN_WEIGHTED[name]
    assert tries.tries == len(recorded(name))
    assert tries.other_answer == 0


@pytest.mark.parametrize("name", KNOWN_CHECKED)
def test_a_checker_finds_what_a_vote_misses(name: str) -> None:
    samples = [(question.question, each) for question in recorded(name) for each in question.samples]
    assert all(makes_24(asked, each.answer or "") == each.correct for asked, each in samples)


@pytest.mark.parametrize("name", BRUMO)
def test_the_math_key_is_the_recorded_equivalence(name: str) -> None:
    by_string, by_key, differs = compare_keys(recorded(name))
    assert by_string == pytest.approx(69, abs=0.1)
    assert by_key == pytest.approx(96.6, abs=0.1)
    assert differs == DIFFERENT_ON_PURPOSE[name]


def test_the_math_key_reads_whole_solutions() -> None:
    """What it makes of the full texts is what was recorded as their answers, wherever a text was not cut off."""
    samples = [each for question in recorded("gsm8k_openai_4") for each in question.samples if each.text]
    ended = [each for each in samples if (each.text or "").rsplit("\n", 1)[-1].startswith("A: ") and _is_number(each)]
    assert len(ended) > 5_000
    other = [each for each in ended if answers.math(each.text or "") != answers.math(f"Answer: {each.answer}")]
    assert other == []


def _is_number(sample: Sample) -> bool:
    return sample.answer is not None and sample.answer.strip("-").replace(".", "").isdigit()


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    name = "tot_game24_gpt4_cot"
    questions: list[Question] = recorded(name)
    tries = Tries()
    for question in questions:
        tries.add(count(question, seeds=1))
    measured = measure(name, questions, tries)
    show({name: measured})
    printed = capsys.readouterr().out
    assert measured.checked == 49
    assert measured.single == pytest.approx(4.03)
    assert "a checker finds 49 of 100" in printed
