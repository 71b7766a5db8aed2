"""Locate the answer in a text, by markers."""

from __future__ import annotations

import re

MAX_CHARACTERS = 200_000

# "Answer:" at the beginning of a line or a sentence is the form that is asked for; so is "#### 5", as in GSM8K, where a
# number follows: otherwise it is a heading. What says "the answer is" elsewhere may speak of the answer.
_ASKED_FOR = re.compile(
    r"(?:^|(?<=[.!?])[ \t]+)[ \t>#*_-]*(?:(?:so|thus|hence|therefore|the|my|our|final|correct|short)\b[ \t,]*){0,4}"
    r"answer\b(?:[ \t]+is)?\**[ \t]*[:=]"
    r"|^####[ \t]*(?=[-$\u2212]{0,2}[\d.,/]{1,40}\s*$)",
    re.IGNORECASE | re.MULTILINE,
)
_MENTIONED = re.compile(r"(?:\*\*)?\banswer\b\**\s*(?:is\b|:|=)\s*:?", re.IGNORECASE)
_OPEN_EMPHASIS = re.compile(r"[^*_]*([*_]{1,3})[^*_]+", re.DOTALL)
_OPENING_LINE = re.compile(r"(?:\$\$|\\\[|\\\()[ \t]*\n\s*")
_BOX = re.compile(r"\\boxed\s*\{")


def tail(text: str) -> str:
    """Return the last `MAX_CHARACTERS` characters of `text`, which bounds the work."""
    return text[-MAX_CHARACTERS:]


def marked_answer(text: str) -> str | None:
    """Return the answer that a text marks; None if it marks none. Empty if the answer was truncated.

    It is the line after the last "Answer:" that begins a line or a sentence, or the last box in it; without such a
    marker the last box; else what follows the last "answer is". So a later remark on the answer does not replace it.
    """
    text = tail(text)
    asked_for = _after_last(_ASKED_FOR, text)
    if asked_for is not None and _BOX.search(asked_for) is None:
        return asked_for
    if _BOX.search(text) is None:
        return _after_last(_MENTIONED, text)
    return last_boxed(text) or asked_for or ""


def after_marker(text: str) -> str | None:
    """Return the line after the last "Answer:" or "#### 5", else after the last "answer is"; None without a marker.

    Empty if nothing follows the marker, since such an answer was truncated.
    """
    text = tail(text)
    asked_for = _after_last(_ASKED_FOR, text)
    return _after_last(_MENTIONED, text) if asked_for is None else asked_for


def _after_last(marker: re.Pattern[str], text: str) -> str | None:
    last = None
    for found in marker.finditer(text):
        last = found
    return None if last is None else _line_after(last, text)


def _line_after(marker: re.Match[str], text: str) -> str:
    """Return the first line that says something, without the emphasis that began with the marker ("**Answer: 5**")."""
    emphasis = _OPEN_EMPHASIS.fullmatch(marker.group())
    mark = emphasis.group(1) if emphasis else "**"
    rest = text[marker.end() :].lstrip()
    closed = rest.startswith(mark) and emphasis is not None
    rest = rest.removeprefix(mark).lstrip() if closed else rest
    opening = _OPENING_LINE.match(rest)
    line = (rest[opening.end() :] if opening else rest).split("\n", 1)[0].strip()
    return line.removesuffix(mark).rstrip() if emphasis and not closed else line


def last_boxed(text: str) -> str | None:
    r"""Return the content of the last `\boxed{...}` whose braces balance; None if there is none."""
    text = tail(text)
    end = len(text)
    for start in reversed([found.end() for found in _BOX.finditer(text)]):
        inner = _balanced(text, start, end)
        if inner is not None:
            return inner
        # Text to the right of an unclosed box cannot close one further left, so it is not scanned again.
        end = start
    return None


def _balanced(text: str, start: int, end: int) -> str | None:
    depth = 1
    for place in range(start, end):
        letter = text[place]
        if letter == "{":
            depth += 1
        elif letter == "}":
            depth -= 1
            if depth == 0:
                return text[start:place]
    return None
