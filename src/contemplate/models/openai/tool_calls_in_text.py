"""Tool calls that a server left in the text, split off while they arrive.

Servers without a parser for a model's calls pass them on as the model writes them: Hermes and Qwen as JSON in tags,
gpt-oss in a channel of its own. https://github.com/NousResearch/Hermes-Function-Calling,
https://cookbook.openai.com/articles/openai-harmony
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from .completion import BadCompletion, parsed

_CLOSING = re.compile(r"</tool_call>|<\|call\|>")
_BEGINNINGS = ("<tool_call>", "<|channel|>commentary to=", "<|start|>assistant")
_BEGINNING = re.compile("|".join(map(re.escape, _BEGINNINGS)))
_TAG = re.compile(r"\s*<tool_call>\s*(?=\{)")
_TAG_END = re.compile(r"\s*(?:</tool_call>\s*|\Z)")
_CHANNEL = re.compile(
    r"\s*(?:<\|start\|>assistant)?(?: to=functions\.(?P<first>[\w.-]+))?<\|channel\|>commentary"
    r"(?: to=functions\.(?P<name>[\w.-]+))?\s*(?:<\|constrain\|>)?(?:json)?\s*<\|message\|>\s*(?=\{)"
)
_CHANNEL_END = re.compile(r"\s*(?:<\|call\|>\s*|\Z)")
_DECODER = json.JSONDecoder(strict=False)

_LONGEST_HEADER = 200
_MOST_MENTIONS = 50
_LONGEST_CLOSING = len("</tool_call>")

# A name, and the arguments as an object.
Found = tuple[str, dict[str, Any]]


class ToolCallsInText:
    """Splits the text of one answer, in pieces of any size, into text and tool calls.

    They count only where it is certain: they begin a line outside of a block of code, call tools that there are with an
    object, and nothing follows them. All else stays text. Nothing is held back but what may be part of a call.

    Args:
        tools: the names of the tools that may be called; without any there are no calls.
    """

    def __init__(self, tools: Collection[str]) -> None:
        self._tools = tools
        self._written: list[str] = []
        self._held: list[str] = []
        # Within what may be calls: what was read since the last mark, and whether that is a call's JSON.
        self._within = self._in_json = False
        self._read = ""
        self._mentions = 0

    def add(self, text: str) -> str:
        """Return the text of which it is known, after `text`, that it is no call."""
        if not self._tools or self._mentions > _MOST_MENTIONS or not (self._held or "<" in text):
            self._written.append(text)
            return text
        if self._within:
            self._held.append(text)
        else:
            self._held, text = [], "".join((*self._held, text))
        said: list[str] = []
        while True:
            if not self._within:
                before, text = self._until_a_beginning(text)
                said.append(before)
                self._written.append(before)
                self._held = [text] if text else []
            if not self._within or self._may_go_on(text):
                return "".join(said)
            # Another one may begin after the first mark of this one.
            text = "".join(self._held)
            said.append(text[:1])
            self._written.append(text[:1])
            text, self._within = text[1:], False

    def end(self, *, elsewhere: bool = False) -> tuple[str, list[Found]]:
        """Return the rest of the text, and the calls, at the end of the answer.

        Args:
            elsewhere: whether calls stood in their own place, so that those in the text are none.
        """
        held = "".join(self._held)
        calls = _calls_in(held, self._tools) if self._within and not elsewhere else None
        self.clear()
        return ("", calls) if calls else (held, [])

    def clear(self) -> None:
        """Forget the text so far, which was none."""
        self._written.clear()
        self._held.clear()
        self._within = self._in_json = False
        self._read = ""

    def _until_a_beginning(self, text: str) -> tuple[str, str]:
        """Return the text before what may be a call, or a part of its mark, and the rest."""
        for beginning in _BEGINNING.finditer(text):
            self._mentions += 1
            if self._mentions > _MOST_MENTIONS:
                return text, ""
            before = "".join((*self._written, text[: beginning.start()]))
            if not before.rpartition("\n")[2].strip() and before.count("```") % 2 == 0:
                self._within, self._in_json, self._read = True, False, ""
                return text[: beginning.start()], text[beginning.start() :]
        place = text.rfind("<")
        if place < 0 or not any(each.startswith(text[place:]) for each in _BEGINNINGS):
            place = len(text)
        return text[:place], text[place:]

    def _may_go_on(self, text: str) -> bool:
        """Return whether what is held, which goes on with `text`, may still be calls up to the end of the answer."""
        self._read += text
        while True:
            if self._in_json:
                closing = _CLOSING.search(self._read)
                if closing is None:
                    self._read = self._read[-_LONGEST_CLOSING:]
                    return True
                self._in_json, self._read = False, self._read[closing.end() :]
            beginning = _TAG.match(self._read) or _CHANNEL.match(self._read)
            if beginning is None:
                return _may_begin(self._read.lstrip())
            if len(beginning[0].lstrip()) > _LONGEST_HEADER:
                return False
            self._in_json, self._read = True, self._read[beginning.end() :]


def _may_begin(text: str) -> bool:
    """Return whether `text` may be the beginning of a call, before its JSON."""
    if len(text) > _LONGEST_HEADER:
        return False
    if text.startswith("<tool_call>"):
        return not text.removeprefix("<tool_call>").strip()
    return any(text.startswith(each) or each.startswith(text) for each in _BEGINNINGS)


def _calls_in(text: str, tools: Collection[str]) -> list[Found] | None:
    """Return the calls that `text` consists of; None if it has anything else."""
    calls: list[Found] = []
    place = 0
    while place < len(text):
        tag, channel = _TAG.match(text, place), _CHANNEL.match(text, place)
        beginning = tag or channel
        if beginning is None:
            return None
        try:
            _, place = _DECODER.raw_decode(text, beginning.end())
            value = parsed(text[beginning.end() : place].encode(errors="replace"))
            call = _tagged(value) if channel is None else (channel["name"] or channel["first"], value)
        except (ValueError, RecursionError):
            return None
        end = (_TAG_END if channel is None else _CHANNEL_END).match(text, place)
        if end is None or call[0] not in tools:
            return None
        calls.append(call)
        place = end.end()
    return calls


def _tagged(value: dict[str, Any]) -> Found:
    """Return the call that `value` says.

    Raises:
        BadCompletion: it says none.
    """
    arguments = value.get("arguments", value.get("parameters", {}))
    if isinstance(arguments, str):
        arguments = parsed(arguments.encode(errors="replace"))
    if not isinstance(value.get("name"), str) or not isinstance(arguments, dict):
        raise BadCompletion("no call of a tool")
    return value["name"], arguments
