"""Rules about the fields of a request: those that are unknown, their values, their combinations, and their bounds.

`words` are the server's own, with places to fill in.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .counting import prompt_tokens
from .refusals import Body, Rejection


@dataclass(frozen=True, slots=True)
class NoFields:
    """Fields that are refused; `words` may have {field} and {value}. `one_by_one` names only the first of them."""

    fields: tuple[str, ...]
    words: str
    status: int = 400
    code: str | None = None
    one_by_one: bool = True

    def problems(self, body: Body) -> Sequence[Rejection]:
        """Return a refusal for each of the fields."""
        found = [
            Rejection(self.words.format(field=name, value=body[name]), self.status, name, self.code, body[name])
            for name in self.fields
            if body.get(name) is not None
        ]
        return found[:1] if self.one_by_one else found


@dataclass(frozen=True, slots=True)
class OnlyValues:
    """A field that may only have certain values; `words` may have {value}."""

    field: str
    allowed: tuple[Any, ...]
    words: str
    status: int = 400
    code: str | None = None

    def problems(self, body: Body) -> Sequence[Rejection]:
        """Return a refusal if the field has another value."""
        value = body.get(self.field)
        if value is None or value in self.allowed:
            return ()
        return [Rejection(self.words.format(value=value), self.status, self.field, self.code, value)]


@dataclass(frozen=True, slots=True)
class AtMost:
    """A number with a bound; `words` may have {value} and {most}. `whole_only`: in streams there is none."""

    field: str
    most: float
    words: str
    status: int = 400
    code: str | None = None
    whole_only: bool = False

    def problems(self, body: Body) -> Sequence[Rejection]:
        """Return a refusal if the number is above its bound."""
        value = body.get(self.field)
        if not isinstance(value, int | float) or value <= self.most or (self.whole_only and body.get("stream")):
            return ()
        words = self.words.format(value=value, most=self.most)
        return [Rejection(words, self.status, self.field, self.code, value)]


@dataclass(frozen=True, slots=True)
class NotBoth:
    """Two fields that exclude each other, unless the first is empty."""

    first: str
    second: str
    words: str
    status: int = 400

    def problems(self, body: Body) -> Sequence[Rejection]:
        """Return a refusal if both are there."""
        both = body.get(self.first) and body.get(self.second) and _forms_of(body.get(self.second)) != "text"
        return [Rejection(self.words, self.status, self.second)] if both else ()


@dataclass(frozen=True, slots=True)
class NoFormat:
    """A type of `response_format` that is refused."""

    kind: str
    words: str
    status: int = 400
    code: str | None = None

    def problems(self, body: Body) -> Sequence[Rejection]:
        """Return a refusal if that type is asked for."""
        if _forms_of(body.get("response_format")) != self.kind:
            return ()
        return [Rejection(self.words, self.status, "response_format", self.code)]


@dataclass(frozen=True, slots=True)
class SaysJson:
    """With `json_object`, some message must contain the word JSON."""

    words: str
    param: str | None = None

    def problems(self, body: Body) -> Sequence[Rejection]:
        """Return a refusal if no message does."""
        if _forms_of(body.get("response_format")) != "json_object" or "json" in json.dumps(body["messages"]).lower():
            return ()
        return [Rejection(self.words, 400, self.param)]


@dataclass(frozen=True, slots=True)
class FitsContext:
    """Prompt and answer together must fit; `words` may have {limit}, {total}, {prompt} and {answer}, in tokens."""

    tokens: int
    words: str
    status: int = 400
    code: str | None = None

    def problems(self, body: Body) -> Sequence[Rejection]:
        """Return a refusal if they do not."""
        prompt = prompt_tokens(body)
        answer = int(body.get("max_completion_tokens") or body.get("max_tokens") or 0)
        total = prompt + answer
        if total <= self.tokens:
            return ()
        words = self.words.format(limit=self.tokens, total=total, prompt=prompt, answer=answer)
        return [Rejection(words, self.status, None, self.code)]


def _forms_of(response_format: Any) -> str | None:
    return response_format.get("type") if isinstance(response_format, dict) else None
