"""The rows of a file as questions with the answers that are expected of them."""

from __future__ import annotations

import argparse

from ...comparison.examples import Example
from ...errors import ConfigurationError
from ..rows import Reading, nothing_to_ask

ANSWER = "answer"
SHOWN = 3


def questions_in(options: argparse.Namespace, *, needed: bool) -> list[Example]:
    """Return the questions of the file that the options name.

    Args:
        options: the options.
        needed: whether each must have an answer that is expected.

    Raises:
        ConfigurationError: the file cannot be read, or there is something wrong with a row.
    """
    column = options.answer_column or ANSWER
    questions, problems = [], []
    for row in Reading.named(options).rows():
        problem = row.problem
        if problem is None and column not in row.columns and (needed or options.answer_column):
            there = ", ".join(map(repr, row.columns)) or "none"
            problem = f"line {row.line}: there is no {column!r}; there are: {there}"
        if problem is None and needed and row.columns[column] in (None, ""):
            problem = f"line {row.line}: {column!r} is empty"
        if problem is not None:
            problems.append(problem)
        else:
            questions.append(Example(row.question, row.columns.get(column), id=row.id))
    if problems:
        shown = "; ".join(problems[:SHOWN])
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise ConfigurationError(f"{options.file}: {shown}{more}", hint="--answer-column names what is expected")
    if not questions:
        raise nothing_to_ask(options.file)
    return questions
