"""What goes into a batch, and what comes out of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Generic, Unpack

from ..errors import ConfigurationError, error_info
from ..options import RunOptions
from ..result import OutputT, RunResult

_NAME = re.compile(r"[A-Za-z0-9._-]{1,32}")
_ID = re.compile(r"[A-Za-z0-9._-]{1,31}")
# Of a digest of 256 bits: among a million questions, two share one with a probability below 1e-7.
_DIGITS = 16
_OPTIONS = tuple(name for name in RunOptions.__annotations__ if name != "run_id")


class BatchItem:
    """A question of a batch with an id, or with options of its own.

    Args:
        question: what to answer.
        id: what to call it, in the batch's results and in the journal. Ids make a batch go on where it was even if
            questions were added, left out or moved in between; without one, its place and its text are its id.
        options: those of `Contemplator.run` for this question, such as `images` and `labels`; what is given to
            `Contemplator.map` is for those that do not have it.
    """

    __slots__ = ("id", "options", "question")

    def __init__(self, question: str, id: str | None = None, **options: Unpack[RunOptions]) -> None:  # noqa: A002
        self.question = question
        self.id = id
        self.options: Mapping[str, Any] = options

    def __repr__(self) -> str:
        return f"BatchItem({self.question!r:.80}, id={self.id!r})"


@dataclass(frozen=True, slots=True)
class BatchResult(Generic[OutputT]):
    """What came of one question of a batch: a result, or an error.

    Attributes:
        index: its place among the questions, from 0.
        id: its id, if it was given one.
        question: the question.
        result: the result; None if there is no answer.
        error: why there is none; None if there is one. What was reached all the same is in its `partial`.
    """

    index: int
    id: str | None
    question: str
    result: RunResult[OutputT] | None = None
    error: Exception | None = None

    @property
    def output(self) -> OutputT:
        """The answer.

        Raises:
            Exception: the error, if there is no answer.
        """
        if self.result is None:
            assert self.error is not None  # noqa: S101
            raise self.error
        return self.result.output

    @property
    def reached(self) -> RunResult[Any] | None:
        """The result, or what was reached before the error, such as its cost; None if nothing was."""
        return self.result if self.error is None else getattr(self.error, "partial", None)

    def _repr_html_(self) -> str:
        # Loaded where it is to be seen.
        from ..views.html import shown_question

        return shown_question(self.question, self.reached, None if self.error is None else error_info(self.error))


def as_item(given: object) -> BatchItem:
    """Return what was given as a question.

    Raises:
        ConfigurationError: it is neither a text nor a `BatchItem`, or its id or one of its options is wrong.
    """
    item = BatchItem(given) if isinstance(given, str) else given
    if not isinstance(item, BatchItem) or not isinstance(item.question, str):
        found = item.question if isinstance(item, BatchItem) else given
        raise ConfigurationError(
            f"a question of the batch is a {type(found).__name__}",
            hint="give texts, or BatchItem(question, id=..., images=[...])",
        )
    if item.id is not None and not isinstance(item.id, str):
        raise ConfigurationError(f"the id {item.id!r:.80} of a BatchItem is a {type(item.id).__name__}", hint="a text")
    if item.id == "":
        raise ConfigurationError(f"{item!r}: the id is empty", hint="a text, or None")
    if "run_id" in item.options:
        raise ConfigurationError(
            "BatchItem(run_id=...)", hint="a run is called by the name of the batch and the id of the item"
        )
    unknown = next((name for name in item.options if name not in _OPTIONS), None)
    if unknown is not None:
        raise ConfigurationError(
            f"{type(item).__name__}({unknown}=...): there is no such option", hint=f"one of {', '.join(_OPTIONS)}"
        )
    return item


def checked_name(name: str) -> str:
    """Return the name of a batch, of which the ids of its runs are made.

    Raises:
        ConfigurationError: it is not 1 to 32 letters, digits, ".", "_" or "-".
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"map(name={name!r:.80})", hint="1 to 32 letters, digits, '.', '_' or '-'")
    return name


def run_id(name: str, index: int, item: BatchItem) -> str:
    """Return what the run of an item is called in the journal: always the same, at most 64 characters."""
    if item.id is None:
        return f"{name}.{index}-{_digest(item.question)}"
    return f"{name}.{item.id if _ID.fullmatch(item.id) else _digest(item.id)}"


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
