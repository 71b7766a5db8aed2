"""The items of a response's output: messages, calls of tools, and what the model thought.

They are read field by field: what is not text or a call may be odd, and costs no answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from ....messages import Message, ProviderData, TokenLogprob, ToolCall
from ..logprobs import read_logprobs
from ..opaque_fields import RESPONSE_ITEMS

_OURS = ("message", "function_call", "reasoning")


@dataclass(slots=True)
class Output:
    """What the items of an output say."""

    text: str = ""
    refusal: str = ""
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()
    logprobs: list[TokenLogprob] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_output(items: Sequence[object]) -> Output:
    """Read the items of an output. Items of unknown types are left out, with a note."""
    output = Output()
    reasoning: list[str] = []
    calls: list[ToolCall] = []
    for item in _objects(items):
        kind = item.get("type")
        if kind == "message":
            _read_message(item, output)
        elif kind == "reasoning":
            reasoning += [*_texts(item.get("summary")), *_texts(item.get("content"))]
        elif kind == "function_call":
            call_id = _text(item.get("call_id")) or _text(item.get("id")) or f"call_{len(calls)}"
            calls.append(ToolCall(id=call_id, name=_text(item.get("name")), arguments=_text(item.get("arguments"))))
        else:
            output.notes.append(f"the response has an item of type {_text(kind)[:80]!r}, which is left out")
    output.reasoning, output.calls = "\n\n".join(reasoning), tuple(calls)
    return output


def _read_message(item: Mapping[str, Any], output: Output) -> None:
    content = item.get("content")
    if isinstance(content, str):
        output.text += content
        return
    for part in _objects(content):
        output.text += _text(part.get("text"))
        output.refusal += _text(part.get("refusal"))
        try:
            output.logprobs += read_logprobs({"content": part.get("logprobs")})
        except ValueError as error:
            output.notes.append(f"{error}; they were dropped")


def own_items(items: Sequence[object], provider: str) -> ProviderData | None:
    """Return what must go back to the provider in the next turn: all items, if the model thought; else None."""
    kept: list[JsonValue] = [item for item in _objects(items) if item.get("type") in _OURS]
    thought = any(isinstance(item, dict) and item.get("encrypted_content") for item in kept)
    return ProviderData(provider=provider, fields={RESPONSE_ITEMS: kept}) if thought else None


def items_of(message: Message, provider: str) -> list[dict[str, Any]]:
    """Return the items that `message` came as, if it came from `provider`, thought about, and nobody has changed it."""
    data = message.provider_data
    items = data.fields.get(RESPONSE_ITEMS) if data is not None and data.provider == provider else None
    if not isinstance(items, list):
        return []
    said = read_output(items)
    names = [(call.id, call.name, call.arguments) for call in message.tool_calls]
    same = names == [(call.id, call.name, call.arguments) for call in said.calls]
    return list(_objects(items)) if same and message.text == (said.text or said.refusal) else []


def _texts(parts: object) -> Iterator[str]:
    for part in _objects(parts):
        if text := _text(part.get("text")):
            yield text


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _objects(values: object) -> Iterator[dict[str, Any]]:
    return (each for each in values if isinstance(each, dict)) if isinstance(values, list | tuple) else iter(())
