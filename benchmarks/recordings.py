"""Recorded answers of real models, many for each question: one JSON object a line, in `*.jsonl.gz`."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from pydantic import ConfigDict

from contemplate.data import Data


class Sample(Data):
    """One answer.

    Attributes:
        answer: what was made of it when it was recorded; None if nothing could be.
        correct: whether that was right.
        model: which model gave it, in sets of several models.
        group: "completed" or "truncated", where answers were cut off on purpose.
        raw: the answer as the model wrote it, if that differs.
        text: the whole response, where it was kept.
        conf_min: the lowest confidence of any group of its tokens, in sets with log-probabilities.
    """

    model_config = ConfigDict(extra="ignore")

    answer: str | None
    correct: bool
    model: str | None = None
    group: str | None = None
    raw: str | None = None
    text: str | None = None
    conf_min: float | None = None


class Question(Data):
    """A question and all of its recorded answers.

    Attributes:
        id: unique within its set.
        question: as it was asked, cut after 600 characters.
        gold: the right answer; None where only a checker tells.
        samples: in the order of the recording, which may mean something.
    """

    model_config = ConfigDict(extra="ignore")

    id: str
    question: str
    gold: str | None
    samples: tuple[Sample, ...]

    @property
    def right(self) -> frozenset[str]:
        """The answers that are right."""
        return frozenset(each.answer for each in self.samples if each.correct and each.answer is not None)


def load(folder: Path) -> dict[str, list[Question]]:
    """All sets in a folder, by name.

    Raises:
        FileNotFoundError: there are none.
    """
    files = sorted(folder.glob("*.jsonl.gz"))
    if not files:
        raise FileNotFoundError(f"there are no *.jsonl.gz files in {folder}")
    return {file.name.removesuffix(".jsonl.gz"): _questions(file) for file in files}


def _questions(file: Path) -> list[Question]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return [Question.model_validate(json.loads(line)) for line in lines]
