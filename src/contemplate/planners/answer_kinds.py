"""Kinds of answers, which say what can be done with several of them: count them, calculate, or read them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from ..answers.markers import marked_answer
from ..result import TaskResult
from ..run.answer_keys import Key, key_of
from ..run.context import RunContext

AnswerKind = Literal["typed", "number", "choice", "short", "code", "prose"]

# Those that a vote can count.
COUNTABLE: Final[frozenset[AnswerKind]] = frozenset(("typed", "number", "choice", "short"))
NAMES: Final[Mapping[AnswerKind, str]] = {
    "typed": "values of the output type",
    "number": "numbers",
    "choice": "choices",
    "short": "short answers",
    "code": "code",
    "prose": "prose",
}
MOST_WORDS: Final = 6
# Of a sentence that gives a number.
MOST_WORDS_AROUND: Final = 25

_NUMBER = re.compile(r"[-+]?[\d.,/]*\d(?:e[-+]?\d+)?(?: ?%| [^\W\d_]+)?")
_CHOICE = re.compile(r"\(?[a-zA-Z]\)?|yes|no|true|false")
_CODE = re.compile(r"^ {0,3}```", re.MULTILINE)
_IN_TEXT = re.compile(r"(?<![\w.])[-+]?[$€£]?\d(?:[\d,]*\d)?(?:\.\d+)?(?: ?%)?(?![\w%])")
_WORDS = re.compile(r"\w+")
_GIVEN = re.compile(
    r"\d(?:[\d.,]*\d)?|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|dozens?|half|thirds?|quarters?"
    r"|twice|double|triple)\b",
    re.IGNORECASE,
)


def kind_of(keys: Sequence[str | None], texts: Sequence[str], *, typed: bool) -> AnswerKind:
    """Return what kind most answers are of, by their keys and their texts."""
    if typed:
        return "typed"
    short = [key for key in keys if key is not None and len(key.split()) <= MOST_WORDS]
    if 2 * len(short) > len(keys):
        forms: tuple[tuple[AnswerKind, re.Pattern[str]], ...] = (("number", _NUMBER), ("choice", _CHOICE))
        return next((kind for kind, form in forms if all(map(form.fullmatch, short))), "short")
    return "code" if 2 * sum(map(bool, map(_CODE.search, texts))) > len(texts) else "prose"


def is_calculation(question: str, keys: Sequence[str | None], *, typed: bool) -> bool:
    """Return whether a question gives several numbers, and most answers to it are one, or a sentence with one.

    What asks for a number without giving any is a matter of memory.
    """
    numbers = [key for key in keys if key is not None and _gives_a_number(key, typed=typed)]
    return len(_GIVEN.findall(question)) > 1 and 2 * len(numbers) > len(keys)


def _gives_a_number(key: str, *, typed: bool) -> bool:
    if typed or _NUMBER.fullmatch(key):
        return _NUMBER.fullmatch(key) is not None
    return any(map(str.isdigit, key)) and MOST_WORDS < len(key.split()) <= MOST_WORDS_AROUND


def keys_with_the_first(results: Sequence[TaskResult], key: Key | None, ctx: RunContext) -> tuple[str | None, ...]:
    """Return the keys of answers, of which the first was not told to mark what it comes to.

    If it says, at its end or its beginning, what most of the others say, its key is theirs.

    Raises:
        AggregationError: the key function raised an error.
    """
    own = [key_of(each, key, ctx) for each in results]
    first, others = results[0], [each for each in own[1:] if each is not None]
    if ctx.output is None and first.answered and others and marked_answer(first.text) is None:
        said = Counter(others).most_common(1)[0][0]
        if _says(first, said, key, ctx):
            own[0] = said
    return tuple(own)


def _says(result: TaskResult, said: str, key: Key | None, ctx: RunContext) -> bool:
    lines = [line for line in result.text.splitlines() if line.strip()]
    if _NUMBER.fullmatch(said):
        numbers = _IN_TEXT.findall(lines[-1].replace("*", "")) if lines else []
        told = [result.model_copy(update={"text": f"Answer: {number}"}) for number in numbers[-1:]]
        return any(key_of(each, key, ctx) == said for each in told)
    wanted = _spaced(said)
    return any(wanted in _spaced(line) for line in {*lines[:1], *lines[-1:]})


def _spaced(text: str) -> str:
    return f" {' '.join(_WORDS.findall(text.casefold()))} "
