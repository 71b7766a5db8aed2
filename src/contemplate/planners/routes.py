"""Which way to go on after a probe: a pure decision from what is known of the question, and from what is left."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Final, Literal, NamedTuple

from .answer_kinds import COUNTABLE, NAMES, AnswerKind

# What follows the probe. Nothing: its best answer ("instant"); more samples; a program that calculates; parts, if a
# plan finds some; one more call that makes one answer of the probe's; or solutions that are checked and mended.
Way = Literal["instant", "vote", "program", "decompose", "refine", "verify"]

# Fewer could only make a tie of a majority.
FEWEST_MORE: Final = 2
# A way that takes as long as a sample may take twice that.
MARGIN: Final = 2


class Route(NamedTuple):
    """A way, and why it is taken, in plain words.

    Args:
        way: the way.
        reason: is told in the result's notes.
        samples: how many more samples a vote draws; as many as the router may if None.
    """

    way: Way
    reason: str
    samples: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expense:
    """What is spent, or what the limits leave.

    Args:
        calls: model calls.
        tasks: tasks.
        tokens: tokens, read and written.
        usd: USD.
        seconds: seconds.
    """

    calls: float = math.inf
    tasks: float = math.inf
    tokens: float = math.inf
    usd: float = math.inf
    seconds: float = math.inf

    def lacking(self, wanted: Expense) -> str | None:
        """Return the first of its fields of which there is less than `wanted`; None if there is enough of all."""
        names = (each.name for each in fields(self))
        return next((name for name in names if getattr(self, name) < getattr(wanted, name)), None)


NOTHING: Final = Expense(calls=0, tasks=0, tokens=0, usd=0, seconds=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What is known when the probe is done.

    Args:
        keys: the canonical key of each sample's answer; None if it has none. Empty if none were drawn.
        answered: whether any of the samples was answered at all.
        kind: what kind of answers most of them are.
        checker: whether there is a checker.
        check_calls: model calls of a check.
        tools: whether the subagents have tools.
        side_effects: whether one of these must not be called for each of several attempts: then no samples are drawn.
        programs: whether there is something to calculate, and a program can be run for it.
        samples: the most samples of a vote, those of the probe included.
        sample: what one sample of the probe took; the slowest one's seconds.
        left: what the limits leave, without the aggregator's share.
    """

    keys: tuple[str | None, ...] = ()
    answered: bool = True
    kind: AnswerKind = "prose"
    checker: bool = False
    check_calls: int = 0
    tools: bool = False
    side_effects: bool = False
    programs: bool = False
    samples: int = 9
    sample: Expense = NOTHING
    left: Expense = field(default_factory=Expense)

    @property
    def unanimous(self) -> bool:
        """Whether there are several samples, and all gave the same answer."""
        return len(self.keys) > 1 and len(set(self.keys)) == 1 and self.keys[0] is not None

    @property
    def more_samples(self) -> int:
        """How many more samples a vote may draw, and the limits can pay."""
        most, left, one = float(self.samples - len(self.keys)), self.left, self.sample
        if left.seconds < MARGIN * one.seconds:
            return 0
        most = min(most, left.calls, left.tasks)
        for there, each in ((left.tokens, one.tokens), (left.usd, one.usd)):
            if each > 0:
                most = min(most, there / each)
        return max(0, int(most))

    def price_of(self, way: Way) -> Expense:
        """Return the least that `way` takes, of what is not kept for the aggregator."""
        if way == "instant":
            return self._price(1, 1) if not self.keys else NOTHING
        if way == "verify":
            return self._price(self.check_calls, 1, samples=self.check_calls, deep=min(1, self.check_calls))
        if way == "vote":
            return self._price(FEWEST_MORE, FEWEST_MORE, samples=FEWEST_MORE)
        if way == "decompose":
            # A plan, and two parts.
            return self._price(3, 2, samples=4, deep=2)
        # One that reads the others writes no more than they do.
        return self._price(1, 1, samples=2 if way == "refine" else 1)

    def _price(self, calls: int, tasks: int, *, samples: int = 1, deep: int = 1) -> Expense:
        one = self.sample
        return Expense(
            calls=calls,
            tasks=tasks,
            tokens=samples * one.tokens,
            usd=samples * one.usd,
            seconds=MARGIN * deep * one.seconds,
        )

    def best_route(self) -> Route:
        """Return the first of the ways that suit the answers which the limits can pay; else "instant"."""
        ways, found = _suitable(self)
        for way, why in ways:
            if self.can_pay(way):
                return Route(way, f"{found}: {why}", self.more_samples if way == "vote" else None)
        if not ways:
            return Route("instant", found)
        return Route("instant", f"{found}, but {_left(self, ways[-1][0])}: the best answer so far is given")

    def can_pay(self, way: Way) -> bool:
        """Return whether the limits leave what `way` takes at least."""
        return self.left.lacking(self.price_of(way)) is None and (way != "vote" or self.more_samples >= FEWEST_MORE)


def _suitable(situation: Situation) -> tuple[Sequence[tuple[Way, str]], str]:
    """Return the ways that suit, the best one first, each with what it does; and what was found."""
    if situation.checker:
        return [("verify", "an answer is mended until it passes")], "there is a checker"
    if situation.side_effects:
        told = "a tool with side effects must not be called for several attempts"
        return [("decompose", "no probe is drawn, and a plan says whether there are parts")], told
    if not situation.answered:
        return [], "no probe was answered"
    if situation.unanimous:
        return [], f"the {len(situation.keys)} probes agree, and nothing more is asked"
    several = len(situation.keys) > 1
    found = f"the {len(situation.keys)} probes differ" if several else "there is one probe"
    found += f" ({NAMES[situation.kind]})"
    program: list[tuple[Way, str]] = []
    if situation.programs:
        program = [("program", "a program calculates, and its answer counts where they are tied")]
    if situation.kind in COUNTABLE:
        return [*program, ("vote", f"a vote of up to {len(situation.keys) + situation.more_samples}")], found
    # Of a single answer, models rather talk themselves out of what is right: https://arxiv.org/abs/2310.01798.
    refine: list[tuple[Way, str]] = [("refine", "one more call makes the best of them")] if several else []
    if situation.kind == "code":
        return [*program, *refine], found if several else f"{found}, and nothing to compare it with"
    return [*program, ("decompose", "a plan says whether there are parts"), *refine], found


def _left(situation: Situation, way: Way) -> str:
    """Return what the limits leave too little of for `way`, in words."""
    lacking = situation.left.lacking(situation.price_of(way)) or "tokens"
    left: float = getattr(situation.left, lacking)
    if lacking in ("calls", "tasks"):
        one = f"{left:.0f} more {lacking.removesuffix('s') if left == 1 else lacking}"
        return f"the limits leave {one if left >= 1 else f'no more {lacking}'}"
    return f"the limits leave too few {'USD' if lacking == 'usd' else lacking} for more"
