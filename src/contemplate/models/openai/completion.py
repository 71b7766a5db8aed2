"""The errors for what is no chat completion, and the JSON of one, read without trusting it.

https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from math import isfinite
from typing import Any

from pydantic_core import from_json

from ...data import readable_json

# Below this, a whole number is the same as a float.
MOST_WHOLE = 2**53


class BadCompletion(ValueError):
    """What the server sent is not a chat completion."""


class ReportedError(BadCompletion):
    """The server sent an error instead of a completion: `body`, in one of the many forms of `error_body`."""

    def __init__(self, body: object) -> None:
        super().__init__("the server reported an error")
        self.body = body


class CutOff(BadCompletion):
    """The response ended before it was complete."""


class GivenUp(BadCompletion):
    """The server gave up the answer that it had begun, and says so in its finish reason."""


def parsed(body: bytes, *, errors: str = "strict") -> Any:
    """Return the value of `body`, JSON. Halves of surrogate pairs, which no text can hold, are replaced.

    Args:
        body: the JSON.
        errors: what becomes of bytes that are not UTF-8: "strict" or "replace".

    Raises:
        BadCompletion: it is not JSON.
    """
    try:
        return from_json(body)
    except ValueError as error:
        problem = str(error)
    try:
        return from_json(readable_json(body.decode(errors=errors)))
    except ValueError:
        raise bad("the whole body", problem) from None


def bad(where: str, problem: str) -> BadCompletion:
    """Return the error for a field that is not as it should be."""
    return BadCompletion(f"the response is not a chat completion: {where}: {problem}")


def mapping(value: object) -> dict[str, Any]:
    """Return `value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def text_in(value: object, where: str) -> str:
    """Return a text that belongs to the answer, "" for null.

    Raises:
        BadCompletion: it is no text: an answer would be lost in silence.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    raise bad(where, "it should be a text")


def number(value: object) -> float | None:
    """Return `value` as a number, which may be written as a text; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if isfinite(found) else None


def whole_number(value: object) -> int | None:
    """Return `value` as a whole number, which may be written as a text or with decimals; None if it is none."""
    if type(value) is int and -MOST_WHOLE < value < MOST_WHOLE:
        return value
    found = number(value)
    return None if found is None else round(found)
