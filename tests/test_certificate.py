"""The certificate of a vote: its formula, its order, its error, and what a vote makes of it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from math import comb

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contemplate import Contemplator, RunResult, Task, TaskContext, aggregators, planners
from contemplate.aggregators.certificate import Certificate
from contemplate.aggregators.early_stopping import beta_confidence
from contemplate.errors import ConfigurationError
from contemplate.models import ModelRequest
from contemplate.run.protocols import Answer
from contemplate.testing import ScriptedModel

from .patience import PATIENCE

pytestmark = pytest.mark.anyio

KEYS = st.lists(st.sampled_from(["a", "b", "c", "d", None]), max_size=60)


def after(keys: Sequence[str | None], error: float = 0.05) -> Certificate:
    certificate = Certificate(error)
    for call, key in enumerate(keys):
        certificate.cast(call, key)
    return certificate


def evidence(first: int, second: int) -> Fraction:
    """The definition: the mixture of the likelihood ratios, integrated term by term."""
    total = Fraction(0)
    for j in range(second + 1):
        power = first + j + 1
        term = comb(second, j) * (1 - Fraction(1, 2**power)) / power
        total += -term if j % 2 else term
    return 2 * total * Fraction(2 ** (first + second))


def votes_of(first: int, second: int) -> str:
    return "a" * first + "b" * second


@given(st.integers(0, 40), st.integers(0, 40))
def test_the_evidence_is_the_mixture_of_likelihood_ratios(one: int, other: int) -> None:
    first, second = max(one, other), min(one, other)
    found = after(votes_of(first, second)).evidence
    assert found == evidence(first, second)
    n = first + second
    tail = beta_confidence(first, second)
    assert float(found) == pytest.approx(2 ** (n + 1) * tail / ((n + 1) * comb(n, first)), rel=1e-9)


@given(st.integers(0, 30), st.integers(0, 30))
def test_no_vote_is_expected_to_add_evidence_if_both_are_as_probable(first: int, second: int) -> None:
    assert (evidence(first + 1, second) + evidence(first, second + 1)) / 2 == evidence(first, second)
    assert evidence(first + 1, second) > evidence(first, second) > evidence(first, second + 1)


@given(KEYS)
def test_the_evidence_is_that_of_the_two_strongest(keys: list[str | None]) -> None:
    most, second = sorted([*Counter(key for key in keys if key).values(), 0, 0])[-2:][::-1]
    assert after(keys).evidence == evidence(most, second)


@pytest.mark.parametrize(("error", "votes"), [(0.2, 6), (0.1, 7), (0.05, 9), (0.01, 11), (0.001, 15)])
def test_how_many_equal_answers_are_enough(error: float, votes: int) -> None:
    assert after("a" * (votes - 1), error).certified is None
    assert after("a" * votes, error).certified == "a"


@pytest.mark.parametrize(("others", "votes"), [(0, 9), (1, 12), (2, 14), (3, 17), (5, 21), (10, 30)])
def test_how_many_are_enough_against_others(others: int, votes: int) -> None:
    assert evidence(votes, others) >= 60 > evidence(votes - 1, others)
    keys = "a" + "b" * others + "a" * (votes - 1)
    assert after(keys[:-1]).certified is None
    assert after(keys).certified == "a"


def test_an_error_is_taken_as_it_is_written() -> None:
    """511 / 9 * 0.05 * 2 is less than 6; with 0.06, more, but not for an answer that appeared second."""
    assert after("a" * 8, 0.06).certified == "a"
    assert after("b" + "a" * 8, 0.06).certified is None


@given(KEYS, st.randoms(use_true_random=False), st.sampled_from([0.05, 0.3, 0.9]))
def test_who_was_faster_does_not_matter(keys: list[str | None], rng: random.Random, error: float) -> None:
    certificate = Certificate(error)
    for call in rng.sample(range(len(keys)), len(keys)):
        certificate.cast(call, keys[call])
    in_order = after(keys, error)
    assert (certificate.certified, certificate.evidence) == (in_order.certified, in_order.evidence)


@given(KEYS, st.sampled_from([0.05, 0.3, 0.9]))
def test_what_is_certified_stays_so(keys: list[str | None], error: float) -> None:
    """It is the first answer whose evidence against each other reaches the bound, and no later vote changes that."""
    counts: Counter[str] = Counter()
    certificate, expected = Certificate(error), None
    for call, key in enumerate(keys):
        certificate.cast(call, key)
        if key is not None:
            counts[key] += 1
        for place, each in enumerate(counts, start=1):
            others = [counts[other] for other in counts if other != each]
            least = min(evidence(counts[each], other) for other in (*others, 0))
            if expected is None and least * Fraction(str(error)) >= Fraction(3, 2) * place * (place + 1):
                expected = each
        assert certificate.certified == expected


@given(KEYS, st.floats(0.01, 0.98), st.floats(0.001, 0.5))
def test_a_smaller_error_certifies_no_sooner(keys: list[str | None], error: float, less: float) -> None:
    stricter, looser = Certificate(error * less), Certificate(error)
    for call, key in enumerate(keys):
        stricter.cast(call, key)
        looser.cast(call, key)
        assert stricter.certified is None or looser.certified is not None


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.51, 0.49), (0.4, 0.35, 0.25), (0.34, 0.33, 0.33)])
@pytest.mark.parametrize("error", [0.05, 0.5])
def test_what_is_not_the_most_probable_is_certified_at_most_that_often(shares: Sequence[float], error: float) -> None:
    rng = random.Random(5)
    best = max(shares)
    wrong = 0
    for _ in range(400):
        certificate = Certificate(error)
        for call, key in enumerate(rng.choices(range(len(shares)), shares, k=150)):
            certificate.cast(call, str(key))
        wrong += certificate.certified is not None and shares[int(certificate.certified)] < best
    assert wrong <= 400 * error


def test_the_error_of_all_sequences_is_at_most_the_stated_one() -> None:
    """All 2^14 sequences of two answers, of which the second is hardly more probable; with an error that can happen."""
    less, error = Fraction(49, 100), 0.6
    wrong = Fraction(0)
    for keys in product("ab", repeat=14):
        if after(keys, error).certified == "a":
            wrong += less ** keys.count("a") * (1 - less) ** keys.count("b")
    assert 0 < wrong <= Fraction(str(error))


def test_many_votes_are_counted_quickly() -> None:
    rng = random.Random(3)
    certificate = Certificate(0.001)
    for call in reversed(range(20_000)):
        certificate.cast(call, str(rng.randrange(1000)))
    assert certificate.evidence < 2


async def vote(answers: Sequence[str | Exception], wave: int | None = None, **how: object) -> RunResult[str]:
    """Sample i answers number i."""

    def script(request: ModelRequest) -> str | Exception:
        said = answers[request.settings.seed or 0]
        return f"Answer: {said}" if isinstance(said, str) else said

    aggregator = aggregators.vote(stop="certificate", **how)  # type: ignore[arg-type]
    mind = Contemplator(ScriptedModel(script), planner=planners.sample(len(answers), wave=wave), aggregator=aggregator)
    with anyio.fail_after(PATIENCE):
        return await mind.run("q")


def answered(result: RunResult[str]) -> int:
    return sum(task.outcome == "answered" for task in result.tasks)


async def test_a_vote_ends_with_a_certificate() -> None:
    result = await vote("a" * 40, wave=1)
    assert (result.text, result.complete, answered(result)) == ("Answer: a", True, 9)
    result = await vote("a" * 40, wave=1, error=0.2)
    assert answered(result) == 6


async def test_a_vote_that_is_decided_needs_no_certificate() -> None:
    result = await vote("aaaaa", wave=3)
    assert (result.text, result.complete, answered(result)) == ("Answer: a", True, 3)


async def test_a_quorum_is_waited_for() -> None:
    assert answered(await vote("a" * 40, wave=1, quorum=15)) == 15


async def test_a_failed_call_is_passed_over() -> None:
    result = await vote([RuntimeError("down"), *"a" * 39], wave=1)
    assert (result.complete, answered(result)) == (True, 9)


async def held_back(first: int, answers: str) -> RunResult[str]:
    """The first calls answer only once all the others have, or when they are cancelled."""
    others = anyio.Event()
    out = len(answers) - first

    async def answer(task: Task, ctx: TaskContext) -> Answer:
        nonlocal out
        call = int(task.id.removeprefix("sample-")) - 1
        if call < first:
            await others.wait()
        out -= call >= first
        if out == 0:
            others.set()
        return Answer(f"Answer: {answers[call]}")

    aggregator = aggregators.vote(stop="certificate")
    planner = planners.sample(len(answers))
    mind = Contemplator(ScriptedModel([]), planner=planner, agent=answer, aggregator=aggregator)
    with anyio.fail_after(PATIENCE):
        return await mind.run("q")


async def test_votes_that_came_out_of_turn_do_not_count_towards_it() -> None:
    """Eleven of thirty say the same, before the first of all answers: certified if counted as they come."""
    result = await held_back(1, "b" + "a" * 11 + "bc" * 9)
    assert (result.output, result.complete) == ("Answer: a", True)
    assert answered(result) == 30


async def test_a_vote_may_be_decided_before_the_first_call_answers() -> None:
    result = await held_back(1, "b" + "a" * 9)
    assert result.output == "Answer: a"
    assert result.tasks[0].outcome == "cancelled"


@pytest.mark.parametrize("error", [0, 1, -0.1, 1.5, float("nan")])
def test_an_error_is_between_0_and_1(error: float) -> None:
    with pytest.raises(ConfigurationError, match=r"vote\(error=.*between 0 and 1"):
        aggregators.vote(stop="certificate", error=error)


def test_it_counts_votes_and_does_not_weigh_them() -> None:
    with pytest.raises(ConfigurationError, match=r'vote\(stop="certificate"\) counts votes'):
        aggregators.vote(stop="certificate", weights=aggregators.by_confidence())
