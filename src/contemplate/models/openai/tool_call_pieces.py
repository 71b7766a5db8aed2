"""Tool calls, put together from their pieces.

Servers differ in how they tell which call a piece belongs to. Numbers may be missing or 0 for all, ids missing, empty,
new in every piece or the same for two calls, names cut or repeated, and a call may be sent again when it is complete.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json, to_json

from ...messages import ProviderData, ToolCall
from .completion import mapping, text_in, whole_number
from .opaque_fields import opaque_fields


@dataclass(slots=True)
class _Call:
    id: str
    name: str
    place: int | None
    arguments: list[str] = field(default_factory=list)
    opaque: dict[str, Any] = field(default_factory=dict)

    @property
    def written(self) -> str:
        if len(self.arguments) > 1:
            self.arguments[:] = ["".join(self.arguments)]
        return self.arguments[0] if self.arguments else ""

    @property
    def is_complete(self) -> bool:
        return _is_object(self.written)


class ToolCallPieces:
    """The tool calls of one answer.

    Args:
        tools: the names of the tools that may be called, which tell a whole name from a piece of one.

    Attributes:
        dropped: whether something was dropped because it is no tool call.
    """

    def __init__(self, tools: Collection[str]) -> None:
        self._tools = tools
        self._calls: list[_Call] = []
        self._by_id: dict[str, _Call] = {}
        self._by_place: dict[int, _Call] = {}
        self.dropped = False

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, pieces: object, *, whole: bool = False) -> bool:
        """Add the calls of a message (`whole`), or pieces of them; return whether there was anything.

        Raises:
            BadCompletion: a name or the arguments cannot be read.
        """
        # Some servers send a single call without a list.
        found = pieces if isinstance(pieces, list) else [pieces] if pieces else []
        for piece in found:
            function = mapping(piece).get("function", piece)
            if not isinstance(piece, dict) or not isinstance(function, dict):
                self.dropped = True
                continue
            name = text_in(function.get("name"), "tool_calls.function.name")
            arguments = _arguments(function.get("arguments", function.get("parameters", function.get("input"))))
            given = piece.get("id")
            call_id = given if isinstance(given, str) else "" if given is None else str(given)
            if not (name or arguments or call_id):
                continue
            place = whole_number(piece.get("index"))
            call = None if whole else self._call_of(call_id, place, name, arguments)
            if call is None:
                call = _Call(call_id, name, place, [arguments] if arguments else [])
                self._calls.append(call)
            else:
                _continue(call, call_id, name, arguments)
            if call.id:
                self._by_id[call.id] = call
            if place is not None:
                self._by_place[place] = call
            call.opaque |= opaque_fields(piece) | opaque_fields(function)
        return bool(found)

    def _call_of(self, call_id: str, place: int | None, name: str, arguments: str) -> _Call | None:
        """Return the call that a piece continues; None if it begins another."""
        known = self._by_id.get(call_id) if call_id else None
        at_place = self._calls[-1] if place is None and self._calls else self._by_place.get(place or 0)
        if known is not None:
            # The same id at another place is another call.
            elsewhere = place is not None and known.place not in (None, place)
            return None if elsewhere or _differs(known, name, arguments) else known
        if at_place is None or not name:
            return at_place
        if call_id and (at_place.id or at_place.name):
            return None
        return None if self._is_another(at_place, name) else at_place

    def _is_another(self, call: _Call, name: str) -> bool:
        """Return whether a named piece without an id begins another call, rather than goes on with `call`."""
        if call.written:
            return call.is_complete or name != call.name
        return call.name in self._tools and name in self._tools and name != call.name

    def calls(self, provider: str, prefix: str) -> Iterator[ToolCall]:
        """Yield the calls, each with an id of its own.

        Args:
            provider: whose opaque fields they have.
            prefix: what made ids begin with.
        """
        used: set[str] = set()
        for number, call in enumerate(self._calls):
            unique = call.id or f"{prefix}_{number}"
            while unique in used:
                unique = f"{unique}_{number}"
            used.add(unique)
            data = ProviderData(provider=provider, fields=call.opaque) if call.opaque else None
            yield ToolCall(id=unique, name=call.name, arguments=_without_quotes(call.written), provider_data=data)


def _without_quotes(text: str) -> str:
    """Return arguments that were encoded twice, as a text in JSON, as the object that they are."""
    if not text.lstrip().startswith('"'):
        return text
    try:
        within = from_json(text)
    except ValueError:
        return text
    return within if isinstance(within, str) and _is_object(within) else text


def _arguments(value: object) -> str:
    return to_json(value).decode() if isinstance(value, dict) else text_in(value, "tool_calls.function.arguments")


def _continue(call: _Call, call_id: str, name: str, arguments: str) -> None:
    call.id = call.id or call_id
    if name.startswith(call.name):
        # The whole name, again or at last.
        call.name = name
    elif not call.arguments:
        call.name += name
    if not arguments:
        return
    if arguments.lstrip().startswith("{") and call.arguments:
        written = call.written
        # After "{", only a snapshot of all arguments begins with what was there already.
        if (written.strip() and arguments.startswith(written)) or call.is_complete:
            call.arguments.clear()
    call.arguments.append(arguments)


def _differs(call: _Call, name: str, arguments: str) -> bool:
    """Return whether a piece with the id of `call` is another call, to which a server gave the same id."""
    if not name or not call.is_complete:
        return False
    if name != call.name:
        return True
    return _is_object(arguments) and from_json(arguments) != from_json(call.written)


def _is_object(text: str) -> bool:
    if not text.rstrip().endswith("}"):
        return False
    try:
        return isinstance(from_json(text), dict)
    except ValueError:
        return False
