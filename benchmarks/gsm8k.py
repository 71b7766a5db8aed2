"""Ways of thinking, with a real model, on school mathematics: `python -m benchmarks.gsm8k QUESTIONS --journal FILE`.

Every call is kept in the journal, from which the tables are made. Stopped at any point, it goes on where it was. With
`--raw FILE` what all calls brought is read from there first, and written there at the end, without the questions; what
is there is not asked again. With `--offline` no model is asked: each way concludes again from what is known.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import partial
from operator import itemgetter
from pathlib import Path

from contemplate import answers

from .measured import Call, Kept, Question, counted, run_id
from .measured_cli import add_arguments, kept_of
from .tables import Sample, at_equal_cost
from .ways import SAMPLES, VOTE, WAYS


def drawn(path: Path, n: int, seed: int) -> list[dict[str, str]]:
    """`n` of the rows of a file, always the same ones, in the same order, for a seed."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return random.Random(seed).sample([json.loads(line) for line in lines], n)


def load(path: Path, n: int, seed: int) -> list[Question]:
    """The same as questions."""
    rows = drawn(path, n, seed)
    return [Question(str(row["id"]), row["question"], partial(equals, row["gold"])) for row in rows]


def equals(gold: str, text: str) -> bool:
    """Whether a text ends with the answer `gold`, a number."""
    return answers.math(text) == answers.math(gold)


def samples_of(questions: Iterable[Question], calls: Iterable[Call]) -> dict[str, list[Sample]]:
    """The samples of the recorded vote, in the order in which they were drawn, by question."""
    names = {run_id(VOTE, question): question for question in questions}
    found: dict[str, list[tuple[str, Sample]]] = defaultdict(list)
    for name, call in calls:
        if name in names and call.response is not None and call.task is not None:
            text = call.response.message.text
            question = names[name]
            # What was cut off is no answer.
            key = answers.math(text) if call.response.finish == "stop" else None
            sample = Sample(key, question.right(text), call.usage.output_tokens)
            found[question.id].append((call.task, sample))
    return {each: [sample for _, sample in sorted(drawn, key=itemgetter(0))] for each, drawn in found.items()}


def report(questions: Sequence[Question], kept: Kept) -> str:
    """Both tables."""
    found = counted(WAYS, questions, kept)
    equal = at_equal_cost(found, samples_of(questions, kept.calls), SAMPLES, skipped=(VOTE,))
    return f"{found.table()}\n\n{equal}"


def main() -> None:
    """Ask what was not asked yet, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("file", type=Path, help="the questions, *.jsonl.gz: id, question, gold")
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--rows", type=Path, help="write these questions there, *.jsonl, for `contemplate compare`")
    add_arguments(parser, WAYS)
    given = parser.parse_args()
    if given.rows is not None:
        lines = [json.dumps(row) + "\n" for row in drawn(given.file, given.questions, given.seed)]
        given.rows.write_text("".join(lines), "utf-8")
        return
    questions = load(given.file, given.questions, given.seed)
    print(report(questions, kept_of(given, WAYS, questions)))


if __name__ == "__main__":
    main()
