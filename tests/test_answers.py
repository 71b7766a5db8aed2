from __future__ import annotations

import cmath
import math as numeric
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from contemplate import answers
from contemplate.answers.algebra import NoValueError
from contemplate.answers.expressions import evaluate

TEXT_KEYS = (answers.math, answers.text, answers.final, answers.choice(), answers.choice(["yes", "no"]))


@pytest.mark.parametrize(
    ("said", "key"),
    [
        # Numbers, as they are written.
        ("Answer: 1,000", "1000"),
        ("Answer: 1000.0", "1000"),
        (r"\boxed{\frac{2000}{2}}", "1000"),
        (r"\boxed{1{,}000}", "1000"),
        (r"\boxed{1\,000}", "1000"),
        ("Answer: -5", "-5"),
        ("Answer: \u22125", "-5"),
        ("so x is -5", "-5"),
        ("8-5", "5"),
        ("Answer: +5", "5"),
        ("Answer: 1/2", "1/2"),
        ("Answer: 0.5", "1/2"),
        ("Answer: .5", "1/2"),
        (r"\boxed{\frac12}", "1/2"),
        (r"\boxed{\dfrac{1}{2}}", "1/2"),
        (r"\boxed{\tfrac{-1}{2}}", "-1/2"),
        (r"\boxed{-\frac{1}{2}}", "-1/2"),
        (r"\boxed{3\frac{1}{2}}", "7/2"),
        (r"\boxed{-3\frac12}", "-7/2"),
        ("She needs 3 1/2 cups.", "7/2"),
        ("1e5", "100000"),
        (r"\boxed{6.02\times10^{23}}", "602" + "0" * 21),
        ("the probability is $\\frac{3}{4}$.", "3/4"),
        # Units, currency, per cent and punctuation.
        ("$18", "18"),
        (r"\$18", "18"),
        ("Answer: 18 dollars", "18"),
        ("Answer: 18 dollars per day.", "18"),
        ("18.", "18"),
        ("Answer: 18. It is 3*6.", "18"),
        ("Answer: 50%", "50"),
        (r"\boxed{50\%}", "50"),
        (r"\boxed{18\text{ dollars}}", "18"),
        (r"\boxed{60 \text{ km}/\text{h}}", "60"),
        (r"\boxed{5 \text{ cm}^2}", "5"),
        (r"\boxed{90^\circ}", "90"),
        ("Answer: **18**", "18"),
        (r"Answer: \(18\)", "18"),
        ("The answer is:\n$$\n18\n$$\nas shown in 3.", "18"),
        # Where the answer stands.
        ("#### 18", "18"),
        ("I take 5 and 7, so 12 in all", "12"),
        (r"\boxed{1} no, \boxed{2}, since 3", "2"),
        (r"\boxed{\boxed{5}}", "5"),
        (r"\boxed{5} and then \boxed{6", "5"),
        ("Answer: 1\nNo. Answer: 2\n3 is wrong", "2"),
        # Exact values that are no rationals.
        (r"\boxed{\frac{2}{\sqrt{3}}}", "2/3*sqrt(3)"),
        (r"\boxed{\frac{2\sqrt{3}}{3}}", "2/3*sqrt(3)"),
        (r"\boxed{\sqrt{8}}", "2*sqrt(2)"),
        (r"\boxed{\sqrt{\frac{16+\sqrt{31}}{2}}}", "1/2+1/2*sqrt(31)"),
        (r"\boxed{\frac{1}{1+\sqrt{2}}}", "-1+sqrt(2)"),
        (r"\boxed{\binom{12}{6}}", "924"),
        (r"\boxed{2\times 5!}", "240"),
        ("Answer: 2\u03c0", "2*pi"),
        (r"\boxed{\mathrm{i}\sqrt{3}}", "sqrt(3)*i"),
        (r"\boxed{1 + 2x}", "1+2*x"),
        (r"\boxed{2x+1}", "1+2*x"),
        # Equations and lists.
        (r"\boxed{x = 5}", "5"),
        ("Answer: 2 + 3 = 5", "5"),
        (r"\boxed{(3, \frac{8}{2})}", "(3, 4)"),
        (r"\boxed{(100,200)}", "(100, 200)"),
        (r"\boxed{[0,1)}", "[0, 1)"),
        (r"\boxed{a=2,\ a=3}", "2, 3"),
        (r"\boxed{2, 3}", "2, 3"),
        (r"\boxed{x=1, y=2}", "x=1, y=2"),
        # Words.
        (r"\boxed{\text{Evelyn}}", "evelyn"),
        ("Answer: Yes.", "yes"),
        # Abstentions.
        ("No number here.", None),
        ("", None),
        ("Answer: ...", None),
        ("Answer:", None),
        (r"\boxed{}", None),
        ("5/0", None),
    ],
)
def test_math(said: str, key: str | None) -> None:
    assert answers.math(said) == key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"\boxed{5 \text{ or } 6}", r"\boxed{56}"),
        (r"\boxed{3\text{ h } 20\text{ min}}", r"\boxed{320}"),
        (r"\boxed{\sqrt{3}\,\text{i}}", r"\boxed{\sqrt{3}}"),
        ("Answer: 5x", "Answer: 5"),
        ("Answer: CO2", "Answer: 2"),
        ("Answer: 1/3", "Answer: 0.333"),
        ("Answer: 10^400", "Answer: 10^401"),
        ("Answer: 2^3", "Answer: 2*3"),
        (r"\boxed{300!}", r"\boxed{300}"),
        (r"\boxed{40\pi}", r"\boxed{125.6637}"),
        (r"\boxed{f(3)}", r"\boxed{3f}"),
        (r"\boxed{\text{on}}", r"\boxed{\text{no}}"),
        (rf"\boxed{{{'x' * 3000}1}}", rf"\boxed{{{'x' * 3000}2}}"),
    ],
)
def test_math_tells_apart(one: str, other: str) -> None:
    assert answers.math(one) != answers.math(other)


