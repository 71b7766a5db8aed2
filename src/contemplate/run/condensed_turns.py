"""A long conversation with tools within a context: its oldest turns become a short account of them.

A turn is a message of the model that calls tools, with what came back. Turns are folded whole, so that no result is
without its call; the last one never is. What comes before them stays byte for byte, and the account that follows stays
for some turns: so prefix caches read it once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import NamedTuple

from ..messages import Message, Part, TextPart
from ..models import ModelRequest
from ..models.tokens import BYTES_PER_TOKEN, frame_size, message_size, request_tokens, text_bytes
from ..prompts import Prompts, fence_mark, fenced
from ..prompts.abridged_text import briefly

# Of what the turns may take: the account of the folded ones, and what is left of all after folding.
ACCOUNT, LEFT = 1 / 4, 1 / 2
# Bytes that the account has beside the last turn, if there is room; and those of each text in it, the most first.
LEAST_ACCOUNT = 800
EXCERPTS = (240, 160, 100, 60, 30)

Turns = Sequence[range]


class _Fold(NamedTuple):
    """How many turns are folded, and how many bytes the account of them may have."""

    turns: int = 0
    account: int = 0


def condensed(request: ModelRequest, room: float) -> tuple[ModelRequest, int]:
    """Return `request` with its oldest turns condensed so that it has `room` tokens, and how many turns these are.

    It depends on nothing but `request` and `room`: the conversation is followed from its first turn, and whenever it
    has become too long, as many turns are folded as it takes to leave half of the room for turns free. So the next
    request of a conversation begins like the one before, but for the few in which turns are folded.
    """
    turns = list(_turns(request))
    fold = _fold(request, turns, room * BYTES_PER_TOKEN)
    if not fold.turns:
        return request, 0
    briefer = replace(request, messages=_folded(request, turns, fold))
    # An account of what was short already can be longer.
    return (briefer, fold.turns) if request_tokens(briefer) < request_tokens(request) else (request, 0)


def _turns(request: ModelRequest) -> Iterator[range]:
    """Yield the places of each turn's messages; those of a user that come after results are among them."""
    messages = request.messages
    # Of the conversation before what is asked there is no account.
    begin = request.earlier + (1 if messages and messages[0].role == "system" else 0)
    said = [place for place, each in enumerate(messages) if each.role == "assistant" and place >= begin]
    for start, end in zip(said, [*said[1:], len(messages)], strict=False):
        if messages[start].tool_calls:
            yield range(start, end)


def _fold(request: ModelRequest, turns: Turns, most: float) -> _Fold:
    """Return what is folded in the end of a conversation that is never longer than `most` bytes."""
    messages = request.messages
    sizes = [0 if message.role == "user" else message_size(message) for message in messages]
    # What users say stays, wherever it stands.
    work = [sum(sizes[place] for place in turn) for turn in turns]
    total = [0, *accumulate(work)]
    until = [0, *accumulate(map(message_size, messages))]
    frame, fold = frame_size(request), _Fold()
    for number, turn in enumerate(turns):
        end = turn.stop if number < len(turns) - 1 else len(messages)
        free = most - frame - (until[end] - total[number + 1])
        if total[number + 1] - total[fold.turns] + fold.account <= free:
            continue
        account = int(min(max(free * ACCOUNT, LEAST_ACCOUNT), max(free - work[number], 0)))
        enough = (
            count for count in range(fold.turns, number) if total[number + 1] - total[count] + account <= free * LEFT
        )
        fold = _Fold(next(enough, number), account)
    return fold


def _folded(request: ModelRequest, turns: Turns, fold: _Fold) -> tuple[Message, ...]:
    """Return the messages with the first turns as an account, in the message before the last of them."""
    messages, old = request.messages, turns[: fold.turns]
    gone = {place for turn in old for place in turn}
    kept = [place for place in range(len(messages)) if place not in gone]
    before = [messages[place] for place in kept if place < old[-1].start]
    after = [messages[place] for place in kept if place > old[-1].start]
    said = [part for turn in old for place in turn if messages[place].role == "user" for part in messages[place].parts]
    added: list[Part] = [*said, TextPart(text=_account(request, old, fold.account))]
    if before and before[-1].role == "user":
        before[-1] = _with_more(before[-1], added)
    else:
        before.append(_with_more(Message(role="user", parts=tuple(added[:1])), added[1:]))
    return (*before, *after)


def _with_more(message: Message, more: Sequence[Part]) -> Message:
    apart = [TextPart(text=f"\n\n{part.text}") if isinstance(part, TextPart) else part for part in more]
    return message.model_copy(update={"parts": (*message.parts, *apart)})


def _account(request: ModelRequest, turns: Turns, most: int) -> str:
    """Return the account of `turns` in `most` bytes: with long texts if there are few, and only the last if many."""
    messages, prompts = request.messages, request.prompts
    room = most - message_size(
        Message.user(_framed([prompts.render("condensed_left_out", number=str(len(turns)))], prompts))
    )
    for length in EXCERPTS:
        steps: list[str] = []
        left = room
        for number in range(len(turns), 0, -1):
            step = "\n".join(_step(number, [messages[place] for place in turns[number - 1]], length))
            left -= text_bytes(step) + 1
            if left < 0:
                break
            steps.append(step)
        else:
            return _framed(steps[::-1], prompts)
    left_out = prompts.render("condensed_left_out", number=str(len(turns) - len(steps)))
    return _framed([left_out, *steps[::-1]], prompts)


def _framed(steps: Sequence[str], prompts: Prompts) -> str:
    texts = [("earlier steps", "\n".join(steps))]
    mark = fence_mark(texts)
    return prompts.render("condensed", mark=mark, steps=fenced(texts, mark))


def _step(number: int, turn: Sequence[Message], length: int) -> Iterator[str]:
    """Yield the lines that tell of a turn: what the model wrote, then each call and what it returned."""
    said, results = turn[0], {message.tool_call_id: message.text for message in turn[1:] if message.role == "tool"}
    yield f"[{number}] {briefly(said.text, length)}".rstrip()
    for call in said.tool_calls:
        yield f"{call.name}({briefly(call.arguments, length)}): {briefly(results.get(call.id, ''), length)}"
