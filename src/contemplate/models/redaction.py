"""The one redactor of secrets: what is said to people, logs and clients is said without keys and passwords.

It imports nothing of the package, so that whatever shows a URL or repeats what a server said can use it.
"""

from __future__ import annotations

import re

PLACEHOLDER = "[secret]"
# What is shorter is not a secret but a placeholder such as "none", and would be found in innocent words.
SHORTEST_SECRET = 8

# All up to the last "@" before the path; a password may hold one.
_USER = re.compile(r"(?<=://)[^/\s]*(?=@)")
# A parameter of a query whose name says that it is a key. The bound keeps the search linear.
_PARAMETER = re.compile(
    r"(?<=[?&])([\w.-]{0,40}(?:key|token|secret|passw|sig|auth)[\w.-]{0,40}=)[^&#\s\"'<>]+", re.IGNORECASE
)
_KEY_LIKE = re.compile(r"\b(?:sk|rk|pk)-[\w*-]{6,}", re.IGNORECASE)
_BEARER = re.compile(rf"(?<=\bbearer )\S{{{SHORTEST_SECRET},}}", re.IGNORECASE)


def shown_url(url: str) -> str:
    """Return `url` without what may be secret in it: the user's name and password, and the query."""
    address, mark, fragment = url.partition("#")
    # By hand: a URL that cannot be parsed is shown as well, in the error that says so.
    scheme, colon, rest = address.partition("?")[0].partition("://")
    authority, slash, path = rest.partition("/")
    return scheme + colon + authority.rpartition("@")[2] + slash + path + mark + fragment


def redact(text: str, *secrets: str) -> str:
    """Return `text` with "[secret]" in place of each of `secrets`, and of whatever looks like one.

    That is a user and a password in a URL, a key in the query of one, a word that looks like an API key, and what
    follows "Bearer".
    """
    # The longest first: one secret may be a part of another.
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, PLACEHOLDER)
    text = _USER.sub(PLACEHOLDER, text)
    text = _PARAMETER.sub(rf"\g<1>{PLACEHOLDER}", text)
    text = _KEY_LIKE.sub(PLACEHOLDER, text)
    return _BEARER.sub(PLACEHOLDER, text)
