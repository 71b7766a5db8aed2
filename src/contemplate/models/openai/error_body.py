"""What a server says of an error, in any of the forms in which servers say it.

OpenAI's `{"error": {"message", "type", "code"}}`, a text, vLLM's `{"object": "error", "message"}`, FastAPI's `detail`,
Google's list with `details`, OpenRouter's with the cause in `metadata.raw`, JSON within a message, HTML of a gateway.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from itertools import islice
from typing import Any

from .completion import BadCompletion, mapping, parsed, whole_number
from .retry_after import wait_in_body, wait_in_words

_DEEPEST = 8
_MOST_PROBLEMS = 3
_MOST_OBJECTS = 50
_MOST_CHARACTERS = 4000
_WORDS = (
    *("message", "error", "errors", "detail", "msg", "error_message", "error_msg", "errorMessage", "error_description"),
    *(
        "status_msg",
        "Error",
        "Message",
        "fault",
        "faultstring",
        "messages",
        "base_resp",
        "reason",
        "title",
        "raw",
        "description",
    ),
)
_CODES = ("code", "error_code", "errorCode", "type", "status", "reason", "error_type")
_PLACES = ("param", "field", "parameter", "property")
_WITHIN = (
    *(
        "error",
        "errors",
        "detail",
        "Error",
        "fault",
        "base_resp",
        "metadata",
        "message",
        "raw",
        "details",
        "fieldViolations",
    ),
    *("cause", "upstream_error", "body"),
)
_NUMBERS = ("code", "status", "status_code", "error_code", "http_status")
_TITLE = re.compile(r"<(title|h1)[^>]*>(.{1,300}?)</\1", re.IGNORECASE | re.DOTALL)
_HTML = re.compile(r"\s*<(?:!doctype|html|head|body|\?xml)", re.IGNORECASE)
# The types that all errors of a kind have; a code that says more comes first.
_VAGUE = frozenset(
    ("error", "invalid_request_error", "api_error", "none", "null", "badrequesterror", "tokens", "requests")
)


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What is known of an error.

    Args:
        words: what the server says, "" if nothing.
        codes: what it calls the error, the most specific first.
        status: the HTTP status that the body names, or None.
        wait: the seconds that it asks to wait, or None.
        sizes: `n_ctx` and `n_prompt_tokens`, where it names them.
        places: the fields of the request that it names in a place of its own, such as "messages[0].role".
    """

    words: str
    codes: tuple[str, ...] = ()
    status: int | None = None
    wait: float | None = None
    sizes: tuple[int | None, int | None] = (None, None)
    places: tuple[str, ...] = ()


def error_body(value: object) -> ErrorBody:
    """Return what an error says: its bytes, or the value that was parsed from them."""
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            value = None
    if isinstance(value, str):
        value = _value_of(value)
    words = _words(value, 0)
    found = list(islice(_objects(value, 0), _MOST_OBJECTS))
    codes = [each for body in found for name in _CODES if isinstance(each := body.get(name), str) and _is_code(each)]
    statuses = (whole_number(body.get(name)) for body in found for name in _NUMBERS)
    wait = next((wait for body in found if (wait := wait_in_body(body)) is not None), None)
    sizes = next((_sizes(body) for body in found if "n_ctx" in body), (None, None))
    return ErrorBody(
        words=words,
        codes=tuple(sorted(dict.fromkeys(codes), key=lambda code: code.lower() in _VAGUE)),
        status=next((status for status in statuses if status is not None and 400 <= status < 600), None),
        wait=wait_in_words(words) if wait is None else wait,
        sizes=sizes,
        places=tuple(dict.fromkeys(place for body in found for place in _places(body))),
    )


def is_error(chunk: object) -> bool:
    """Return whether a response with a good status is an error all the same."""
    if isinstance(chunk, list):
        return bool(chunk) and is_error(chunk[0])
    body = mapping(chunk)
    if body.get("error"):
        return True
    if body.get("choices"):
        return False
    if whole_number(mapping(body.get("base_resp")).get("status_code")):
        return True
    if body.get("success") is False:
        return True
    named = ("errors", "detail", "error_message", "error_msg", "errorMessage", "error_code", "msg", "Error", "fault")
    said = isinstance(body.get("message"), str) and "usage" not in body
    return any(map(body.get, named)) or bool(said and body["message"])


def _value_of(text: str) -> object:
    try:
        return parsed(text.encode(errors="replace"))
    except BadCompletion:
        return text


def _words(value: object, depth: int) -> str:
    """Return the words of an error, with the cause that is hidden within it."""
    if depth > _DEEPEST:
        return ""
    if isinstance(value, str):
        return _text(value, depth)
    if isinstance(value, list):
        return "; ".join(filter(None, (_words(each, depth + 1) for each in value[:_MOST_PROBLEMS])))
    if not isinstance(value, dict):
        return ""
    said = next((words for name in _WORDS if (words := _words(value.get(name), depth + 1))), "")
    place = value.get("loc")
    if isinstance(place, list) and said:
        said = f"{'.'.join(map(str, place))}: {said}"
    metadata = mapping(value.get("metadata"))
    cause = next((_words(each, depth + 1) for each in _causes(value, metadata) if each), "")
    if cause and cause not in said:
        provider = metadata.get("provider_name")
        said = f"{said}: {cause}" + (f" ({provider})" if isinstance(provider, str) else "") if said else cause
    return said


def _causes(error: dict[str, Any], metadata: dict[str, Any]) -> tuple[object, ...]:
    return metadata.get("raw"), error.get("upstream_error"), error.get("cause")


def _places(error: dict[str, Any]) -> Iterator[str]:
    """Yield the fields that an error names: OpenAI's `param`, pydantic's `loc`, zod's `path`, Google's `field`."""
    for name in _PLACES:
        if isinstance(place := error.get(name), str) and place:
            yield place.removeprefix("body.")
    for place in (error.get("loc"), error.get("path")):
        if isinstance(place, list):
            yield ".".join(str(each) for each in place if each != "body")


def _text(text: str, depth: int) -> str:
    inner = text.strip()
    if inner[:1] in ("{", "[") and not isinstance(value := _value_of(inner), str):
        return _words(value, depth + 1)
    text = text[:_MOST_CHARACTERS]
    if _HTML.match(text):
        title = _TITLE.search(text)
        said = " ".join(unescape(title[2]).split()) if title else ""
        return f"{said} (an HTML page)" if said else ""
    return " ".join(text.split())


def _objects(value: object, depth: int) -> Iterator[dict[str, Any]]:
    """Yield the objects in an error that may name its code or wait, from the outside in."""
    if depth > _DEEPEST:
        return
    if isinstance(value, str):
        inner = value.strip()
        if inner[:1] in ("{", "[") and not isinstance(parsed_inner := _value_of(inner), str):
            yield from _objects(parsed_inner, depth + 1)
    elif isinstance(value, list):
        for each in value[:_MOST_OBJECTS]:
            yield from _objects(each, depth + 1)
    elif isinstance(value, dict):
        yield value
        for name in _WITHIN:
            if name in value:
                yield from _objects(value[name], depth + 1)


def _is_code(code: str) -> bool:
    return 0 < len(code) <= 80 and not code.isdecimal() and re.fullmatch(r"[\w./:-]+", code) is not None


def _sizes(body: dict[str, Any]) -> tuple[int | None, int | None]:
    return whole_number(body.get("n_ctx")), whole_number(body.get("n_prompt_tokens"))