SPELLINGS: tuple[Callable[[Fraction], str], ...] = (
    lambda value: f"Answer: {value}",
    lambda value: rf"So it is $\boxed{{\frac{{{value.numerator}}}{{{value.denominator}}}}}$, as 2 > 1.",
    lambda value: rf"\boxed{{\dfrac{{{2 * value.numerator}}}{{{2 * value.denominator}}}}}",
    lambda value: f"The answer is {value.numerator:,} / {value.denominator}.",
    lambda value: f"x = 7, and so I come to {value} apples.",
    lambda value: f"**Answer:** ${value}$",
)


@given(st.fractions(), st.sampled_from(SPELLINGS))
def test_a_number_has_one_key(value: Fraction, spelling: Callable[[Fraction], str]) -> None:
    assert answers.math(spelling(value)) == str(value)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12))
def test_a_decimal_is_exact(value: Decimal) -> None:
    assert answers.math(f"Answer: {value:f}") == answers.final(f"{value.normalize():,f}") == str(Fraction(value))


@dataclass(frozen=True)
class Tree:
    """An expression, and its value in floating point."""

    latex: str
    value: complex


LEAVES = st.one_of(
    st.integers(0, 30).map(lambda number: Tree(str(number), number)),
    st.just(Tree(r"\pi", numeric.pi)),
    st.integers(0, 99).map(lambda number: Tree(rf"\sqrt{{{number}}}", numeric.sqrt(number))),
)


