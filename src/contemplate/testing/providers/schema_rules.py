"""Rules about the JSON schemas in a request: of the answer, and of tools' parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .refusals import Body, Rejection

Schema = Mapping[str, Any]

# What strict mode does not know. https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
_NOT_STRICT = (
    *("oneOf", "allOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "patternProperties"),
    *("propertyNames", "prefixItems", "uniqueItems", "contains", "default"),
)
_FORMATS = ("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid")
_DECIDES = ("type", "$ref", "anyOf", "enum", "const")


class _Sent(NamedTuple):
    """A schema in a request: what it is for, where it stands, whether it is to be followed strictly."""

    purpose: str
    param: str
    schema: Schema
    strict: bool


@dataclass(frozen=True, slots=True)
class OpenAIStrict:
    """OpenAI's rules for schemas with `strict`.

    The words are those of public reports, such as https://github.com/vercel/ai/issues/6484.
    """

    def problems(self, body: Body) -> Sequence[Rejection]:
        """Return the first fault of the first schema that has one."""
        for sent in _schemas(body):
            if not sent.strict:
                continue
            for context, fault in _strict_faults(sent.schema):
                code = "invalid_function_parameters" if sent.param.startswith("tools") else None
                words = f"Invalid schema for {sent.purpose}: In context={context!r}, {fault}."
                return [Rejection(words, 400, sent.param, code)]
        return ()


@dataclass(frozen=True, slots=True)
class ClosedObjects:
    """Every object of the answer's schema must be closed; `words` may have {purpose} and {path}."""

    words: str

    def problems(self, body: Body) -> Sequence[Rejection]:
        """Return a refusal for the first open object."""
        for sent in _schemas(body):
            for path, schema in _walk(sent.schema):
                if sent.strict and _is_object(schema) and schema.get("additionalProperties") is not False:
                    words = self.words.format(purpose=sent.purpose, path="/" + "/".join(path))
                    return [Rejection(words, 400, sent.param)]
        return ()


@dataclass(frozen=True, slots=True)
class NoKeywords:
    """Keywords that are unknown; `words` may have {keyword} and {path}; those of one schema are named at once."""

    keywords: tuple[str, ...]
    words: str
    code: str | None = None
    in_tools: bool = True

    def problems(self, body: Body) -> Sequence[Rejection]:
        """Return a refusal for each of them in the first schema that has any."""
        for sent in _schemas(body):
            if sent.param.startswith("tools") and not self.in_tools:
                continue
            found = [
                Rejection(self.words.format(keyword=keyword, path=".".join(path)), 400, sent.param, self.code)
                for path, schema in _walk(sent.schema)
                for keyword in self.keywords
                if keyword in schema
            ]
            if found:
                return found
        return ()


@dataclass(frozen=True, slots=True)
class NoPatterns:
    """Regular expressions with constructs that llama.cpp's grammars do not know."""

    words: str
    refused: str = r"\\[dwsDWSb]|\(\?"

    def problems(self, body: Body) -> Sequence[Rejection]:
        """Return a refusal if some pattern has one."""
        patterns = [str(each.get("pattern", "")) for sent in _schemas(body) for _, each in _walk(sent.schema)]
        return [Rejection(self.words)] if any(re.search(self.refused, each) for each in patterns) else ()


def _schemas(body: Body) -> Iterator[_Sent]:
    asked = (body.get("response_format") or {}).get("json_schema")
    if isinstance(asked, dict):
        purpose = f"response_format '{asked.get('name')}'"
        yield _Sent(purpose, "response_format", asked.get("schema") or {}, bool(asked.get("strict")))
    for place, tool in enumerate(body.get("tools") or ()):
        function = tool["function"]
        parameters = function.get("parameters") or {}
        purpose = f"function '{function['name']}'"
        yield _Sent(purpose, f"tools[{place}].function.parameters", parameters, bool(function.get("strict")))


def _strict_faults(schema: Schema) -> Iterator[tuple[tuple[str, ...], str]]:
    if schema.get("type") != "object" or "anyOf" in schema:
        yield (), f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{schema.get('type')}\"'"
    for path, each in _walk(schema):
        others = {name for name in each if name not in ("$ref", "$defs")}
        if "$ref" in each and others:
            yield path, f"$ref cannot have keywords {others!r}"
        for keyword in _NOT_STRICT:
            if keyword in each:
                yield path, f"'{keyword}' is not permitted"
        if each.get("format", "date") not in _FORMATS:
            yield path, f"'{each['format']}' is not a valid format"
        if not any(name in each for name in _DECIDES):
            yield path, "schema must have a 'type' key"
        if _is_object(each):
            yield from ((path, fault) for fault in _object_faults(each))


def _object_faults(schema: Schema) -> Iterator[str]:
    if schema.get("additionalProperties") is not False:
        yield "'additionalProperties' is required to be supplied and to be false"
    missing = [name for name in schema.get("properties", {}) if name not in schema.get("required", ())]
    if missing:
        supplied = "'required' is required to be supplied and to be an array including every key in properties"
        yield f"{supplied}. Missing '{missing[0]}'"


def _is_object(schema: Schema) -> bool:
    kind = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind)


def _walk(schema: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Schema]]:
    """Yield all schemas within `schema`, with their paths."""
    if not isinstance(schema, dict):
        return
    yield path, schema
    for keyword in ("properties", "$defs", "definitions", "patternProperties"):
        for name, each in (schema.get(keyword) or {}).items():
            yield from _walk(each, (*path, keyword, name))
    for keyword in ("items", "additionalProperties", "not"):
        yield from _walk(schema.get(keyword), (*path, keyword))
    for keyword in ("anyOf", "oneOf", "allOf", "prefixItems"):
        for place, each in enumerate(schema.get(keyword) or ()):
            yield from _walk(each, (*path, keyword, str(place)))
