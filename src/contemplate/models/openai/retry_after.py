"""Read from the headers of a response how long the server asks to wait."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time

MAX_RESET_SECONDS = 20.0
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


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