def _grown(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    return st.one_of(
        st.tuples(inner, inner).map(lambda p: Tree(rf"({p[0].latex} + {p[1].latex})", p[0].value + p[1].value)),
        st.tuples(inner, inner).map(lambda p: Tree(rf"({p[0].latex} - {p[1].latex})", p[0].value - p[1].value)),
        st.tuples(inner, inner).map(lambda p: Tree(rf"{p[0].latex} \cdot {p[1].latex}", p[0].value * p[1].value)),
        st.tuples(inner, inner.filter(lambda tree: abs(tree.value) > 1e-3)).map(
            lambda p: Tree(rf"\frac{{{p[0].latex}}}{{{p[1].latex}}}", p[0].value / p[1].value)
        ),
        inner.map(lambda tree: Tree(rf"\sqrt{{{tree.latex}}}", cmath.sqrt(tree.value))),
        inner.map(lambda tree: Tree(rf"({tree.latex})^2", tree.value**2)),
    )


@given(st.recursive(LEAVES, _grown, max_leaves=6))
@example(Tree("(-1)^{3/2}", -1j))
@example(Tree("2^{-2}", 0.25))
@example(Tree("-2^2", -4))
@example(Tree("8/4/2", 1))
@example(Tree(r"\sqrt{-2}\sqrt{-3}", -numeric.sqrt(6)))
def test_an_exact_value_is_the_value(tree: Tree) -> None:
    try:
        exact = str(evaluate(tree.latex))
    except NoValueError:
        return
    names = {"pi": numeric.pi, "i": 1j, "sqrt": numeric.sqrt}
    there = eval(exact.replace("^", "**"), {"__builtins__": {}}, names)
    assert cmath.isclose(there, tree.value, rel_tol=1e-6, abs_tol=1e-6)
    assert str(evaluate(exact)) == exact


@pytest.mark.parametrize(
    ("said", "key"),
    [
        ("Answer: B", "B"),
        ("Answer: (b) because it is shorter", "B"),
        ("**Answer:** **C**) 42", "C"),
        ("The answer is option D.", "D"),
        (r"\boxed{\text{B}}", "B"),
        (r"Answer: $\boxed{\textbf{(C)}}$", "C"),
        ("(A)", "A"),
        ("b.", "B"),
        ("A cat and B dog", None),
        ("Answer: I think so", None),
        ("Answer: a small one", None),
        ("Answer: A or B", None),
        ("Answer: A, B", None),
        ("Answer: none", None),
        ("I like B", None),
        ("Answer:", None),
        ("", None),
    ],
)
def test_choice_of_a_letter(said: str, key: str | None) -> None:
    assert answers.choice()(said) == key


def test_choice_among_options() -> None:
    key = answers.choice(["-5", "5", "a cat", "The dog.", "\u2205"])
    assert [key(f"Answer: {said}") for said in ("A", "-5", "5", "cat", "DOG", "E", "F")] == [
        *("A", "A", "B", "C", "D", "E", None)
    ]
    assert key("the dog") == "D"
    assert key("Answer: A cat") == "C"
    assert key("Answer: B) 5") == "B"
    assert answers.choice({"x": "yes", "y": "no"})("Answer: No") == "Y"


def test_options_that_say_the_same_are_chosen_by_letter_only() -> None:
    key = answers.choice(["50%", "$50"])
    assert key("Answer: 50") is None
    assert key("Answer: A") == "A"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Answer: The Eiffel Tower!", "so the answer is **eiffel tower**."),
        ("caf\u00e9", "CAFE\u0301"),
        ("It's \u201cred\u201d", 'it\u2019s "red"'),
        ("Answer: 1,000 men", "1000 men"),
        ("first line\nAnswer: no\nlast line", "No."),
        ("x - 1", "x-1"),
    ],
)
def test_texts_that_are_the_same(one: str, other: str) -> None:
    assert answers.text(one) == answers.text(other) is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("-5", "5"),
        ("C++", "C"),
        ("C#", "C"),
        ("x-1", "x+1"),
        ("A", "the"),
        ("vitamin A", "vitamin"),
        ("<", ">"),
        ("a" * 600 + "1", "a" * 600 + "2"),
        ("yes", "no"),
    ],
)
def test_texts_that_differ(one: str, other: str) -> None:
    assert answers.text(one) != answers.text(other)


@pytest.mark.parametrize("said", ["", "...", "Answer:", "Answer: \u2014", " \n "])
def test_a_text_without_words_abstains(said: str) -> None:
    assert answers.text(said) is None
    assert answers.final(said) is None


@pytest.mark.parametrize(
    ("said", "key"),
    [
        ("Answer: 6\nNote: the answer is approximate", "6"),
        ("Answer: 6\n\nThe answer is approximate.", "6"),
        ("Answer: 6\nNote on my answer: it is rounded", "6"),
        (r"\boxed{6}. Note that the answer is rounded.", "6"),
        ("**Final answer:** 6\nThis answer is rounded.", "6"),
        ("#### 6\nThe answer is rounded.", "6"),
        ("The answer is 5. Answer: 6", "6"),
        ("Answer: 5\nNo.\nAnswer: 6", "6"),
        ("So the answer is 6.", "6"),
        ("Answer: *", "*"),
        ("*Answer:* *", "*"),
        ("**Answer: 6**", "6"),
        ("The answer is:\n$$\n6\n$$\nas shown.", "6"),
        ("Answer: 6\nAnswer:", None),
    ],
)
def test_a_remark_does_not_replace_the_marked_answer(said: str, key: str | None) -> None:
    assert answers.final(said) == key
    assert answers.math(said) == (None if key == "*" else key)


