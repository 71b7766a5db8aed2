"""Questions with the answers that are expected of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Unpack

from ..batch.items import BatchItem, as_item
from ..errors import ConfigurationError
from ..options import RunOptions


class Example(BatchItem):
    """A question with the answer that is expected of it.

    Args:
        question: what to answer.
        expected: the right answer, or whatever else the metric compares a result with.
        id: what to call it, as in `BatchItem`.
        options: those of `Contemplator.run` for this question, such as `images`.
    """

    __slots__ = ("expected",)

    def __init__(
        self,
        question: str,
        expected: object = None,
        id: str | None = None,  # noqa: A002
        **options: Unpack[RunOptions],
    ) -> None:
        super().__init__(question, id, **options)
        self.expected = expected

    def __repr__(self) -> str:
        return f"Example({self.question!r:.80}, {self.expected!r:.80}, id={self.id!r})"


def examples_of(questions: object) -> list[BatchItem]:
    """Return what was given as questions.

    Raises:
        ConfigurationError: there are none, one is of another kind, is empty, or has the id of another one.
    """
    if isinstance(questions, (str, bytes)) or not isinstance(questions, Iterable):
        raise ConfigurationError(
            f"compare(questions=...) is a {type(questions).__name__}",
            hint='give a list: [Example("What is 6 times 7?", "42"), ...]',
        )
    items = []
    for each in questions:
        if not isinstance(each, (str, BatchItem)):
            raise ConfigurationError(f"a question is a {type(each).__name__}", hint="Example(question, expected)")
        items.append(as_item(each))
    if not items:
        raise ConfigurationError("compare(questions=...) is empty", hint="give at least one question")
    seen: set[str] = set()
    for item in items:
        if not item.question.strip():
            raise ConfigurationError(f"{item!r}: the question is empty", hint="ask something")
        if item.id is not None and item.id in seen:
            raise ConfigurationError(f"the id {item.id!r:.80} stands twice among the questions", hint="one each")
        seen.update(() if item.id is None else (item.id,))
    return items


def expected_of(item: BatchItem) -> object:
    """Return what is expected of a question; None if nothing is."""
    return item.expected if isinstance(item, Example) else None
