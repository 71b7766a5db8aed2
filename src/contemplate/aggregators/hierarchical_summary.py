"""Hierarchical summarisation of texts that exceed a prompt's context."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from ..errors import AggregationError
from ..models.tokens import BYTES_PER_TOKEN, text_tokens
from ..prompts import Prompts
from .parallel import run_in_parallel

FENCE_TOKENS = 32
MIN_SUMMARY_TOKENS = 128
MIN_ROOM_TOKENS = 4 * MIN_SUMMARY_TOKENS


@dataclass(frozen=True, slots=True)
class Material:
    """A text for a prompt, and the tasks whose results it contains or summarises."""

    label: str
    text: str
    tasks: tuple[str, ...]

    @property
    def tokens(self) -> int:
        """An upper estimate of its tokens, including its fences."""
        return text_tokens(self.text) + FENCE_TOKENS


# Summarises texts in a number of tokens. None if the call failed.
Summarise = Callable[[Sequence[Material], int], Awaitable[str | None]]


async def condense(texts: Sequence[Material], room: int, summarise: Summarise) -> list[Material]:
    """Return `texts` if they fit into `room` tokens; else summaries of groups that fit, recursively if necessary.

    The calls of a level run in parallel. Summary lengths are chosen so that one level suffices, but not below
    `MIN_SUMMARY_TOKENS`. A group whose call failed is omitted.

    Args:
        texts: the texts, in order.
        room: available tokens, at least `MIN_ROOM_TOKENS`.
        summarise: writes one summary.

    Raises:
        AggregationError: the summaries are not shorter than the texts, or every call of a level failed.
    """
    level = list(texts)
    while (size := _size(level)) > room:
        groups = list(_packed(_cut(level, room), room))
        length = max(room // len(groups) - FENCE_TOKENS, MIN_SUMMARY_TOKENS)
        summaries = await run_in_parallel([partial(summarise, group, length) for group in groups])
        # A task with a lost piece counts as lost, so that it is never listed as support.
        lost = {task for group, text in zip(groups, summaries, strict=True) if text is None for task in _tasks(group)}
        level = [
            Material(f"summary {number}", text, tuple(task for task in _tasks(group) if task not in lost))
            for number, (group, text) in enumerate(zip(groups, summaries, strict=True), start=1)
            if text is not None
        ]
        if not level:
            raise AggregationError("none of the texts could be summarised", hint="see the notes for the reasons")
        if _size(level) >= size:
            raise AggregationError(
                f"the results do not fit into context={room} tokens, and their summaries are not shorter",
                hint="give a larger context=, or use a stronger model",
            )
    return level


def calls_for(texts: Sequence[Material], room: int) -> int:
    """Return how many calls a level of summaries takes."""
    return len(list(_packed(_cut(texts, room), room)))


def shorten(texts: Sequence[Material], room: float, prompts: Prompts) -> list[Material]:
    """Return `texts`, the longest of them cut so that all together fit into `room` tokens.

    Those that are shorter than an equal share stay whole, and leave the rest of it to the others.
    """
    left, kept = room, dict[int, Material]()
    for count, place in zip(
        range(len(texts), 0, -1), sorted(range(len(texts)), key=lambda i: texts[i].tokens), strict=True
    ):
        share = left / count
        kept[place] = texts[place] if texts[place].tokens <= share else _cut_to(texts[place], share, prompts)
        left -= kept[place].tokens
    return [kept[place] for place in range(len(texts))]


def _cut_to(text: Material, tokens: float, prompts: Prompts) -> Material:
    length = max(0, int(tokens) - FENCE_TOKENS - text_tokens(prompts.render("incomplete", text=""))) * BYTES_PER_TOKEN
    beginning = text.text.encode(errors="replace")[:length].decode(errors="ignore")
    return Material(text.label, prompts.render("incomplete", text=beginning), text.tasks)


def _tasks(group: Sequence[Material]) -> list[str]:
    return list(dict.fromkeys(task for each in group for task in each.tasks))


def _size(texts: Sequence[Material]) -> int:
    return sum(each.tokens for each in texts)


def _cut(texts: Sequence[Material], room: int) -> Iterator[Material]:
    """Yield `texts`, with each one that exceeds `room` split into pieces."""
    longest = (room - FENCE_TOKENS) * BYTES_PER_TOKEN
    for each in texts:
        if each.tokens <= room:
            yield each
            continue
        data = each.text.encode(errors="replace")
        for number, start in enumerate(range(0, len(data), longest), start=1):
            piece = data[start : start + longest].decode(errors="ignore")
            yield Material(f"{each.label}, piece {number}", piece, each.tasks)


def _packed(texts: Iterator[Material], room: int) -> Iterator[list[Material]]:
    """Yield groups of consecutive texts that fit into `room`."""
    group: list[Material] = []
    size = 0
    for each in texts:
        if group and size + each.tokens > room:
            yield group
            group, size = [], 0
        group.append(each)
        size += each.tokens
    yield group