@pytest.mark.parametrize(
    ("said", "key"),
    [
        ("Long reasoning 7.\nAnswer: 1,000", "1000"),
        ("Answer: A", "A"),
        ("18.", "18"),
        (r"\boxed{\frac{1}{2}}", "1/2"),
        (r"Answer: $3+2\sqrt{2}$", "3+2*sqrt(2)"),
        (r"Answer: $3-2\sqrt{2}$", "3-2*sqrt(2)"),
        ("Answer: 18 dollars", "18 dollars"),
        ("Answer: 2024-05-01", "2024-05-01"),
        ("#### Summary\nIt is red.", "summary it is red"),
        ("The sky is blue.", "sky is blue"),
        (r"I get \boxed{", None),
        (r"\boxed{}", None),
    ],
)
def test_final(said: str, key: str | None) -> None:
    assert answers.final(said) == key


class Verdict(BaseModel):
    answer: float | None
    tags: set[str] = set()
    why: str = ""


def test_typed_values_are_compared_by_content() -> None:
    assert answers.typed(Verdict(answer=1, tags={"b", "a"})) == '{"answer":1,"tags":["a","b"],"why":""}'
    assert answers.typed({"a": 1, "b": [2.0]}) == answers.typed({"b": [2], "a": 1.0})
    assert answers.typed(frozenset("abc")) == answers.typed(set("cab"))
    assert answers.typed(True) != answers.typed(1)
    assert answers.typed("1") != answers.typed(1)
    assert answers.typed({1: "a"}) != answers.typed({"1": "a"})
    assert answers.typed(None) == "null"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
        max_leaves=20,
    )
)
def test_typed_does_not_see_the_order_of_a_mapping(value: object) -> None:
    turned = dict(reversed(list(value.items()))) if isinstance(value, dict) else value
    assert answers.typed(turned) == answers.typed(value)


def test_field_compares_only_what_it_names() -> None:
    key = answers.field("answer")
    assert key(Verdict(answer=2, why="x")) == key(Verdict(answer=2.0, why="y")) == key({"answer": 2})
    assert key(Verdict(answer=2)) != key(Verdict(answer=3))
    assert key(Verdict(answer=None, why="I cannot tell")) == key({"answer": None}) != key(Verdict(answer=0))
    with pytest.raises(AttributeError):
        answers.field("anser")(Verdict(answer=1))


LATEX = st.text(st.sampled_from("0123456789 +-*/^=,.{}()[]!$%\\abixfracsqrtboxed\n")) | st.lists(
    st.sampled_from(
        [r"\frac", r"\sqrt", r"\boxed{", "{", "}", "1", "2", "x", "^", "(", ")", "-", "!", "Answer: ", r"\text{a}"]
    )
).map("".join)


@given(st.text() | LATEX)
@example(r"\boxed{\frac{1}{0}}")
@example(r"\boxed{0^{-1}}")
@example("Answer: \ud800")
@example("Answer: \u00b2\u2460")
def test_a_key_is_a_text_or_none_whatever_was_said(said: str) -> None:
    for key in TEXT_KEYS:
        made = key(said)
        assert made is None or made


@pytest.mark.parametrize(
    "said",
    [
        "9" * 10**6,
        rf"\boxed{{{'9' * 10**6}}}",
        r"\boxed{" * 10**5,
        r"\boxed{" * 10**5 + "}" * 10**5,
        r"\boxed{10^{10^{9}}}",
        r"\boxed{10**10**9}",
        r"\boxed{99999999!}",
        rf"\boxed{{{'9^' * 190}9}}",
        rf"\boxed{{{'(' * 190}1{')' * 190}}}",
        r"\boxed{" + "(a+b+c+d+f+g+h+j+k+l)" * 18 + "}",
        r"\boxed{" + "+".join(rf"\sqrt{{{999_999_000 + n}}}" for n in range(20)) + "}",
        rf"\boxed{{5{' ' * 1900}}}",
        "answer is" + " " * 10**6,
        "#### 1\n" * 10**5,
        "1" + ",000" * 10**5 + "0",
        "1/" * 10**5,
        "Answer: A" + "!" * 10**6,
        "Answer: " + "(" * 10**6 + "A",
        "\ufdfa" * 10**5,
        "1e999999999",
    ],
    ids=range(20),
)
def test_hostile_answers_are_read_quickly(said: str) -> None:
    start = time.process_time()
    for key in TEXT_KEYS:
        key(said)
    assert time.process_time() - start < 10
