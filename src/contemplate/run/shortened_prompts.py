"""A shorter prompt: of what others wrote, beginning and end are kept. What is asked stays as it is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from ..messages import Message, TextPart
from ..models import Condensed, ModelRequest
from ..models.tokens import BYTES_PER_TOKEN, request_tokens, text_bytes
from ..prompts import Prompts
from ..prompts.abridged_text import fenced_places, without_middle
from .condensed_turns import condensed

# Bytes that are kept of a text that others need, and of an old result of a tool; then, only what says how long it was.
LEAST_BYTES = 480
BRIEF_BYTES = 240


class Shortened(NamedTuple):
    """A request in which texts may be shortened.

    Args:
        request: the request as it is sent.
        texts: how many texts in it are shortened.
        unread: whether the model was not shown one of them in full in an earlier turn either.
        condensed: what was condensed of its old turns, if anything.
    """

    request: ModelRequest
    texts: int = 0
    unread: bool = False
    condensed: Condensed | None = None

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left out."""
        return not self.texts and self.condensed is None

    def within(self, request: ModelRequest) -> Shortened:
        """Return the same messages in `request`, which has others only where these are shortened."""
        if self.is_whole:
            return Shortened(request)
        return self._replace(request=replace(request, messages=self.request.messages))


@dataclass(slots=True)
class _Piece:
    """A text that may be shortened: where it stands, and what is to be left of it."""

    message: int
    part: int
    start: int
    end: int
    text: str
    old: bool
    left: str

    @property
    def size(self) -> int:
        return text_bytes(self.left)


def shortened(request: ModelRequest, room: float) -> Shortened:
    """Return `request` with texts shortened so that it has `room` tokens by the estimate, or as close as possible.

    The oldest turns with tools are condensed first. If that is not enough, the conversation before what is asked, and
    results of tools that the model has answered to, are shortened, the oldest first; then the longest of what stands
    between fences and of the last turn's results. Instructions, questions, tasks, and what the model wrote last stay as
    they are, and each tool call keeps its result.
    """
    before = request_tokens(request) if room < math.inf else 0
    if before <= room:
        return Shortened(request)
    briefer, turns = condensed(request, room)
    sent = _cut_texts(briefer, room)
    if not turns:
        return sent
    after = request_tokens(sent.request)
    return sent._replace(condensed=Condensed(turns=turns, tokens_before=before, tokens_after=after))


def _cut_texts(request: ModelRequest, room: float) -> Shortened:
    excess = request_tokens(request) - room
    if excess <= 0:
        return Shortened(request)
    pieces = list(_pieces(request.messages, request.earlier))
    over = int(excess * BYTES_PER_TOKEN) + 1
    old = [piece for piece in pieces if piece.old]
    for length in (BRIEF_BYTES, 0):
        for piece in old:
            over -= _cut(piece, length, request.prompts) if over > 0 else 0
    if over > 0:
        _level([piece for piece in pieces if not piece.old], over, request.prompts)
    cut = [piece for piece in pieces if piece.left is not piece.text]
    if not cut:
        return Shortened(request)
    messages = _put_back(request.messages, cut)
    return Shortened(replace(request, messages=messages), len(cut), any(not piece.old for piece in cut))


def _pieces(messages: Sequence[Message], earlier: int) -> Iterator[_Piece]:
    last_turn = max((place for place, each in enumerate(messages) if each.role == "assistant"), default=-1)
    begin = 1 if messages and messages[0].role == "system" else 0
    for place, message in enumerate(messages):
        if begin <= place < begin + earlier:
            for number, part in enumerate(message.parts):
                if isinstance(part, TextPart):
                    yield _Piece(place, number, 0, len(part.text), part.text, True, part.text)
            continue
        if message.role not in ("user", "tool"):
            continue
        for number, part in enumerate(message.parts):
            if not isinstance(part, TextPart):
                continue
            places = fenced_places(part.text)
            if message.role == "tool" and not places:
                places = [(0, len(part.text))]
            for start, end in places:
                text = part.text[start:end]
                yield _Piece(place, number, start, end, text, message.role == "tool" and place < last_turn, text)


def _cut(piece: _Piece, length: int, prompts: Prompts) -> int:
    """Shorten a piece, and return by how many bytes."""
    before = piece.size
    left = without_middle(piece.text, length, prompts)
    if text_bytes(left) >= before:
        return 0
    piece.left = left
    return before - piece.size


def _level(pieces: Sequence[_Piece], over: int, prompts: Prompts) -> None:
    """Shorten the longest pieces to one length, so that all together have `over` bytes less."""
    by_size = sorted(pieces, key=lambda piece: piece.size)
    left = sum(piece.size for piece in by_size) - over
    for count, piece in zip(range(len(by_size), 0, -1), by_size, strict=True):
        share = left // count
        if piece.size > share:
            _cut(piece, max(share, LEAST_BYTES), prompts)
        left -= piece.size


def _put_back(messages: Sequence[Message], pieces: Sequence[_Piece]) -> tuple[Message, ...]:
    changed = list(messages)
    # From the end, so that the places of those before still hold.
    for piece in reversed(pieces):
        message = changed[piece.message]
        parts = list(message.parts)
        part = parts[piece.part]
        assert isinstance(part, TextPart)  # noqa: S101
        parts[piece.part] = TextPart(text=part.text[: piece.start] + piece.left + part.text[piece.end :])
        changed[piece.message] = message.model_copy(update={"parts": tuple(parts)})
    return tuple(changed)
