"""Read from a refusal what the server says, and which fields of the request it names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MAX_CHARACTERS = 8000
MAX_DEPTH = 8


def any_of(*patterns: str) -> re.Pattern[str]:
    """Return the pattern that matches what one of `patterns` does, in upper or lower case."""
    return re.compile("|".join(patterns), re.IGNORECASE)


# Statuses with which servers refuse what a request says. Some gateways pass a refusal on as an error of their own.
REFUSED = frozenset({400, 404, 405, 406, 409, 415, 422, 500, 501})

# Where servers say what is wrong. Others, such as `input`, repeat the request.
_TEXTS = (
    *("message", "msg", "detail", "details", "description", "reason", "title", "error", "errors", "raw"),
    *("error_message", "metadata", "fieldViolations", "cause", "upstream_error", "body"),
)
_CODES = ("code", "type", "status", "error_type")
_NAMES = ("param", "field", "parameter", "property")

# Places of fields in the text of errors, such as pydantic's in a list that was printed.
_PLACES = (
    re.compile(r"""["']loc["']:\s*[\[(]\s*(?:["']body["'],\s*)?["']([\w.]+)["']"""),
    re.compile(r"\bbody\s*(?:->|\.)\s*(\w+)"),
    re.compile(r"""\bfield:?\s+[`"'“]([\w.\[\]]+)[`"'”]"""),
    re.compile(r"""\bunknown name [`"'“\\]+([\w.]+)""", re.IGNORECASE),
    re.compile(
        r"\b(?:unexpected|unrecognized|unknown|unsupported|invalid|additional|extra)(?: \w+){0,3}"
        r"""(?: supplied| provided)?:?\s+[`"'“\[]*([a-z]\w*_\w+|seed|stop|logprobs|tools|temperature)\b""",
        re.IGNORECASE,
    ),
    re.compile(r"""\b(?:property|parameter|argument|keyword|option)s?:?\s+[`"'“\[]+([\w.]+)[`"'”\]]""", re.IGNORECASE),
)
_INPUT = re.compile(r"""["']input["']:\s*(\{[^{}]*\}|\[[^\[\]]*\]|"[^"]*"|'[^']*')""")

# Errors about what was asked, or who asked, and not about how it was asked.
_NOT_OURS = any_of(
    r"content[ _]?(filter|policy|management)|responsible[ _]?ai|moderation|safety|policy[ _]violation|jailbreak",
    r"api[ _-]?key|unauthori[sz]ed|authentication|quota|billing|credits?\b|rate[ _-]?limit|too many requests",
    r"model[ _]not[ _]found|model.{0,80}(does not exist|not found)|overloaded|no such model",
)
# Statuses that stand in the body alone: of the key, the account and the server.
_OTHER_STATUSES = frozenset({"401", "402", "403", "429", "502", "503", "504"})
_TOO_LONG = any_of(
    r"context[ _](length|window|size|limit)|maximum context|prompt (is )?too long|too many (input )?tokens",
    r"input (is )?too long|max(imum)?[ _](sequence|model)[ _]len|exceed_context_size|input length and",
    r"reduce the length|max_new_tokens. must be",
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a server says about a request that it refused.

    Args:
        status: the HTTP status.
        text: its words.
        codes: what it calls the error, in lower case.
        places: the fields that it names in a place of its own, such as "messages[0].role", "response_format.type".
    """

    status: int
    text: str
    codes: frozenset[str]
    places: tuple[str, ...]

    @property
    def is_too_long(self) -> bool:
        """Whether the prompt does not fit, with what the model may write."""
        return "context_length_exceeded" in self.codes or _TOO_LONG.search(self.text) is not None

    @property
    def is_about_the_form(self) -> bool:
        """Whether it can be about how the request is written: not about its content, the key or the account."""
        return not self.codes & _OTHER_STATUSES and _NOT_OURS.search(" ".join((self.text, *self.codes))) is None


def refusal_of(status: int, body: object, model: str = "") -> Refusal:
    """Read the body of an error, raw or parsed, in whatever form. The name of the `model` may look like a field."""
    found = _Found([], [], [])
    _collect(_data(body), found, 0)
    text = _INPUT.sub("", " \n".join(dict.fromkeys(found.texts)))[:MAX_CHARACTERS]
    if len(model) > 1:
        text = text.replace(model, "…")
    named = [*found.names, *(place[1] for pattern in _PLACES for place in pattern.finditer(text))]
    places = dict.fromkeys(name.removeprefix("body.") for name in named if name)
    return Refusal(status, text, frozenset(code.lower() for code in found.codes), tuple(places))


@dataclass(slots=True)
class _Found:
    texts: list[str]
    codes: list[str]
    names: list[str]


def _data(body: object) -> Any:
    text = body.decode(errors="replace") if isinstance(body, bytes) else body
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _collect(data: Any, found: _Found, depth: int) -> None:
    if depth > MAX_DEPTH:
        return
    if isinstance(data, str):
        inner = _data(data) if data[:1] in ("{", "[") else data
        if isinstance(inner, str):
            found.texts.append(inner)
        else:
            _collect(inner, found, depth + 1)
    elif isinstance(data, list):
        for each in data:
            _collect(each, found, depth + 1)
    elif isinstance(data, dict):
        found.names += filter(None, _names(data))
        found.codes += [str(data[name]) for name in _CODES if isinstance(data.get(name), str | int)]
        for name in _TEXTS:
            if name in data:
                _collect(data[name], found, depth + 1)


def _names(data: dict[str, Any]) -> Iterator[str]:
    """Yield the fields named in an error: OpenAI's `param`, pydantic's `loc`, Google's `field`."""
    for name in _NAMES:
        if isinstance(data.get(name), str):
            yield data[name]
    place = data.get("loc")
    if isinstance(place, list):
        yield ".".join(str(each) for each in place if each != "body")
