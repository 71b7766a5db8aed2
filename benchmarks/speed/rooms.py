"""Whose a line of code is: the rooms of contemplate, packages, the standard library."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import contemplate

# Modules of the standard library that are rooms of their own.
NAMED = ("asyncio", "contextlib", "copy", "json", "selectors", "ssl")
HOME = Path(contemplate.__file__).parent
BENCHMARKS = Path(__file__).parents[1]


def room_of(path: str) -> str:
    """The room of a file: `contemplate.models.openai`, `aiohttp`, `asyncio`, `stdlib`, `benchmarks`.

    A module of contemplate that is no package's is a room of its own, as docs/architecture.md has it.
    """
    file = Path(path)
    if file.is_relative_to(HOME):
        inner = file.relative_to(HOME).with_suffix("").parts
        return ".".join((HOME.name, *(inner[:-1] or inner)))
    if file.is_relative_to(BENCHMARKS):
        return BENCHMARKS.name
    folders = file.with_suffix("").parts
    if "site-packages" in folders:
        return folders[folders.index("site-packages") + 1]
    return next((name for name in NAMED if name in folders), "stdlib")


@dataclass(frozen=True, slots=True)
class Frame:
    """A function on a stack."""

    function: str
    file: str

    @property
    def room(self) -> str:
        """Whose it is."""
        return room_of(self.file)

    def __str__(self) -> str:
        return f"`{self.function}` of {self.room}"


@dataclass(frozen=True, slots=True)
class Share:
    """How much of all samples ended in something, and how much passed through it, both between 0 and 1."""

    name: str
    itself: float
    through: float


Stacks = Iterable[tuple[Sequence[Frame], float]]
"""Each with its weight, outermost frame first."""


def shares(stacks: Stacks, name: Callable[[Frame], str]) -> list[Share]:
    """What the frames' names, by `name`, have of all: those with most of their own first.

    What C code takes is the frame's that called it. Stacks of imports are left out: they are not a run's.
    """
    itself: dict[str, float] = {}
    through: dict[str, float] = {}
    for frames, weight in stacks:
        if not frames or any(each.file.startswith("<frozen importlib") for each in frames):
            continue
        names = [name(each) for each in frames]
        itself[names[-1]] = itself.get(names[-1], 0.0) + weight
        for one in set(names):
            through[one] = through.get(one, 0.0) + weight
    whole = sum(itself.values())
    found = [Share(one, itself.get(one, 0.0) / whole, weight / whole) for one, weight in through.items()]
    return sorted(found, key=lambda share: (-share.itself, -share.through))
