"""What stands within a call that a model wrote as text: JSON, or parameters in markup, read in pieces up to its end."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import JsonValue

from ...base import JsonSchema
from ..completion import BadCompletion, parsed
from .brackets import Bracketed

# A name, and the arguments.
Found = tuple[str, dict[str, Any]]

# Of "function" some models make the name itself, others an object with the name.
_NAMES, _ARGUMENTS = ("name", "tool_name", "function"), ("arguments", "parameters")

_DSML = "(?:\uff5cDSML\uff5c)?"
_CLOSING = re.compile(rf"</{_DSML}(?:function|invoke|tool_call)>")
_LONGEST_CLOSING = len("</\uff5cDSML\uff5cfunction>")
_PARAMETER = re.compile(
    rf"\s*<{_DSML}parameter(?:=|\s+name=)[\"']?(?P<name>[^\"'>\s]+)[\"']?[^>\n]*>(?P<value>.*?)"
    rf"(?:</{_DSML}parameter>|(?=\s*<{_DSML}parameter[=\s])|\Z)\s*"
    r"|\s*<arg_key>\s*(?P<key>[^<>]+?)\s*</arg_key>\s*<arg_value>(?P<argument>.*?)</arg_value>\s*",
    re.DOTALL,
)
_WORDS: Mapping[str, JsonValue] = {"true": True, "false": False, "null": None, "none": None}


class Payload(Protocol):
    """What stands within a call."""

    def add(self, text: str) -> str | None:
        """Add text; return what follows the end, and None before it."""
        ...

    def calls(self, tools: Mapping[str, JsonSchema]) -> list[Found]:
        """Return the calls of it, at its end.

        Raises:
            BadCompletion: it says none.
        """
        ...


class JsonPayload:
    """An object or a list in JSON.

    Args:
        name: the tool whose arguments it is; None if it is a call, or a list of calls.
    """

    def __init__(self, name: str | None) -> None:
        self._name = name
        self._json = Bracketed("{[", "}]", '"')

    def add(self, text: str) -> str | None:
        """Add text; return what follows the end, and None before it."""
        return self._json.add(text)

    def calls(self, tools: Mapping[str, JsonSchema]) -> list[Found]:
        """Return the calls of it, at its end.

        Raises:
            BadCompletion: it says none.
        """
        value = _value_of(self._json.text)
        if self._name is not None:
            return [(self._name, _object(value))]
        return [_call(each) for each in (value if isinstance(value, list) else [value])]


class MarkupPayload:
    """Parameters in markup, as Qwen3-Coder, GLM, MiniMax and DeepSeek V3.2 write them, or JSON in the same place.

    Args:
        name: the tool.
    """

    def __init__(self, name: str | None) -> None:
        self._name = name or ""
        self._pieces: list[str] = []
        self._length = 0
        self._last = ""

    def add(self, text: str) -> str | None:
        """Add text; return what follows the end, and None before it."""
        window = self._last + text
        closing = _CLOSING.search(window)
        start = self._length - len(self._last)
        self._pieces.append(text)
        self._length += len(text)
        if closing is None:
            self._last = window[-_LONGEST_CLOSING:]
            return None
        self._pieces = ["".join(self._pieces)[: start + closing.start()]]
        return window[closing.end() :]

    def calls(self, tools: Mapping[str, JsonSchema]) -> list[Found]:
        """Return the calls of it, at its end: the types of the values are those of the tool's parameters.

        Raises:
            BadCompletion: it says none.
        """
        written = "".join(self._pieces)
        if written.lstrip().startswith("{"):
            return [(self._name, _object(_value_of(written)))]
        schema, place = tools.get(self._name, {}), 0
        arguments: dict[str, Any] = {}
        while place < len(written) and (found := _PARAMETER.match(written, place)):
            key, text = found["name"] or found["key"], found["value"] or found["argument"] or ""
            arguments[key] = _typed(text.removeprefix("\n").removesuffix("\n"), _types(schema, key))
            place = found.end()
        if written[place:].strip():
            raise BadCompletion("no call of a tool")
        return [(self._name, arguments)]


def _call(value: object) -> Found:
    """Return the call that `value` says.

    Raises:
        BadCompletion: it says none.
    """
    said = _object(value)
    if isinstance(within := said.get("function"), dict):
        said = within
    name = next((said[each] for each in _NAMES if each in said), None)
    arguments: object = next((said[each] for each in _ARGUMENTS if each in said), {})
    if isinstance(arguments, str):
        arguments = _value_of(arguments)
    if not isinstance(name, str):
        raise BadCompletion("no call of a tool")
    return name, _object(arguments)


def _value_of(text: str) -> Any:
    return parsed(text.encode(errors="replace"))


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadCompletion("no call of a tool")
    return value


def _types(schema: JsonSchema, name: str) -> set[JsonValue]:
    """Return the JSON types that the parameter may have; none if the schema does not say."""
    properties = schema.get("properties")
    found: set[JsonValue] = set()
    waiting = [properties.get(name)] if isinstance(properties, dict) else []
    for each in waiting:
        if not isinstance(each, dict) or len(waiting) > 100:
            continue
        given = each.get("type")
        found.update(given if isinstance(given, list) else [given] if given else [])
        for choices in (each.get("anyOf"), each.get("oneOf"), each.get("allOf")):
            waiting += choices if isinstance(choices, list) else []
        definitions, target = schema.get("$defs"), each.get("$ref")
        if isinstance(target, str) and isinstance(definitions, dict):
            waiting.append(definitions.get(target.removeprefix("#/$defs/")))
    return found


def _typed(text: str, types: set[JsonValue]) -> JsonValue:
    """Return the value that `text` stands for: texts are written without quotes."""
    word = text.strip().lower()
    if "string" in types:
        return None if "null" in types and word in ("null", "none") else text
    if not types and not word.startswith(("{", "[")):
        return text
    try:
        value: JsonValue = _WORDS[word] if word in _WORDS else _value_of(text)
    except BadCompletion:
        return text
    return value
