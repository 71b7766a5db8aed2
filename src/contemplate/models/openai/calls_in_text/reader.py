"""Tool calls that a server left in the text, split off while they arrive.

Servers without a parser for a model's calls pass them on as the model writes them, in one of many forms.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ...base import JsonSchema
from ..completion import BadCompletion
from .forms import BEGINNING, CLOSINGS, MARKS, header_of, may_begin
from .payloads import Found, Payload

_MOST_MENTIONS = 50
# What calls without a mark begin with.
_BARE = re.compile(r"\s*(?=[{\[c])")
# After these, a mark is one that the text is about.
_MENTIONING = re.compile(r"(?:[`'\"\u2018\u2019\u201c\u201d]|[\w,;:] )\Z")


class ToolCallsInText:
    """Splits the text of one answer, in pieces of any size, into text and tool calls.

    They count only where it is certain: they call tools that there are with an object, nothing follows them, and they
    begin a line outside of a block of code, or follow a sentence if their mark is one that no text has. What has no
    mark is a call only if it is all of the answer. All else stays text. Nothing is held back but what may be part of a
    call.

    Args:
        tools: the tools that may be called, and the schemas of their parameters; without any there are no calls.
    """

    def __init__(self, tools: Mapping[str, JsonSchema]) -> None:
        self._tools = tools
        self._written: list[str] = []
        self._blank = True
        self._held: list[str] = []
        # Within what may be calls: those so far, the one that is read, and what was read of the next header.
        self._within = False
        self._calls: list[Found] = []
        self._payload: Payload | None = None
        self._header = ""
        self._mentions = 0
        # Where a mark stood last that the text was only about.
        self._mentioned: int | None = None

    def add(self, text: str) -> str:
        """Return the text of which it is known, after `text`, that it is no call."""
        plain = not (self._held or self._blank or "<" in text or "[" in text)
        if plain or not self._tools or self._mentions > _MOST_MENTIONS:
            return self._write(text)
        if self._within:
            self._held.append(text)
        else:
            self._held, text = [], "".join((*self._held, text))
        said: list[str] = []
        while True:
            if not self._within:
                before, text = self._until_a_beginning(text)
                said.append(self._write(before))
                self._held = [text] if text else []
            if not self._within or self._may_go_on(text):
                return "".join(said)
            # Another one may begin after the first letter of this one.
            text = "".join(self._held)
            said.append(self._write(text[:1]))
            text, self._within = text[1:], False

    def end(self, *, elsewhere: bool = False) -> tuple[str, list[Found]]:
        """Return the rest of the text, and the calls, at the end of the answer.

        Args:
            elsewhere: whether calls stood in their own place, so that those in the text are none.
        """
        are_calls = self._within and self._payload is None and not self._header and not elsewhere
        calls = self._calls if are_calls else []
        held = "".join(self._held)
        self.clear()
        return ("", calls) if calls else (held, [])

    def clear(self) -> None:
        """Forget the text so far, which was none."""
        self._written.clear()
        self._held.clear()
        self._blank, self._within, self._mentioned = True, False, None

    def _write(self, text: str) -> str:
        self._written.append(text)
        self._blank = self._blank and not text.strip()
        return text

    def _until_a_beginning(self, text: str) -> tuple[str, str]:
        """Return the text before what may be a call, or a part of its mark, and the rest."""
        if self._blank and (bare := _BARE.match(text)):
            self._begin()
            return text[: bare.end()], text[bare.end() :]
        for mark in BEGINNING.finditer(text):
            self._mentions += 1
            if self._mentions > _MOST_MENTIONS:
                return text, ""
            if self._may_stand_after("".join((*self._written, text[: mark.start()])), mark[0]):
                self._begin()
                return text[: mark.start()], text[mark.start() :]
        place = max(text.rfind("<"), text.rfind("["))
        if place < 0 or not any(mark.startswith(text[place:]) for mark in MARKS):
            place = len(text)
        return text[:place], text[place:]

    def _may_stand_after(self, before: str, mark: str) -> bool:
        if before.count("```") % 2 == 1:
            return False
        if self._mentioned is not None and "\n\n" not in before[self._mentioned :]:
            # What follows may belong to what was mentioned.
            return False
        alone = not before.rpartition("\n")[2].strip()
        if alone or (MARKS[mark] == "anywhere" and _MENTIONING.search(before) is None):
            return True
        self._mentioned = len(before)
        return False

    def _begin(self) -> None:
        self._within, self._calls, self._payload, self._header = True, [], None, ""

    def _may_go_on(self, text: str) -> bool:
        """Return whether what is held, which goes on with `text`, may still be calls up to the end of the answer."""
        self._header += text
        while True:
            if self._payload is not None:
                following = self._payload.add(self._header)
                if following is None:
                    self._header = ""
                    return True
                if not self._is_called(self._payload):
                    return False
                self._payload, self._header = None, following
            if self._calls:
                self._header = CLOSINGS.sub("", self._header, count=1)
            found = header_of(self._header, self._tools)
            if found is None:
                return may_begin(self._header, again=bool(self._calls))
            self._payload, self._header = found

    def _is_called(self, payload: Payload) -> bool:
        """Return whether `payload` is calls of tools that there are, and keep them."""
        try:
            calls = payload.calls(self._tools)
        except BadCompletion:
            return False
        named = [(_known(name, self._tools), arguments) for name, arguments in calls]
        self._calls += named
        return bool(named) and all(name in self._tools for name, _ in named)


def _known(name: str, tools: Mapping[str, JsonSchema]) -> str:
    """Return `name` as the tool has it: gpt-oss and Kimi call all tools by way of "functions"."""
    return name if name in tools else name.removeprefix("functions.")
