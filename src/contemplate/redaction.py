"""Redaction of secrets: removes keys and passwords from text that users, logs and clients see.

It imports nothing from the package, so that any module that shows a URL or repeats a server's message can use it.
"""

from __future__ import annotations

import re

PLACEHOLDER = "[secret]"
# Anything shorter is a placeholder such as "none", and would also match ordinary words.
SHORTEST_SECRET = 8

# Everything up to the last "@" before the path: a password may contain "@", and a slash be forgotten.
_USER = re.compile(r"(?<=:/)(/?)[^/\s]*(?=@)")
# A query parameter whose name suggests a key. The bounds keep the search linear.
_PARAMETER = re.compile(
    r"(?<=[?&])([\w.-]{0,40}(?:key|token|secret|passw|sig|auth)[\w.-]{0,40}=)[^&#\s\"'<>]+", re.IGNORECASE
)
_KEY_LIKE = re.compile(r"\b(?:sk|rk|pk)-[\w*-]{6,}", re.IGNORECASE)
_BEARER = re.compile(rf"(?<=\bbearer )\S{{{SHORTEST_SECRET},}}", re.IGNORECASE)


def shown_url(url: str) -> str:
    """Return `url` without the parts that may be secret: the user name and password, and the query."""
    address, mark, fragment = url.partition("#")
    # Parsed by hand, as invalid URLs are shown too, in the error that reports them.
    scheme, colon, rest = address.partition("?")[0].partition("://")
    authority, slash, path = rest.partition("/")
    return scheme + colon + authority.rpartition("@")[2] + slash + path + mark + fragment


def redact(text: str, *secrets: str) -> str:
    """Return `text` with "[secret]" in place of each of `secrets`, and of anything that looks like a secret.

    That is a user name and password in a URL, a key in its query, a word that looks like an API key, and the word
    after "Bearer".
    """
    # Longest first, as one secret may contain another.
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, PLACEHOLDER)
    text = _USER.sub(rf"\g<1>{PLACEHOLDER}", text)
    text = _PARAMETER.sub(rf"\g<1>{PLACEHOLDER}", text)
    text = _KEY_LIKE.sub(PLACEHOLDER, text)
    return _BEARER.sub(PLACEHOLDER, text)
