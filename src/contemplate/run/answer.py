"""What an agent returns for a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue, TypeAdapter, ValidationError

from ..data import Text
from ..errors import validation_problems
from ..messages import ImagePart, TokenLogprob
from ..result import Dissent, Outcome


@dataclass(frozen=True, slots=True)
class Answer:
    """What an agent returns for a task. The outcome "capped" means that a limit of the agent's own cut it short.

    `output` is the value, if the run has an output type; if it is None, the value is parsed from `text`. `support` and
    `dissent` are for an agent that asks several subagents: those on whose answers this one rests, and the other
    answers. It is not `complete` if something was left out. `logprobs` are those of the task's last model call if None.
    `metadata` is the user's own data, as JSON: `TaskResult.metadata`.

    Raises:
        TypeError: `metadata` is not JSON.
    """

    text: Text
    output: Any = None
    images: tuple[ImagePart, ...] = ()
    outcome: Outcome = "answered"
    support: tuple[str, ...] = ()
    dissent: tuple[Dissent, ...] = ()
    complete: bool = True
    logprobs: tuple[TokenLogprob, ...] | None = None
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.metadata:
            try:
                _METADATA.validate_python(self.metadata)
            except ValidationError as error:
                raise TypeError(f"Answer(metadata=...) is not JSON: {validation_problems(error)}") from None


_METADATA: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])


class ParsedAnswer(Answer):
    """An answer whose output this package has parsed, so that nobody checks it again: not all types allow that."""

    __slots__ = ()
