"""Texts that are too long to be read at once, summed up in levels until they are not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from ..errors import AggregationError
from ..models.tokens import BYTES_PER_TOKEN, text_tokens
from .parallel import together

FENCE_TOKENS = 32
MIN_SUMMARY_TOKENS = 128
MIN_ROOM_TOKENS = 4 * MIN_SUMMARY_TOKENS


@dataclass(frozen=True, slots=True)
class Material:
    """A text for a prompt, and the tasks on whose results it rests."""

    label: str
    text: str
    tasks: tuple[str, ...]

    @property
    def tokens(self) -> int:
        """How long it is, roughly and rather too long than too short, its fences included."""
        return text_tokens(self.text) + FENCE_TOKENS


# Sums up some texts in so many tokens. None if the call failed.
Summarise = Callable[[Sequence[Material], int], Awaitable[str | None]]


async def condensed(texts: Sequence[Material], room: int, summarise: Summarise) -> list[Material]:
    """`texts`, if they fit into `room`; else summaries of as many at once as fit, and of these again if need be.

    The calls of a level are made at the same time. Each may write so much that one level is enough, where that is
    enough to say anything. A group whose call failed is left out.

    Args:
        texts: what is to be read, in order.
        room: tokens, at least `MIN_ROOM_TOKENS`.
        summarise: makes one summary.

    Raises:
        AggregationError: the summaries are no shorter than the texts, or every call of a level failed.
    """
    level = list(texts)
    while (size := _size(level)) > room:
        groups = list(_packed(_cut(level, room), room))
        wanted = max(room // len(groups) - FENCE_TOKENS, MIN_SUMMARY_TOKENS)
        said = await together([partial(summarise, group, wanted) for group in groups])
        # What was lost in part was lost: nobody may say that the answer rests on it.
        lost = {task for group, text in zip(groups, said, strict=True) if text is None for task in _tasks(group)}
        level = [
            Material(f"summary {number}", text, tuple(task for task in _tasks(group) if task not in lost))
            for number, (group, text) in enumerate(zip(groups, said, strict=True), start=1)
            if text is not None
        ]
        if not level:
            raise AggregationError("none of the texts could be summed up", hint="see the notes for why")
        if _size(level) >= size:
            raise AggregationError(
                f"the results do not fit into context={room} tokens, and their summaries are no shorter",
                hint="give a larger context=, or use a stronger model",
            )
    return level


def _tasks(group: Sequence[Material]) -> list[str]:
    return list(dict.fromkeys(task for each in group for task in each.tasks))


def _size(texts: Sequence[Material]) -> int:
    return sum(each.tokens for each in texts)


def _cut(texts: Sequence[Material], room: int) -> Iterator[Material]:
    """`texts`, in pieces where one alone is longer than `room`."""
    longest = (room - FENCE_TOKENS) * BYTES_PER_TOKEN
    for each in texts:
        if each.tokens <= room:
            yield each
            continue
        said = each.text.encode(errors="replace")
        for number, start in enumerate(range(0, len(said), longest), start=1):
            piece = said[start : start + longest].decode(errors="ignore")
            yield Material(f"{each.label}, piece {number}", piece, each.tasks)


def _packed(texts: Iterator[Material], room: int) -> Iterator[list[Material]]:
    """In order, as many at once as fit into `room`."""
    group: list[Material] = []
    size = 0
    for each in texts:
        if group and size + each.tokens > room:
            yield group
            group, size = [], 0
        group.append(each)
        size += each.tokens
    yield group
