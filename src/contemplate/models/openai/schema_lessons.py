"""What may be done where a schema is refused: another dialect of JSON Schema, or another form of asking for it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..schemas import SchemaDialect, sent_schema
from .refusals import any_of
from .refused_request import REFUSED, UNKNOWN, Change, RefusedRequest

TOOLS = any_of(r"\btools?\b|\bfunctions?\b|tool[ _-](use|call)")
_SCHEMA = any_of(
    r"response[_ ]?(format|mime|schema)|json[ _-]?(schema|mode|object)|structured[ _-]output|guided|grammar",
    r"text\.format|\bschemas?\b",
)
# What is refused is the schema that was sent, not every one.
_BAD_SCHEMA = any_of(
    r"invalid schema|additionalproperties|\bstrict\b|invalid[ _]json[ _]schema|schema.{0,80}(keyword|nesting|depth)",
    r"\$ref|oneof|anyof|'required'|schema (is|was) (invalid|not valid)|json schema fields|min(imum|items|length)\b",
    r"unknown name .{1,60} at |max(items|length)\b|propertynames|patternproperties|prefixitems|\$defs",
    r"json schema conversion",
)
_GRAMMAR = any_of(r"grammar|regex|regular expression|samplers?\b|\bpattern|json schema conversion")
_GEMINI = any_of(r"unknown name|generation_?config|response_?schema|functiondeclaration|function_declarations")
_TOGETHER = any_of(r"combin|together|\bwith\b|\bboth\b|same (request|time)|\bwhen\b|cannot|and tool|tools? and")


def about_schemas(refused: RefusedRequest) -> Iterator[Change]:
    """The schema of an answer, the form in which it is held to it, and what it does not go together with."""
    wanted = refused.response_format
    about = refused.matching(_SCHEMA)
    named = "response_format" in refused.named or "text" in refused.named
    if (
        wanted is None
        or is_of_a_tool(refused)
        or not (named or (REFUSED.search(about) and refused.names_only("tools", "stream")))
    ):
        return
    text = about or refused.text
    if "tools" in refused.body and TOOLS.search(text) and _TOGETHER.search(text):
        yield {"schema_with_tools": False}, "a schema is told in words where there are tools"
    if refused.body.get("stream") and re.search(r"\bstream", text, re.IGNORECASE):
        yield {"schema_streams": False}, "answers with a schema are not streamed"
    unknown = "response_format" in refused.places and UNKNOWN.search(text) and not re.search("json_", text)
    if wanted.get("type") == "json_schema" and not unknown:
        if _BAD_SCHEMA.search(refused.text) or _GRAMMAR.search(refused.text):
            asked = wanted.get("json_schema", wanted)
            yield from _dialects(refused, [asked.get("schema")], optional=False)
            if "strict" in asked:
                yield {"schema_form": "plain"}, "schemas are sent without strict mode"
        yield {"schema_form": "json_object"}, "JSON is asked for, and its schema is told in words"
    yield {"schema_form": "words"}, "schemas are told in words alone"


def about_tool_schemas(refused: RefusedRequest) -> Iterator[Change]:
    """The schemas of tools' arguments, which are not to be had in another form than a dialect."""
    tools = refused.body.get("tools")
    if not tools:
        return
    place = any(re.match(r"tools\W.*(parameters|schema)", each) for each in refused.places)
    no_answer = refused.response_format is None and "response_format" not in refused.named
    bad = _BAD_SCHEMA.search(refused.matching(_SCHEMA)) or any(
        each.search(refused.text) for each in (_GRAMMAR, _GEMINI)
    )
    if is_of_a_tool(refused) or place or (bad and no_answer):
        # In Responses, a tool is a function itself.
        functions = [tool.get("function", tool) for tool in tools]
        yield from _dialects(refused, [each.get("parameters") for each in functions], optional=True)


def is_of_a_tool(refused: RefusedRequest) -> bool:
    """Return whether the schema of a tool's arguments is refused, which no other form can mend."""
    text = re.search("schema for (function|tool)", refused.text, re.IGNORECASE)
    return "invalid_function_parameters" in refused.codes or text is not None


def _dialects(refused: RefusedRequest, schemas: list[Any], *, optional: bool) -> Iterator[Change]:
    """Yield the dialects in which some of `schemas` are written otherwise than they were sent."""
    order: list[SchemaDialect] = ["openai", "closed"]
    if refused.profile.schema_dialect in order:
        order = order[order.index(refused.profile.schema_dialect) + 1 :]
    if _GRAMMAR.search(refused.text):
        order.insert(0, "llama_cpp")
    elif _GEMINI.search(refused.text):
        order.insert(0, "gemini")
    elif optional:
        # What no strict dialect can say stays open in them.
        order.append("gemini")
    for dialect in order:
        if any(isinstance(schema, Mapping) and _changes(dict(schema), dialect, optional) for schema in schemas):
            yield {"schema_dialect": dialect}, f"schemas are written in the dialect {dialect!r}"


def _changes(schema: dict[str, Any], dialect: SchemaDialect, optional: bool) -> bool:
    sent = sent_schema(schema, dialect, optional=optional)
    return sent.strict and sent.schema != schema
