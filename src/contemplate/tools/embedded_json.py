"""JSON in place of texts that hold it: small models write `{"xs": "[1, 2]"}` where a list is wanted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import from_json

# Of references in a schema, and of lists within lists.
DEEPEST = 16


def list_or_object(value: object) -> list[Any] | dict[str, Any] | None:
    """Return the list or the object that a text holds as JSON; None if it holds none."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return None
    try:
        found = from_json(value)
    except ValueError:
        return None
    return found if isinstance(found, (list, dict)) else None


def unwrapped(value: Any, schema: object, root: Mapping[str, Any], depth: int = 0) -> Any:
    """Return `value` with lists and objects in place of texts that hold their JSON, where `schema` wants these alone.

    Args:
        value: the arguments, or a value in them.
        schema: the JSON schema of `value`.
        root: the whole schema, to which references refer.
        depth: how deep `value` is in the arguments.
    """
    forms = list(_forms(schema, root, DEEPEST))
    wanted = {name for form in forms for name in _types(form)}
    if depth > DEEPEST:
        return value
    inner = list_or_object(value) if wanted and not {"string", "any"} & wanted else None
    if inner is not None and ("array" if isinstance(inner, list) else "object") in wanted:
        value = inner
    if isinstance(value, list):
        items = _first(form.get("items") for form in forms)
        return [unwrapped(each, items, root, depth + 1) for each in value]
    if isinstance(value, dict):
        others = _first(form.get("additionalProperties") for form in forms)
        known = [each for form in forms if isinstance(each := form.get("properties"), dict)]
        return {
            name: unwrapped(each, _first([*(those.get(name) for those in known), others]), root, depth + 1)
            for name, each in value.items()
        }
    return value


def _forms(schema: object, root: Mapping[str, Any], left: int) -> Iterator[Mapping[str, Any]]:
    """Yield the schemas of which a value may fit one, without references and unions."""
    if not isinstance(schema, dict) or not left:
        return
    reference = schema.get("$ref")
    if isinstance(reference, str):
        yield from _forms(_referred(reference, root), root, left - 1)
        return
    unions = [each for name in ("anyOf", "oneOf", "allOf") if isinstance(each := schema.get(name), list)]
    if not unions:
        yield schema
    for union in unions:
        for each in union:
            yield from _forms(each, root, left - 1)


def _referred(reference: str, root: Mapping[str, Any]) -> object:
    found: object = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        if step:
            found = found.get(step) if isinstance(found, dict) else None
    return found


def _types(form: Mapping[str, Any]) -> list[str]:
    """Return the types that a schema without unions names; "any" if it names none."""
    types = form.get("type", "any")
    return [each for each in types if isinstance(each, str)] if isinstance(types, list) else [str(types)]


def _first(schemas: Any) -> object:
    return next((each for each in schemas if isinstance(each, dict)), None)
