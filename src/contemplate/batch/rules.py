"""How a batch goes about its questions, checked; and what each of its runs is called."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from ..arguments import is_async
from ..errors import ConfigurationError
from .items import BatchItem, checked_name, run_id
from .meter import BatchProgress

Order = Literal["finished", "given"]
Questions = Iterable[str | BatchItem] | AsyncIterable[str | BatchItem]
OnProgress = Callable[[BatchProgress], object]

GIVE_UP_AFTER = 50


class BatchOptions(TypedDict, total=False):
    """What is said of a whole batch, wherever it is answered, for type checkers."""

    name: str | None
    order: Order
    on_progress: OnProgress | None
    give_up_after: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRules:
    """How a batch goes about its questions.

    Args:
        name: what it is called in the journal, where it goes on under that name; None if it does not.
        concurrency: how many runs are in progress at the same time.
        order: in which order results are given.
        give_up_after: after so many failures in a row the rest is not asked; None: never.
        on_progress: is told how far it is after each question.
    """

    name: str | None = None
    concurrency: int
    order: Order = "finished"
    give_up_after: int | None = GIVE_UP_AFTER
    on_progress: OnProgress | None = None

    def check(self, questions: object, options: Mapping[str, Any]) -> None:
        """Check them, and what is given with them: the questions, and the options of all runs.

        Raises:
            ConfigurationError: something is wrong.
        """
        concurrency, give_up_after = self.concurrency, self.give_up_after
        if concurrency < 1 or (give_up_after is not None and give_up_after < 1):
            raise ConfigurationError(f"map({concurrency=}, {give_up_after=}): both must be at least 1")
        if isinstance(questions, (str, bytes, Mapping)):
            raise ConfigurationError(
                f"map(questions=...) is a {type(questions).__name__}", hint="give a list of texts, or `run` for one"
            )
        if is_async(self.on_progress):
            raise ConfigurationError(
                "map(on_progress=...) is async, and progress does not wait", hint="a plain function"
            )
        if self.name is not None:
            checked_name(self.name)
        if options.get("run_id") is not None:
            raise ConfigurationError("map(run_id=...): a batch is many runs", hint="map(name=...) names them all")

    def options_of(self, index: int, item: BatchItem, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options of the run of an item: its own, and of `options` those that it does not have."""
        of_run: dict[str, Any] = {**options, **item.options}
        if self.name is None:
            return of_run
        labels = {"batch": self.name, **({} if item.id is None else {"id": item.id}), **(of_run.get("labels") or {})}
        return of_run | {"run_id": run_id(self.name, index, item), "labels": labels}
