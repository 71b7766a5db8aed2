"""Rules about the messages of a request: their roles and order, what they must contain, and what must come back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from .refusals import Body, Rejection
from .signatures import signature_of


@dataclass(frozen=True, slots=True)
class Roles:
    """The roles that are known; `words` may have {role} and {place}."""

    known: tuple[str, ...]
    words: str
    status: int = 400

    def problems(self, body: Body) -> Sequence[Rejection]:
        """Return a refusal for the first message with another role."""
        for place, message in enumerate(body["messages"]):
            if message["role"] not in self.known:
                words = self.words.format(role=message["role"], place=place)
                return [Rejection(words, self.status, f"messages[{place}].role")]
        return ()


@dataclass(frozen=True, slots=True)
class NotAfter:
    """A role that may not follow another."""

    role: str
    previous: str
    words: str
    status: int = 400
    kind: str | None = None
    code: str | None = None

    def problems(self, body: Body) -> Sequence[Rejection]:
        """Return a refusal if it does."""
        roles = [message["role"] for message in body["messages"]]
        found = (self.previous, self.role) in pairwise(roles)
        return [Rejection(self.words, self.status, self.kind, self.code)] if found else ()


@dataclass(frozen=True, slots=True)
class Alternating:
    """After the system messages, users' and assistants' messages must alternate, beginning with a user's."""

    words: str
    kind: str | None = None

    def problems(self, body: Body) -> Sequence[Rejection]:
        """Return a refusal if they do not."""
        roles = [message["role"] for message in body["messages"]]
        while roles and roles[0] == "system":
            del roles[0]
        turns = ["assistant" if role == "assistant" else "user" for role in roles]
        wrong = not turns or turns[0] != "user" or any(one == other for one, other in pairwise(turns))
        return [Rejection(self.words, 400, None, self.kind)] if wrong or "system" in roles else ()


@dataclass(frozen=True, slots=True)
class NoEmptyAssistant:
    """An assistant's message must have a text or tool calls."""

    words: str
    status: int = 400
    kind: str | None = None
    code: str | None = None

    def problems(self, body: Body) -> Sequence[Rejection]:
        """Return a refusal if one has neither."""
        empty = any(not each.get("content") and not each.get("tool_calls") for each in _said(body))
        return [Rejection(self.words, self.status, self.kind, self.code)] if empty else ()


@dataclass(frozen=True, slots=True)
class ArgumentsAreJson:
    """The arguments of tool calls that come back must be JSON objects."""

    words: str
    status: int = 400

    def problems(self, body: Body) -> Sequence[Rejection]:
        """Return a refusal if some are not."""
        for message in _said(body):
            for call in message.get("tool_calls") or ():
                if not _is_object(call["function"]["arguments"]):
                    return [Rejection(self.words, self.status)]
        return ()


@dataclass(frozen=True, slots=True)
class NoMessageFields:
    """Fields that assistants' messages may not have; `words` may have {field} and {place}."""

    fields: tuple[str, ...]
    words: str

    def problems(self, body: Body) -> Sequence[Rejection]:
        """Return a refusal for the first one."""
        for place, message in enumerate(body["messages"]):
            for name in self.fields:
                if message["role"] == "assistant" and message.get(name) is not None:
                    return [Rejection(self.words.format(field=name, place=place))]
        return ()


@dataclass(frozen=True, slots=True)
class ComesBack:
    """What was sent beside tool calls must come back with them, after the last user's message.

    Args:
        what: a text in `reasoning_content`; the list in `reasoning_details`; or the signature in the first call's
            `extra_content`. Signatures are compared.
        words: may have {place}, {position} (counted from one) and {tool}.
    """

    what: Literal["reasoning_content", "reasoning_details", "extra_content"]
    words: str

    def problems(self, body: Body) -> Sequence[Rejection]:
        """Return a refusal for the first message that lacks it."""
        messages = body["messages"]
        last = max((place for place, each in enumerate(messages) if each["role"] == "user"), default=0)
        for place, message in enumerate(messages):
            calls = message.get("tool_calls") or ()
            if place > last and calls and not self._is_there(message, calls[0]):
                tool = calls[0]["function"]["name"]
                return [Rejection(self.words.format(place=place, position=place + 1, tool=tool))]
        return ()

    def _is_there(self, message: Mapping[str, Any], call: Mapping[str, Any]) -> bool:
        if self.what == "reasoning_content":
            return isinstance(message.get("reasoning_content"), str)
        if self.what == "reasoning_details":
            signatures = [each.get("signature") for each in message.get("reasoning_details") or ()]
            return signature_of(call["id"]) in signatures
        google = (call.get("extra_content") or {}).get("google") or {}
        return bool(google.get("thought_signature") == signature_of(call["id"]))


@dataclass(frozen=True, slots=True)
class NoImages:
    """Images are refused; `words` may have {place}."""

    words: str
    status: int = 400

    def problems(self, body: Body) -> Sequence[Rejection]:
        """Return a refusal for the first message with one."""
        for place, message in enumerate(body["messages"]):
            content = message.get("content")
            if isinstance(content, list) and any(part.get("type") == "image_url" for part in content):
                return [Rejection(self.words.format(place=place), self.status)]
        return ()


def _said(body: Body) -> Iterator[Mapping[str, Any]]:
    return (message for message in body["messages"] if message["role"] == "assistant")


def _is_object(arguments: object) -> bool:
    with suppress(TypeError, ValueError):
        return isinstance(json.loads(arguments), dict)  # type: ignore[arg-type]
    return False
