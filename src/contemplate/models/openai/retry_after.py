"""Read how long a server asks to wait, from the headers of its response, or from the error in its body."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

from .completion import mapping, number

MAX_RESET_SECONDS = 20.0
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_FIELDS = {"retry_after": 1.0, "retry_after_seconds": 1.0, "retryAfter": 1.0, "retry_after_ms": 0.001}
_PART = r"\d+(?:\.\d+)? ?(?:ms|milliseconds?|h|hours?|hrs?|m|minutes?|mins?|s|seconds?|secs?)(?![a-z])"
_WORDS = re.compile(
    r"(?:try again|retry|retrying|wait)(?: again)?(?: in| after| for)?(?: about| approximately)? "
    rf"((?:{_PART},? ?(?:and )?)+)",
    re.IGNORECASE | re.ASCII,
)
# In ASCII, as other letters are taken for s and k where case is ignored.
_WORDS_PART = re.compile(r"(\d+(?:\.\d+)?) ?(ms|milli|h|m|s)", re.IGNORECASE | re.ASCII)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait from `retry-after-ms`, or `Retry-After`, a number or a date (RFC 9110)."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        try:
            return max(0.0, float(value) / unit)
        except ValueError:
            continue
    try:
        return max(0.0, parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - time())
    except ValueError:
        return None


def until_reset(headers: Mapping[str, str]) -> float | None:
    """Return the seconds until an exhausted limit resets, from OpenAI's `x-ratelimit-*` headers, such as "1m3.5s".

    The headers say when the limit is fully reset, but part of it is available earlier, so the wait is capped.
    """
    waits = []
    for kind in ("requests", "tokens"):
        reset = headers.get(f"x-ratelimit-reset-{kind}", "").strip()
        parts = _DURATION_PART.findall(reset)
        if headers.get(f"x-ratelimit-remaining-{kind}") == "0" and "".join(map("".join, parts)) == reset != "":
            waits.append(sum(float(number) * _UNITS[unit] for number, unit in parts))
    return min(max(waits), MAX_RESET_SECONDS) if waits else None


def wait_in_body(error: Mapping[str, Any]) -> float | None:
    """Return the seconds to wait that an object of an error names.

    Google's `RetryInfo` says `"retryDelay": "34s"`; OpenRouter repeats the headers of the provider in its `metadata`.
    """
    for name, unit in _FIELDS.items():
        if name in error and (wait := number(error[name])) is not None:
            return max(0.0, wait * unit)
    delay = error.get("retryDelay", error.get("retry_delay"))
    if isinstance(delay, dict):
        seconds = number(delay.get("seconds"))
        return None if seconds is None else max(0.0, seconds)
    if isinstance(delay, str) and (wait := number(delay.strip().removesuffix("s"))) is not None:
        return max(0.0, wait)
    headers = {str(name).lower(): str(value) for name, value in mapping(error.get("headers")).items()}
    if not headers:
        return None
    wait = retry_after(headers)
    if wait is None and headers.get("x-ratelimit-remaining") == "0":
        # OpenRouter: the time of the reset, in milliseconds since 1970.
        reset = number(headers.get("x-ratelimit-reset"))
        wait = None if reset is None else max(0.0, reset / 1000 - time())
    return wait


def wait_in_words(words: str) -> float | None:
    """Return the seconds to wait in words such as "Please try again in 1m2.5s"."""
    found = _WORDS.search(words)
    if found is None:
        return None
    parts = _WORDS_PART.findall(found[1])
    return sum(float(amount) * _UNITS["ms" if unit.lower() == "milli" else unit.lower()] for amount, unit in parts)
