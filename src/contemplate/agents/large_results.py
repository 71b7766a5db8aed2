"""Large results of tools: the model sees beginning, end and size, and reads the rest in parts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property

from ..errors import ToolError
from ..models.tokens import text_bytes
from ..prompts import Prompts
from ..prompts.abridged_text import without_middle
from ..tools.tool import Tool, as_tool

MAX_FOUND = 5
EXCERPT_CHARACTERS = 300


class KeptAside:
    """The large results of one task's tools, numbered from 1. The model reads the tools' docstrings.

    They are not lost with a process: the journal has each tool's result in full, and a resumed task keeps them again.

    Args:
        most: maximum bytes of a result that is shown in full, alone or with another one in its turn.
        prompts: how the model is told.
    """

    def __init__(self, most: float, prompts: Prompts) -> None:
        self.most = most
        self._prompts = prompts
        self._texts: list[str] = []

    @property
    def tools(self) -> Mapping[str, Tool]:
        """The tools that read what is kept, by name; none before something is."""
        return self._reading if self._texts else {}

    @cached_property
    def _reading(self) -> Mapping[str, Tool]:
        # Few tasks ever need them, and a tool takes as long to make as the rest of a task.
        return {each.name: each for each in (as_tool(self.read_result), as_tool(self.search_result))}

    def shown(self, text: str, among: int = 1) -> str:
        """Return what the model is shown of a result, one `among` so many; it is kept if that is not all of it."""
        most = self.most * min(1.0, 2 / among)
        if text_bytes(text) <= most:
            return text
        self._texts.append(text)
        seen = without_middle(text, int(most), self._prompts)
        return self._prompts.render("kept_aside", size=f"{len(text):,}", number=str(len(self._texts)), text=seen)

    async def read_result(self, result: int, start: int = 1) -> str:
        """Read a part of a result that was too long to show.

        Args:
            result: Its number.
            start: The first character, from 1.
        """
        text = self._text(result)
        if not 1 <= start <= len(text):
            raise ToolError(f"result {result} has the characters 1 to {len(text)}")
        part = text[start - 1 :].encode(errors="replace")[: int(self.most)].decode(errors="ignore")
        end = start - 1 + len(part)
        return part if end >= len(text) else f"{part}\n[{len(text) - end} characters more, from {end + 1}]"

    async def search_result(self, result: int, words: str) -> str:
        """Find where words stand in a result that was too long to show.

        Args:
            result: Its number.
            words: The words, all in one place as they are written.
        """
        text = self._text(result)
        if not words.strip():
            raise ToolError("there is no word to search for")
        places = [found.start() for found in re.finditer(re.escape(words.strip()), text, re.IGNORECASE)]
        if not places:
            raise ToolError(f"result {result} does not contain {words!r:.100}")
        starts = [max(0, place - EXCERPT_CHARACTERS // 2) for place in places[:MAX_FOUND]]
        excerpts = [f"[from character {start + 1}]\n{text[start : start + EXCERPT_CHARACTERS]}" for start in starts]
        more = len(places) - len(starts)
        return "\n\n".join([*excerpts, f"[{more} places more]"] if more else excerpts)

    def _text(self, result: int) -> str:
        if not 1 <= result <= len(self._texts):
            raise ToolError(f"there is no result {result}; there are 1 to {len(self._texts)}")
        return self._texts[result - 1]
