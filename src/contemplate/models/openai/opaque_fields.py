"""What a provider must get back with its messages: signatures and encrypted reasoning, kept as they came.

Gemini's `extra_content.google.thought_signature` (https://ai.google.dev/gemini-api/docs/thought-signatures),
OpenRouter's `reasoning_details` (https://openrouter.ai/docs/use-cases/reasoning-tokens), LiteLLM's `thinking_blocks`
and `provider_specific_fields`, and parts of type "thinking" in the content of Mistral's and of Anthropic's kind.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json

_OBJECTS = ("extra_content", "provider_specific_fields")
_TEXTS = ("thought_signature", "thoughtSignature", "signature", "encrypted_content", "reasoning_opaque")
_LISTS = ("reasoning_details", "thinking_blocks")
_MARKS = (b"ignature", b"thinking", b"encrypted")
# The text of a part or detail, which arrives in pieces.
_GROWING = ("text", "summary", "thinking", "data")

# Mistral's and Anthropic's thinking parts, under this name: they come before the text in the content.
THINKING_PARTS = "thinking_parts"
# The items of an output of the Responses API.
RESPONSE_ITEMS = "output"


def opaque_fields(piece: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a message or tool call that go back, but for lists."""
    found = {name: piece[name] for name in _TEXTS if isinstance(piece.get(name), str) and piece[name]}
    for name in _OBJECTS:
        value = piece.get(name)
        if isinstance(value, dict) and value and any(mark in to_json(value, fallback=str) for mark in _MARKS):
            found[name] = value
    return found


class OpaqueFields:
    """The opaque fields of one message, which may arrive in pieces."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}

    def add(self, message: dict[str, Any]) -> None:
        """Add those of a message, or a piece of one."""
        if message.keys().isdisjoint(_NAMES):
            return
        self.found |= opaque_fields(message)
        for name in _LISTS:
            value = message.get(name)
            for item in value if isinstance(value, list) else ():
                self._add_item(name, item)

    def add_thinking(self, part: dict[str, Any]) -> None:
        """Add a part of the content that is a thought."""
        self._add_item(THINKING_PARTS, part)

    def _add_item(self, name: str, item: object) -> None:
        items = self.found.setdefault(name, [])
        if not isinstance(item, dict):
            return
        if items and _continues(items[-1], item):
            for key, value in item.items():
                _grow(items[-1], key, value)
        else:
            items.append(dict(item))


_NAMES = frozenset((*_OBJECTS, *_TEXTS, *_LISTS))


def _continues(last: dict[str, Any], item: dict[str, Any]) -> bool:
    """Return whether `item` goes on with `last`: of one kind and number, and what has an id has the same."""
    if last.get("type") != item.get("type") or last.get("index") != item.get("index"):
        return False
    if last.get("index") is None and last.get("signature"):
        return False
    return last.get("id") is None or item.get("id") in (None, last.get("id"))


def _grow(last: dict[str, Any], key: str, value: object) -> None:
    old = last.get(key)
    if key in _GROWING and isinstance(old, str) and isinstance(value, str):
        last[key] = old + value
    elif key in _GROWING and isinstance(old, list) and isinstance(value, list):
        last[key] = [*old, *value]
    elif value is not None:
        last[key] = value
