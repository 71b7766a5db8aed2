"""Puzzles that are made and checked by programs: Games of 24, dates, and small logic."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from functools import partial
from itertools import combinations, cycle, pairwise, permutations, product
from random import Random
from typing import NamedTuple

from contemplate.answers.markers import marked_answer

from .game24 import makes_24

NAMES = ("Ada", "Ben", "Cleo", "Dan")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SIGNS = str.maketrans({"\u00d7": "*", "\u00f7": "/", "\u2212": "-", "\u2013": "-", "[": "(", "]": ")"})


@dataclass(frozen=True)
class Puzzle:
    """A puzzle; `check` returns what is wrong with an answer, and "" if nothing is."""

    id: str
    question: str
    check: Callable[[str], str]


def stated(text: str) -> str:
    """Return the answer that a text states: in plain words, without what only decorates it."""
    found = marked_answer(text)
    said = (text if found is None else found).strip().strip("`*$.").strip()
    return " ".join(said.split())


def puzzles(each: int, seed: int) -> list[Puzzle]:
    """Return so many of each kind, in turn, always the same ones for a seed."""
    makers = [(kind, make(Random(f"{seed}/{kind}"))) for kind, make in KINDS.items()]
    return [Puzzle(f"{kind}-{number}", *next(questions)) for number in range(1, each + 1) for kind, questions in makers]


_Puzzle = tuple[str, Callable[[str], str]]


def games_of_24(rng: Random) -> Iterator[_Puzzle]:
    """Yield four numbers each of which make 24."""
    seen = set()
    while True:
        numbers = tuple(sorted(rng.choices(range(1, 11), k=4)))
        if numbers in seen or not solvable(tuple(map(Fraction, numbers))):
            continue
        seen.add(numbers)
        shown = " ".join(map(str, numbers))
        question = (
            f"Make 24 from the numbers {', '.join(map(str, numbers))}: use each of them exactly once, with +, -, *, / "
            "and parentheses. Answer with the expression alone, such as (1 + 2) * (3 + 5)."
        )
        yield question, partial(_wrong_24, shown)


def solvable(numbers: tuple[Fraction, ...]) -> bool:
    """Whether the numbers make 24."""
    if len(numbers) == 1:
        return numbers[0] == 24
    for one, other, *rest in permutations(numbers):
        results = [one + other, one - other, one * other, *([one / other] if other else [])]
        if any(solvable((each, *rest)) for each in results):
            return True
    return False


def _wrong_24(numbers: str, said: str) -> str:
    expression = said.translate(_SIGNS).replace(r"\times", "*").replace(r"\div", "/").split("=")[0].strip()
    if makes_24(numbers, expression):
        return ""
    used = " ".join(sorted(re.findall(r"\d+", expression), key=int))
    if used != numbers:
        return f"The expression uses {used or 'no numbers'}, and has to use {numbers}, each once."
    return "The expression does not equal 24."


def dates(rng: Random) -> Iterator[_Puzzle]:
    """Yield questions for a day of the week, a number of days and a date, in turn."""
    for asked in cycle(range(3)):
        first = date(2000, 1, 1) + timedelta(days=rng.randrange(10_000))
        days = rng.randrange(20, 200)
        then = first + timedelta(days=days)
        match asked:
            case 0:
                question = (
                    f"{_written(first)} is a {DAYS[first.weekday()]}. What day of the week is {_written(then)}? "
                    "Answer with its name alone."
                )
                right, form, wrong = DAYS[then.weekday()], "|".join(DAYS), "That is not the day."
            case 1:
                question = f"How many days after {_written(first)} is {_written(then)}? Answer with a number alone."
                right, form, wrong = str(days), r"\d+", "That is not the number of days."
            case _:
                question = f"Which date is {days} days after {_written(first)}? Answer in the form 2024-02-29."
                right, form, wrong = then.isoformat(), r"\d{4}-\d\d-\d\d", "That is not the date."
        yield question, partial(_other_than, right, form, wrong)


def _written(day: date) -> str:
    return f"{day.day} {day:%B} {day.year}"


def _other_than(right: str, form: str, wrong: str, said: str) -> str:
    # Words around it are not what is asked about: "It is a Monday", "100 days".
    return "" if set(re.findall(form, said)) == {right} else wrong


def logic(rng: Random) -> Iterator[_Puzzle]:
    """Yield puzzles of knights and knaves, and of orders, in turn; each has exactly one solution."""
    while True:
        yield _knights(rng)
        yield _order(rng)


def _knights(rng: Random) -> _Puzzle:
    people = NAMES[:3]
    while True:
        claims = [_claim(rng, speaker, people) for speaker in people]
        worlds = [world for world in _worlds(people) if all(c.holds(world) is world[c.speaker] for c in claims)]
        # Who finds nobody may have said nothing.
        if len(worlds) == 1 and any(worlds[0].values()):
            break
    said = " ".join(f'{each.speaker} says: "{each.text}"' for each in claims)
    question = (
        f"{', '.join(people[:-1])} and {people[-1]} are each a knight, who always tells the truth, or a knave, who "
        f"always lies. {said} Who are the knights? Answer with their names alone, separated by commas."
    )
    knights = [each for each in people if worlds[0][each]]
    return question, partial(_other_names, knights, "Then a knight would lie, or a knave tell the truth.", False)


def _worlds(people: Sequence[str]) -> list[dict[str, bool]]:
    return [dict(zip(people, kinds, strict=True)) for kinds in product((True, False), repeat=len(people))]


class _Claim(NamedTuple):
    speaker: str
    text: str
    holds: Callable[[Mapping[str, bool]], bool]


def _claim(rng: Random, speaker: str, people: Sequence[str]) -> _Claim:
    one, other = rng.sample([each for each in people if each != speaker], 2)
    knight = rng.random() < 0.5
    kind = "knight" if knight else "knave"
    match rng.randrange(4):
        case 0:
            return _Claim(speaker, f"{one} is a {kind}.", lambda world: world[one] is knight)
        case 1:
            text = f"{one} and {other} are of the same kind."
            return _Claim(speaker, text, lambda world: world[one] is world[other])
        case 2:
            text = f"At least one of {one} and {other} is a {kind}."
            return _Claim(speaker, text, lambda world: knight in (world[one], world[other]))
        case _:
            text = f"{one} and I are of different kinds."
            return _Claim(speaker, text, lambda world: world[one] is not world[speaker])


_Order = Sequence[str]


class _Clue(NamedTuple):
    text: str
    holds: Callable[[_Order], bool]


def _order(rng: Random) -> _Puzzle:
    right = rng.sample(NAMES, len(NAMES))
    clues = _clues(right)
    rng.shuffle(clues)
    chosen = list(clues)
    # As few as are enough, so that each of them is needed.
    for clue in clues:
        fewer = [each for each in chosen if each is not clue]
        if len(_orders(fewer)) == 1:
            chosen = fewer
    question = (
        f"{', '.join(NAMES[:-1])} and {NAMES[-1]} ran a race, without ties. {' '.join(each.text for each in chosen)} "
        "In which order did they arrive? Answer with the four names alone, the first first, separated by commas."
    )
    return question, partial(_other_names, right, "That order does not agree with all that is said.", True)


def _clues(right: _Order) -> list[_Clue]:
    before = [
        _Clue(f"{one} arrived before {other}.", partial(_before, one, other)) for one, other in combinations(right, 2)
    ]
    directly = [
        _Clue(f"{other} arrived directly after {one}.", partial(_directly, one, other))
        for one, other in pairwise(right)
    ]
    places = [
        _Clue(f"{one} was not {place}.", partial(_elsewhere, one, number))
        for one in right
        for number, place in enumerate(("first", "second", "third", "last"))
        if right[number] != one
    ]
    return before + directly + places


def _before(one: str, other: str, order: _Order) -> bool:
    return order.index(one) < order.index(other)


def _directly(one: str, other: str, order: _Order) -> bool:
    return order.index(one) + 1 == order.index(other)


def _elsewhere(one: str, place: int, order: _Order) -> bool:
    return order[place] != one


def _orders(clues: Sequence[_Clue]) -> list[_Order]:
    return [order for order in permutations(NAMES) if all(each.holds(order) for each in clues)]


def _other_names(right: Sequence[str], wrong: str, ordered: bool, said: str) -> str:
    found = re.findall("|".join(NAMES), said)
    same = found == list(right) if ordered else set(found) == set(right)
    return "" if same else wrong


KINDS: dict[str, Callable[[Random], Iterator[_Puzzle]]] = {"24": games_of_24, "dates": dates, "logic": logic}
