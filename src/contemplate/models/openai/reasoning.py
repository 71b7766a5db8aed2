"""Reasoning in fields of its own beside an answer."""

from __future__ import annotations

from typing import Any

# DeepSeek, Qwen, xAI and others; OpenRouter, vLLM and Groq; Ollama.
FIELDS = ("reasoning_content", "reasoning", "thinking", "reasoning_text", "thinking_content", "thought")
_PLACES = frozenset((*FIELDS, "reasoning_details"))
_WITHIN = ("text", "summary", "thinking", "content", "summary_text", "reasoning")


def reasoning_in(message: dict[str, Any]) -> tuple[str, str]:
    """Return the reasoning of a message, or a piece of it, and the field that it stands in; "" if there is none."""
    if _PLACES.isdisjoint(message):
        return "", ""
    for name in FIELDS:
        value = message.get(name)
        if value and (found := words_of(value)):
            return found, name
    details = message.get("reasoning_details")
    return (words_of(details), "reasoning_details") if isinstance(details, list) else ("", "")


def words_of(value: object) -> str:
    """Return the text in reasoning of any form: a text, an object with one, or a list of such."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(map(words_of, value))
    if isinstance(value, dict):
        return next((found for name in _WITHIN if name in value and (found := words_of(value[name]))), "")
    return ""
