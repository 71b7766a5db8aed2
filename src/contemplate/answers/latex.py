"""Remove LaTeX and markdown formatting that does not change the value of an answer."""

from __future__ import annotations

import re

from .equivalent_symbols import LOOK_ALIKES
from .text import ungrouped

_DROPPED = re.compile(
    r"\\(?:left|right|[bB]igg?[lr]?|displaystyle|limits)(?![A-Za-z])"
    r"|\\[!,;:$%()\[\]]"
    r"|\^\s*(?:\\circ|\{\s*\\circ\s*\})"
)
_SPACE = re.compile(r"\\(?:q?quad(?![A-Za-z])|\s)")
_FRACTION = re.compile(r"\\[dtc]frac(?![A-Za-z])")
_STYLED = re.compile(r"\\(?:textbf|textit|textrm|mathbf|mathit|boldsymbol|bm)\s*\{([^{}]*)\}")
_WORDS = re.compile(r"\\(?:text|mathrm|mbox|operatorname)\s*\{([^{}]*)\}")
_UNIT = re.compile(r"\s*/?\s*\\(?:text|mathrm|mbox|operatorname)\s*\{([^{}]*)\}(?:\s*\^\s*(?:\{-?\d+\}|\d))?$")
_MEASURED = frozenset("0123456789)}]!")


def plain(text: str) -> str:
    r"""Return `text` without formatting: sizes, spaces, currency and per cent signs, units, thousands separators.

    `\dfrac` and `\tfrac` become `\frac`.
    """
    text = text.strip().strip("*").replace("{,}", ",")
    text = _DROPPED.sub("", text)
    text = " ".join(_SPACE.sub(" ", text).translate(LOOK_ALIKES).split())
    text = _STYLED.sub(r"\1", _FRACTION.sub(r"\\frac", text)).lstrip(" *").rstrip(" .,;*")
    text = _WORDS.sub(r" \1 ", _without_units(text)).strip()
    # The comma of "(100,200)" separates a pair.
    return text if text.startswith(("(", "[", "\\{")) else ungrouped(text)


def _without_units(text: str) -> str:
    while (unit := _UNIT.search(text)) is not None:
        measured = text[: unit.start()].rstrip()
        if measured[-1:] not in _MEASURED or not any(map(str.isdigit, measured)) or unit.group(1) == "i":
            break
        text = measured
    return text
