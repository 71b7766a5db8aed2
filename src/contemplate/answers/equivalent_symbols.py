r"""One notation for the ways in which the same characters are written: Unicode's variants, LaTeX and markdown.

Only formatting is removed, and only as a pair around an answer. No symbol is: what a symbol means is not known here.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

_SAME: Final = {
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2212\ufe63", "-"),
    **dict.fromkeys("\u2018\u2019\u02bc", "'"),
    **dict.fromkeys("\u201c\u201d", '"'),
    **dict.fromkeys("\u2044\u2215", "/"),
    **dict.fromkeys("\u2264\u2266\u2a7d", "\u2264"),
    **dict.fromkeys("\u2265\u2267\u2a7e", "\u2265"),
    # Invisible characters that join nothing, and the choice between two drawings of one character.
    **dict.fromkeys("\u00ad\u200b\u200e\u200f\u2060\ufe0e\ufe0f\ufeff", ""),
    "\u22c5": "\u00b7",
    "\u2217": "*",
    "\u2236": ":",
    "\u3002": ".",
    "\u00b5": "\u03bc",
    "\u066b": ".",
    "\u066c": ",",
}
_SYMBOLS: Final = {
    "infty": "\u221e",
    **dict.fromkeys(("ge", "geq", "geqslant"), "\u2265"),
    **dict.fromkeys(("le", "leq", "leqslant"), "\u2264"),
    **dict.fromkeys(("ne", "neq"), "\u2260"),
    **dict.fromkeys(("to", "rightarrow"), "\u2192"),
    **dict.fromkeys(("emptyset", "varnothing"), "\u2205"),
    **dict.fromkeys(("neg", "lnot"), "\u00ac"),
    "lt": "<",
    "gt": ">",
    "pm": "\u00b1",
    "mp": "\u2213",
    "times": "\u00d7",
    "div": "\u00f7",
    "cdot": "\u00b7",
    "cup": "\u222a",
    "cap": "\u2229",
    "in": "\u2208",
    "notin": "\u2209",
    "subset": "\u2282",
    "subseteq": "\u2286",
    "setminus": "\u2216",
    "approx": "\u2248",
    "land": "\u2227",
    "lor": "\u2228",
    "degree": "\u00b0",
    **{
        name: unicodedata.lookup(f"GREEK {'CAPITAL' if name[0].isupper() else 'SMALL'} LETTER {name.upper()}")
        for name in (
            *("alpha", "beta", "gamma", "delta", "zeta", "eta", "theta", "iota", "kappa", "mu", "nu", "xi", "pi"),
            *("rho", "sigma", "tau", "upsilon", "chi", "psi", "omega"),
            *("Gamma", "Delta", "Theta", "Xi", "Pi", "Sigma", "Psi", "Omega"),
        )
    },
}
_COMMAND = re.compile(r"\\([A-Za-z]+)(?![A-Za-z])\s*")
_DEGREES = re.compile(r"\^\s*(?:\\circ(?![A-Za-z])|\{\s*\\circ\s*\})")
_SIZE = re.compile(r"\\(?:left|right|[bB]igg?[lr]?|displaystyle|limits)(?![A-Za-z])\s*")
_NO_SPACE = re.compile(r"(?<!\\)\\!")
_SPACE = re.compile(r"(?<!\\)\\(?:q?quad(?![A-Za-z])|[,;:\s])")
_STYLE = re.compile(r"\\(?:text(?:bf|it|rm)?|math(?:rm|bf|it)|mbox|operatorname|boldsymbol|bm)\s*\{([^{}]*)\}")
_BLACKBOARD = re.compile(r"\\mathbb\s*\{?\s*([CNQRZ])\s*\}?")
_LATEX_GROUP = re.compile(r"(?<=\d)\{,\}(?=\d)")
_ESCAPED = re.compile(r"(?<!\\)\\([$%#&])")
_FRACTION = re.compile(r"\\[dtc]frac(?![A-Za-z])")
_ONE_RAISED = re.compile(r"\^\s*\{\s*(-?\w+)\s*\}(?!\s*\w)")
_ONE_LOWERED = re.compile(r"_\s*\{\s*(\d+)\s*\}(?!\d)")
_CHEMICAL = re.compile(r"(?<!\w)(?:[A-Z][a-z]?(?:_?\d+)?)+(?!\w)")
# As keys of mathematics take them, with what only formats an answer left out.
LOOK_ALIKES: Final = str.maketrans(
    {
        "\u2212": "-",
        "\ufe63": "-",
        "\u2044": "/",
        "\u00f7": "/",
        "\u00d7": "*",
        "\u00b7": "*",
        "\u22c5": "*",
        "\u00a0": " ",
        "\u202f": " ",
        "\u2009": " ",
        "~": " ",
        "\u00b0": "",
        "$": "",
        "%": "",
        "`": "",
        "\u03c0": "\\pi ",
        "\u00b2": "^{2}",
        "\u00b3": "^{3}",
    }
)

_VULGAR = re.compile(r"(\d?)([\u00bc-\u00be\u2150-\u215e])")
_RAISED = re.compile(r"[\u00b2\u00b3\u00b9\u2070\u2074-\u207b\u207f]+")
_LOWERED = re.compile(r"[\u2080-\u208b]+")
_HEADING = re.compile(r"^#{1,6} +(?=[^\W\d_]{2})", re.MULTILINE)
_WRAPPED = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"\$\$([^$]+)\$\$",
        r"\$([^$]+)\$",
        r"\\\(((?:(?!\\\)).)+)\\\)",
        r"\\\[((?:(?!\\\]).)+)\\\]",
        r"\*\*((?:(?!\*\*).)+)\*\*",
        r"`([^`]+)`",
    )
)


def unwrapped(text: str) -> str:
    r"""Return `text` without headings, the full stop, and what formats all of it: `$...$`, `\(...\)`, `**...**`."""
    text, before = _HEADING.sub("", text), None
    while text != before:
        before, text = text, text.strip()
        if text.endswith(".") and not text.endswith(".."):
            text = text[:-1].rstrip()
        for wrapped in _WRAPPED:
            inner = wrapped.fullmatch(text)
            text = inner.group(1).strip() if inner else text
    return text


def unified(text: str) -> str:
    r"""Return `text` with one notation per symbol: `\geq` is "≥", "½" is "1/2", "x²" is "x^2".

    LaTeX that has no symbol of its own, such as `\frac{1}{2}` and `\{`, is kept.
    """
    if not text.isascii():
        text = _VULGAR.sub(_spelled_fraction, text)
        text = _RAISED.sub(lambda found: f"^{{{_plain_digits(found.group())}}}", text)
        text = _LOWERED.sub(lambda found: f"_{{{_plain_digits(found.group())}}}", text)
        text = unicodedata.normalize("NFC", "".join(map(_same, text)))
    if "\\" in text:
        text = _DEGREES.sub("\u00b0", text)
        text = _FRACTION.sub(r"\\frac", _SPACE.sub(" ", _NO_SPACE.sub("", _SIZE.sub("", text))))
        text = _STYLE.sub(r"\1", _BLACKBOARD.sub(_blackboard, text))
        text = _COMMAND.sub(lambda found: _SYMBOLS.get(found.group(1), found.group()), text)
        text = _ESCAPED.sub(r"\1", text)
    text = _LATEX_GROUP.sub(",", text).replace(">=", "\u2265").replace("<=", "\u2264")
    text = _ONE_LOWERED.sub(r"_\1", _ONE_RAISED.sub(r"^\1", text))
    text = _CHEMICAL.sub(lambda found: found.group().replace("_", ""), text)
    return " ".join(text.split())


@lru_cache(maxsize=4096)
def _same(letter: str) -> str:
    if letter.isascii():
        return letter
    known = _SAME.get(letter)
    if known is not None:
        return known
    number = unicodedata.decimal(letter, None)
    if number is not None:
        return str(number)
    if unicodedata.category(letter) == "Zs":
        return " "
    wide = unicodedata.decomposition(letter).startswith(("<wide>", "<narrow>"))
    return unicodedata.normalize("NFKC", letter) if wide else letter


def _spelled_fraction(found: re.Match[str]) -> str:
    whole, fraction = found.groups()
    spelled = unicodedata.normalize("NFKC", fraction).replace("\u2044", "/")
    return f"{whole} {spelled}" if whole else spelled


def _plain_digits(raised: str) -> str:
    return unicodedata.normalize("NFKC", raised).replace("\u2212", "-")


def _blackboard(found: re.Match[str]) -> str:
    return {"C": "\u2102", "N": "\u2115", "Q": "\u211a", "R": "\u211d", "Z": "\u2124"}[found.group(1)]
