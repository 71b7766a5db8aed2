"""Values that follow a JSON schema."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

MAX_DEPTH = 6

_BY_FORMAT = {
    "date": "2026-01-02",
    "time": "03:04:05Z",
    "date-time": "2026-01-02T03:04:05Z",
    "duration": "P1D",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
}


def value_for(schema: Mapping[str, Any], answer: str) -> Any:
    """Return a value that follows `schema`: texts are the `answer`, and numbers too if it is one and fits."""
    return _Values(schema, answer).value(schema, 0)


class _Values:
    def __init__(self, root: Mapping[str, Any], answer: str) -> None:
        self._definitions = {**root.get("$defs", {}), **root.get("definitions", {})}
        self._root = root
        self._answer = answer

    def value(self, schema: Any, depth: int) -> Any:
        if not isinstance(schema, dict):
            return self._answer
        if "$ref" in schema:
            name = str(schema["$ref"]).rpartition("/")[2]
            return self.value(self._definitions.get(name, self._root), depth + 1)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return schema["enum"][0]
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                return self._of_several(schema[keyword], depth)
        if "allOf" in schema:
            merged = {key: value for each in schema["allOf"] for key, value in each.items()}
            return self.value({**merged, **{key: schema[key] for key in schema if key != "allOf"}}, depth)
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = next(each for each in kind if each != "null")
        return self._of_kind(str(kind), schema, depth)

    def _of_several(self, schemas: list[Any], depth: int) -> Any:
        nothing = [each for each in schemas if isinstance(each, dict) and each.get("type") == "null"]
        others = [each for each in schemas if each not in nothing]
        if nothing and (depth > MAX_DEPTH or not others):
            return None
        return self.value(others[0], depth)

    def _of_kind(self, kind: str, schema: Mapping[str, Any], depth: int) -> Any:
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return self._array(schema, depth)
        if kind in ("integer", "number"):
            return self._number(schema, whole=kind == "integer")
        return {"boolean": True, "null": None}.get(kind, self._text(schema))

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        required = schema.get("required", ())
        value = {
            name: self.value(each, depth + 1)
            for name, each in schema.get("properties", {}).items()
            if name in required or depth <= MAX_DEPTH
        }
        if not value and isinstance(schema.get("additionalProperties"), dict):
            return {"key": self.value(schema["additionalProperties"], depth + 1)}
        return value

    def _array(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        first = [self.value(each, depth + 1) for each in schema.get("prefixItems", ())]
        # One item, except where the list may be empty and refers to what came before it, as a plan's needs do.
        least = schema.get("minItems", 0 if "maxItems" in schema or depth > MAX_DEPTH else 1)
        more = [self.value(schema.get("items", {}), depth + 1) for _ in range(least - len(first))]
        return [*first, *more]

    def _number(self, schema: Mapping[str, Any], *, whole: bool) -> float:
        number: float = 1
        with suppress(ValueError):
            number = float(self._answer)
        low = schema.get("minimum", schema.get("exclusiveMinimum", number - 1) + 1)
        high = schema.get("maximum", schema.get("exclusiveMaximum", number + 1) - 1)
        number = max(low, min(high, number))
        return int(number) if whole or number == int(number) else number

    def _text(self, schema: Mapping[str, Any]) -> str:
        text = _BY_FORMAT.get(str(schema.get("format")), self._answer)
        text = text.ljust(schema.get("minLength", 0), ".")
        return text[: schema.get("maxLength", len(text))]
