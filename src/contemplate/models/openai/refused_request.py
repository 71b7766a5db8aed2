"""A request that was refused, with what the server said of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue

from .profile import Profile
from .refusals import Refusal, any_of

# New values of the profile's fields, and what they mean in words.
Change = tuple[dict[str, JsonValue], str]

_UNKNOWN_WORDS = (
    r"unknown|unrecogni[sz]ed|unexpected|\bextra\b|not permitted|additional propert|cannot find|no such",
    r"not allowed|forbidden|extraneous|not (a |an )?(recogni[sz]ed|known|expected)",
)
_UNSUPPORTED_WORDS = (
    *_UNKNOWN_WORDS,
    r"un-?supported|not (currently |yet |be |a |an )*(support|available|implemented|accept|enabled|valid|compatible)",
    r"support that|no longer support|unavailable|incompatible|deprecated|disabled|no endpoints",
    r"\b(remove|omit)\b",
)
_REFUSED_WORDS = (
    *_UNSUPPORTED_WORDS,
    r"invalid|\bonly\b|\bmust\b|should|requires?|greater|\bless\b|range|between|at most|exceed|too (large|high|big)",
    r"maximum|too many|not one of|not in|cannot|can't|fail|does(n't| not)|[<>≤≥]",
)
UNKNOWN, UNSUPPORTED, REFUSED = any_of(*_UNKNOWN_WORDS), any_of(*_UNSUPPORTED_WORDS), any_of(*_REFUSED_WORDS)
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n")


class RefusedRequest:
    """A refused request, with what the server said of it. `named`: the fields that it names in their place."""

    def __init__(self, refusal: Refusal, body: Mapping[str, Any], profile: Profile) -> None:
        self.status = refusal.status
        self.text = refusal.text
        self.codes = refusal.codes
        self.places = refusal.places
        self.body = body
        self.profile = profile
        self.messages: list[Mapping[str, Any]] = list(body.get("messages", ()))
        plain = {_plain(name): name for name in body}
        roots = dict.fromkeys(_plain(re.split(r"[.\[]", place, maxsplit=1)[0]) for place in refusal.places)
        self.named = [plain[root] for root in roots if root in plain]
        # In the Responses API it stands elsewhere.
        asked = body.get("response_format") or body.get("text", {}).get("format")
        self.response_format: Mapping[str, Any] | None = asked
        self._sentences = [each for each in _SENTENCE.split(refusal.text) if each]

    def about(self, *fields: str) -> str:
        """Return the sentences that name one of `fields`."""
        return self.matching(re.compile("|".join(map(word_of, fields)), re.IGNORECASE))

    def matching(self, pattern: re.Pattern[str]) -> str:
        """Return the sentences that match `pattern`."""
        return " ".join(each for each in self._sentences if pattern.search(each))

    def names(self, *fields: str) -> bool:
        """Return whether one of `fields` is named: in its place or, without such a place, in a refusing sentence."""
        if self.named:
            return any(each in self.named for each in fields)
        return REFUSED.search(self.about(*fields)) is not None

    def names_only(self, *fields: str) -> bool:
        """Return whether no place names another field than `fields`."""
        return all(each in fields for each in self.named)


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def word_of(field: str) -> str:
    """Return the pattern for the name of a field, in the text of an error."""
    if field == "stop":
        # A word of its own: only where it stands as names of fields do.
        return (
            r"""['"`\[]stop['"`\]]|\bstop[ _]?(sequence|param|words?|field|option|argument|is\b|are\b)"""
            r"|: stop\b|\Astop:|\b(set|use|remove|omit|drop) stop\b"
        )
    return rf"(?<![\w-]){re.escape(field).replace('_', '_?')}(?![\w-])"
