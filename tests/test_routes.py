"""Routes, decided without a run: every combination of what is known and what is left."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contemplate.planners import Expense, Situation, Way
from contemplate.planners.answer_kinds import COUNTABLE, AnswerKind, is_calculation, kind_of

AMOUNTS = st.sampled_from((0.0, 1.0, 2.0, 3.0, 5.0, 100.0, math.inf))
KEYS = st.lists(st.sampled_from(("a", "b", None)), min_size=1, max_size=4).map(tuple)
SAMPLE = Expense(calls=1, tasks=1, tokens=100, usd=0.01, seconds=2)
PLENTY = Expense()


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    number = st.floats(0, 1000, allow_nan=False)
    left = {name: draw(AMOUNTS) for name in ("calls", "tasks")}
    left |= {name: draw(number | st.just(math.inf)) for name in ("tokens", "usd", "seconds")}
    side_effects = draw(st.booleans())
    checker = draw(st.booleans())
    return Situation(
        keys=() if side_effects and not checker else draw(KEYS),
        answered=draw(st.booleans()) or (side_effects and not checker),
        kind=draw(st.sampled_from(get_args(AnswerKind))),
        checker=checker,
        check_calls=draw(st.sampled_from((0, 1, 2))) if checker else 0,
        tools=draw(st.booleans()) or side_effects,
        side_effects=side_effects,
        programs=draw(st.booleans()),
        samples=draw(st.integers(3, 12)),
        sample=Expense(calls=1, tasks=1, **{name: draw(number) for name in ("tokens", "usd", "seconds")}),
        left=Expense(**left),
    )


@given(situations())
def test_no_route_costs_more_than_is_left(situation: Situation) -> None:
    route = situation.best_route()
    if situation.keys:
        price, left = situation.price_of(route.way), situation.left
        assert left.lacking(price) is None, route
    if route.way == "vote":
        more = route.samples
        assert more is not None
        one = situation.sample
        assert 2 <= more <= situation.samples - len(situation.keys)
        assert more <= min(situation.left.calls, situation.left.tasks)
        # Of what is divided, a last bit may be lost.
        assert more * one.tokens <= situation.left.tokens * (1 + 1e-9)
        assert more * one.usd <= situation.left.usd * (1 + 1e-9)
        assert 2 * one.seconds <= situation.left.seconds


@given(situations())
def test_what_there_is_is_used(situation: Situation) -> None:
    way = situation.best_route().way
    if situation.checker and situation.can_pay("verify"):
        assert way == "verify", "a checker is always used"
    if not situation.checker:
        assert way != "verify"
        if situation.unanimous or not situation.answered:
            assert way == "instant", "where all agree, or nobody answers, nothing more is paid"
    if way == "program":
        assert situation.programs
    if way == "vote":
        assert situation.kind in COUNTABLE
    if situation.side_effects and not situation.keys:
        assert way in ("decompose", "instant")


@given(situations())
def test_where_nothing_is_limited_the_answers_say_it(situation: Situation) -> None:
    free = replace(situation, left=PLENTY)
    way = free.best_route().way
    if free.checker:
        assert way == "verify"
    elif not free.keys:
        assert way == "decompose"
    elif free.unanimous or not free.answered:
        assert way == "instant"
    elif free.programs:
        assert way == "program"
    elif free.kind in COUNTABLE:
        assert way == ("vote" if free.samples - len(free.keys) >= 2 else "instant")
    else:
        several = len(free.keys) > 1
        assert way == ("decompose" if free.kind == "prose" else "refine" if several else "instant")


@given(situations())
def test_a_route_is_told_in_plain_words(situation: Situation) -> None:
    reason = situation.best_route().reason
    assert reason
    assert "inf" not in reason
    assert "None" not in reason


def test_every_combination_has_a_route() -> None:
    for kind, checker, programs, calls in product(get_args(AnswerKind), (False, True), (False, True), range(12)):
        situation = Situation(
            keys=("a", "b", "c"),
            kind=kind,
            checker=checker,
            programs=programs,
            sample=SAMPLE,
            left=replace(PLENTY, calls=calls),
        )
        assert situation.best_route().way in get_args(Way)


def differing(kind: AnswerKind, **left: float) -> Situation:
    return Situation(keys=("a", "b", "c"), kind=kind, sample=SAMPLE, left=replace(PLENTY, **left))


@pytest.mark.parametrize(
    ("situation", "way", "reason"),
    [
        (replace(differing("short"), keys=("a", "a", "a")), "instant", "the 3 probes agree, and nothing more is asked"),
        (replace(differing("short"), answered=False), "instant", "no probe was answered"),
        (
            replace(differing("code"), keys=("a",)),
            "instant",
            "there is one probe (code), and nothing to compare it with",
        ),
        (differing("short"), "vote", "the 3 probes differ (short answers): a vote of up to 9"),
        (differing("short", calls=4), "vote", "the 3 probes differ (short answers): a vote of up to 7"),
        (differing("short", tokens=399), "vote", "the 3 probes differ (short answers): a vote of up to 6"),
        (differing("short", usd=0.021), "vote", "the 3 probes differ (short answers): a vote of up to 5"),
        (
            differing("short", calls=1),
            "instant",
            "the 3 probes differ (short answers), but the limits leave 1 more call: the best answer so far is given",
        ),
        (
            differing("choice", tasks=0),
            "instant",
            "the 3 probes differ (choices), but the limits leave no more tasks: the best answer so far is given",
        ),
        (
            differing("short", seconds=3.9),
            "instant",
            "the 3 probes differ (short answers), but the limits leave too few seconds for more: "
            "the best answer so far is given",
        ),
        (differing("short", seconds=4), "vote", "the 3 probes differ (short answers): a vote of up to 9"),
        (
            replace(differing("number"), programs=True),
            "program",
            "the 3 probes differ (numbers): a program calculates, and its answer counts where they are tied",
        ),
        (
            replace(differing("number", tokens=100, usd=0.01, calls=1, tasks=1, seconds=4), programs=True),
            "program",
            None,
        ),
        (replace(differing("number", tokens=99), programs=True), "instant", None),
        (replace(differing("number", calls=0), programs=True), "instant", None),
        (replace(differing("number", seconds=3.9), programs=True), "instant", None),
        (
            differing("code"),
            "refine",
            "the 3 probes differ (code): one more call makes the best of them",
        ),
        (differing("prose"), "decompose", "the 3 probes differ (prose): a plan says whether there are parts"),
        (differing("prose", calls=3, seconds=8, tasks=2), "decompose", None),
        (differing("prose", calls=2), "refine", None),
        (differing("prose", seconds=7.9), "refine", None),
        (differing("prose", tokens=399), "refine", None),
        (differing("prose", tokens=199), "instant", None),
        (differing("prose", tokens=200, calls=1, tasks=1, seconds=4), "refine", None),
        (differing("prose", usd=0.019), "instant", None),
        (differing("prose", tasks=1), "refine", None),
        (replace(differing("prose", calls=2, tokens=200, seconds=4), checker=True, check_calls=2), "verify", None),
        (replace(differing("prose", calls=2, tokens=199), checker=True, check_calls=2), "instant", None),
        (replace(differing("prose", tasks=0), checker=True), "instant", None),
        (
            replace(differing("prose"), keys=("x",)),
            "decompose",
            "there is one probe (prose): a plan says whether there are parts",
        ),
        (
            replace(differing("prose"), checker=True),
            "verify",
            "there is a checker: an answer is mended until it passes",
        ),
        (
            replace(differing("prose", calls=1), checker=True, check_calls=2),
            "instant",
            "there is a checker, but the limits leave 1 more call: the best answer so far is given",
        ),
        (replace(differing("prose", calls=0), checker=True), "verify", None),
        (
            Situation(side_effects=True, tools=True),
            "decompose",
            "a tool with side effects must not be called for several attempts: "
            "no probe is drawn, and a plan says whether there are parts",
        ),
        (Situation(side_effects=True, left=replace(PLENTY, calls=2)), "instant", None),
    ],
)
def test_routes_and_their_reasons(situation: Situation, way: Way, reason: str | None) -> None:
    route = situation.best_route()
    assert route.way == way
    assert reason is None or route.reason == reason


def test_only_a_vote_is_told_how_many_more_samples_it_may_draw() -> None:
    assert [differing("short", calls=calls).best_route().samples for calls in (1, 2, 4, 99)] == [None, 2, 4, 6]
    assert differing("prose").best_route().samples is None


@pytest.mark.parametrize(
    ("keys", "kind"),
    [
        (("4", "5", "6"), "number"),
        (("18 dollars", "1/2", "-3.5"), "number"),
        (("50%", "1e3", "4"), "number"),
        (("a", "b", "yes"), "choice"),
        (("rome", "4", "b"), "short"),
        (("one two three four five six", "b", None), "short"),
        (("one two three four five six seven", "b", None), "prose"),
        ((None, None, "4"), "prose"),
    ],
)
def test_kinds_of_answers(keys: tuple[str | None, ...], kind: AnswerKind) -> None:
    texts = [str(key) for key in keys]
    assert kind_of(keys, texts, typed=False) == kind
    assert kind_of(keys, texts, typed=True) == "typed"


def test_code_is_what_stands_between_fences() -> None:
    code, prose = "Here it is:\n```python\nx = 1\n```", "It is a long story, and nobody knows ``` of all of it."
    assert kind_of((None,) * 3, [code, code, prose], typed=False) == "code"
    assert kind_of((None,) * 3, [code, prose, prose], typed=False) == "prose"


@pytest.mark.parametrize(
    ("question", "keys", "calculates"),
    [
        ("What is 3 times 4?", ("12", "7", "8"), True),
        ("A dozen eggs cost $3.50. What do thirty cost?", ("9 dollars", "8.75", None), True),
        ("He is twice as old as she, who is half of 40.", ("he will be 40 years old by then", "40", None), True),
        ("In which year was the treaty of 1648 signed?", ("1648", "1650", "1649"), False),
        ("When did Rome fall?", ("476", "475", "474"), False),
        ("Name 3 of the 7 hills.", ("aventine, caelian, palatine", "x", "y"), False),
        ("What is 3 times 4?", ("12", None, None), False),
        ("Tell of the 30 years and the 80 years.", ("long " * 24 + "1648",) * 3, True),
        ("Tell of the 30 years and the 80 years.", ("long " * 25 + "1648",) * 3, False),
    ],
)
def test_what_is_to_be_calculated(question: str, keys: tuple[str | None, ...], calculates: bool) -> None:
    assert is_calculation(question, keys, typed=False) is calculates


def test_of_values_only_numbers_are_calculated() -> None:
    assert is_calculation("3 times 4?", ("12", "13"), typed=True)
    assert not is_calculation(
        "3 times 4?", ('{"value": 12, "of": "a sum of two numbers, as it was asked for"}',) * 2, typed=True
    )
