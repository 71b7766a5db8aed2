"""Calls that a model wrote as Python does, `[get_weather(city="Paris"), now()]`, read without running anything.

Llama 4 and 3.2, https://github.com/meta-llama/llama-models/blob/main/models/llama4/prompt_format.md; LFM2,
https://huggingface.co/LiquidAI/LFM2-1.2B.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ...base import JsonSchema
from ..completion import BadCompletion, parsed
from .brackets import Bracketed

# Words are looked at once, from their beginning: they may be long.
_TOKEN = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<end>\))|(?<![\w.-])(?:"""
    r"""(?P<called>[\w.-]+)\(|(?P<key>[A-Za-z_]\w*)\s*=(?!=)|(?P<word>True|False|None)\b)""",
    re.DOTALL,
)
_WORDS = {"True": "true", "False": "false", "None": "null"}
_ODD_IN_JSON = re.compile(r"""\\.|["\x00-\x1f]""", re.DOTALL)


class PythonicPayload:
    """A list of calls with named arguments. The name in a header is one of those within it."""

    def __init__(self, _: str | None) -> None:
        self._list = Bracketed("[({", "])}", "\"'")

    def add(self, text: str) -> str | None:
        """Add text; return what follows the end, and None before it."""
        return self._list.add(text)

    def calls(self, tools: Mapping[str, JsonSchema]) -> list[tuple[str, dict[str, object]]]:
        """Return the calls, at the end: they are written as JSON, and read as such.

        Raises:
            BadCompletion: it says none.
        """
        written = self._list.text
        found = parsed(_TOKEN.sub(_as_json, written).encode(errors="replace"))
        # None is within another.
        called = [token["called"] for token in _TOKEN.finditer(written) if token["called"]]
        if [each.get("name") for each in found if isinstance(each, dict)] != called or len(found) != len(called):
            raise BadCompletion("no call of a tool")
        return [(each["name"], each["arguments"]) for each in found]


def _as_json(token: re.Match[str]) -> str:
    if (text := token["text"]) is not None:
        return f'"{_ODD_IN_JSON.sub(_escaped, text[1:-1])}"'
    if (name := token["called"]) is not None:
        return f'{{"name":"{name}","arguments":{{'
    if token["end"] is not None:
        return "}}"
    return f'"{token["key"]}":' if token["key"] is not None else _WORDS[token["word"]]


def _escaped(odd: re.Match[str]) -> str:
    if odd[0] == "\\'":
        return "'"
    return odd[0] if len(odd[0]) > 1 else f"\\u{ord(odd[0]):04x}"
