"""What the dialects of JSON Schema understand, as data."""

from __future__ import annotations

from typing import Literal

from ...data import Data

# Whose subset of JSON Schema is understood. "closed": strict servers that know closed objects and no bounds.
SchemaDialect = Literal["json_schema", "openai", "closed", "gemini", "llama_cpp"]

BOUNDS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minItems", "maxItems"})
LENGTHS = frozenset({"minLength", "maxLength"})
# A date with a time, and a duration, are more in pydantic than in RFC 3339, which these formats mean: a time without
# an offset, a negative duration. Who enforced the format would never let a `NaiveDatetime` be written.
FORMATS = frozenset({"date", "email", "hostname", "ipv4", "ipv6", "uuid"})


class Rules(Data):
    """A dialect. The defaults are JSON Schema's own.

    Args:
        keywords: the keywords beside type, enum, items, properties and anyOf that are understood.
        formats: the formats of strings that are understood, and demand no more than pydantic's types do.
        patterns: whether regular expressions are as in ECMAScript, without look-around, or what a grammar can say.
        strict: whether servers have a strict mode, in which objects are closed and have all their properties.
        any_value: how "any value" is said: not at all, as {}, or as a union of all types.
        tuples: whether `prefixItems` is understood.
        enum_types: the types whose values may be enumerated.
        inlined: whether references are resolved where they are not recursive.
        recursion: whether recursive references may stand anywhere, only in optional properties, or nowhere.
        root_object: whether the whole must be an object, not a union.
        closing: whether `additionalProperties: false` is understood.
        most_repetitions: the largest bound on items and characters.
    """

    keywords: frozenset[str] = BOUNDS | LENGTHS | {"pattern", "format", "uniqueItems"}
    formats: frozenset[str] = FORMATS
    patterns: Literal["ecma", "no_assertions", "grammar"] = "ecma"
    strict: bool = False
    any_value: Literal["refused", "empty", "union"] = "empty"
    tuples: bool = True
    enum_types: frozenset[str] = frozenset({"string", "integer", "number", "boolean"})
    inlined: bool = False
    recursion: Literal["anywhere", "optional", "refused"] = "anywhere"
    root_object: bool = False
    closing: bool = True
    most_repetitions: int | None = None


RULES: dict[SchemaDialect, Rules] = {
    "json_schema": Rules(),
    # https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
    # `prefixItems` is refused; lengths are taken by some models, and refused by fine-tuned ones and kin of OpenAI.
    "openai": Rules(
        keywords=BOUNDS | {"pattern", "format"},
        patterns="no_assertions",
        strict=True,
        any_value="refused",
        tuples=False,
        root_object=True,
    ),
    # What Groq, Cerebras, DeepSeek and Anthropic have in common: closed objects, and no bounds ("minItems is not
    # supported", Groq), no recursion (Cerebras, Anthropic).
    # https://console.groq.com/docs/structured-outputs https://inference-docs.cerebras.ai/capabilities/structured-outputs
    # https://platform.claude.com/docs/en/build-with-claude/structured-outputs
    "closed": Rules(
        keywords=frozenset(),
        strict=True,
        any_value="refused",
        tuples=False,
        recursion="refused",
        root_object=True,
    ),
    # What `responseJsonSchema` and the schemas of functions have in common, as one dialect is both answers and tools.
    # https://ai.google.dev/api/generate-content#FIELDS.response_json_schema https://ai.google.dev/api/caching#Schema
    "gemini": Rules(
        keywords=frozenset({"minimum", "maximum", "minItems", "maxItems"}),
        tuples=False,
        enum_types=frozenset({"string", "integer", "number"}),
        inlined=True,
        recursion="optional",
        root_object=True,
        closing=False,
    ),
    # What its own converter to grammars and llguidance, with which it may be built, have in common.
    # https://github.com/ggml-org/llama.cpp/blob/master/common/json-schema-to-grammar.cpp (its times have three decimals
    # or none, and an offset) https://github.com/guidance-ai/llguidance/blob/main/docs/json_schema.md
    "llama_cpp": Rules(
        keywords=frozenset({"minimum", "maximum", "minItems", "maxItems", "pattern", "format"}) | LENGTHS,
        formats=frozenset({"date", "uuid"}),
        patterns="grammar",
        any_value="union",
        # MAX_REPETITION_THRESHOLD in llama.cpp's src/llama-grammar.cpp is 2000, and refused itself.
        most_repetitions=1999,
    ),
}
