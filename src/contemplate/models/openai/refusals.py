"""What a server says of a request that it refused: is it about how it was written, and which fields does it name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .context_overflow import overflow
from .error_body import ErrorBody, error_body


def any_of(*patterns: str) -> re.Pattern[str]:
    """Return the pattern that matches what one of `patterns` does, in upper or lower case."""
    return re.compile("|".join(patterns), re.IGNORECASE)


# Those of the key, the account, the load and the time, which no other way of writing changes; but see `MAY_REFUSE`.
_OTHER_STATUSES = frozenset({401, 402, 403, 407, 408, 413, 421, 425, 426, 429, 451, 498, 502, 503, 504})
# Of a server, or of a gateway that passes a refusal on as an error of its own.
_SERVER_STATUSES = frozenset({500, 501})
# "You are not allowed to request logprobs from this model": counts only of an optional field that it names.
MAY_REFUSE = 403

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
# The request, which some servers repeat.
_INPUT = re.compile(r"""["']input["']:\s*(\{[^{}]*\}|\[[^\[\]]*\]|"[^"]*"|'[^']*')""")

# Errors about what was asked, or who asked, and not about how it was asked.
_NOT_OURS = any_of(
    r"content[ _]?(filter|policy|management)|responsible[ _]?ai|moderation|safety|policy[ _]violation|jailbreak",
    r"api[ _-]?key|unauthori[sz]ed|authentication|quota|billing|credits?\b|rate[ _-]?limit|too many requests",
    r"model[ _]not[ _]found|model.{0,80}(does not exist|not found)|overloaded|no such model",
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a server says about a request that it refused.

    Args:
        status: the HTTP status.
        error: the error as it is told.
        text: its words, without the name of the model.
        codes: what it calls the error, in lower case.
        places: the fields that it names in a place of its own, such as "messages[0].role", "response_format.type".
    """

    status: int
    error: ErrorBody
    text: str
    codes: frozenset[str]
    places: tuple[str, ...]

    @property
    def is_too_long(self) -> bool:
        """Whether the prompt does not fit, with what the model may write."""
        return overflow(self.error) is not None

    @property
    def is_about_the_form(self) -> bool:
        """Whether it can be about how the request is written: not about its content, the key or the account."""
        if self.error.status in _OTHER_STATUSES and self.error.status != self.status:
            return False
        return _NOT_OURS.search(" ".join((self.text, *self.codes))) is None


def may_refuse(status: int) -> bool:
    """Return whether servers refuse with this status what a request says."""
    return status == MAY_REFUSE or status in _SERVER_STATUSES or (400 <= status < 500 and status not in _OTHER_STATUSES)


def refusal_of(status: int, body: object, model: str = "") -> Refusal:
    """Read the body of an error, raw or parsed, in whatever form. The name of the `model` may look like a field."""
    error = error_body(body)
    text = _INPUT.sub("", error.words)
    if len(model) > 1:
        text = text.replace(model, "…")
    places = dict.fromkeys((*error.places, *(place[1] for pattern in _PLACES for place in pattern.finditer(text))))
    return Refusal(status, error, text, frozenset(code.lower() for code in error.codes), tuple(filter(None, places)))
