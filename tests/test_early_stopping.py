from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contemplate.aggregators.early_stopping import Ballot, beta_confidence
from contemplate.aggregators.weights import log_odds, self_assessed
from contemplate.events import STRONGEST

Votes = Sequence[tuple[str | None, float]]


def winner(votes: Votes) -> str | None:
    """The plain definition of the vote; `votes` stand in launch order."""
    weights: dict[str, Fraction] = defaultdict(Fraction)
    for key, weight in votes:
        if key is not None:
            weights[key] += Fraction(weight)
    most = max(weights.values(), default=None)
    return next((key for key, _ in votes if key is not None and weights[key] == most), None)


def completions(known: Sequence[str | None], out: Sequence[int], labels: str) -> Iterator[list[str | None]]:
    for rest in product([*labels, None], repeat=len(out)):
        full = list(known)
        for call, key in zip(out, rest, strict=True):
            full[call] = key
        yield full


def in_order(known: Sequence[str]) -> list[str]:
    """Each answer once, in launch order."""
    return list(dict.fromkeys(key for key in known if key != "-"))


def test_the_exact_rule_is_neither_unsound_nor_loose() -> None:
    """Five calls, three answers and abstention, every order of arrival; which answer has which name is all the same."""
    calls = range(5)
    truth: dict[tuple[object, ...], bool] = {}

    def fixed(known: Sequence[str | None], came: frozenset[int]) -> bool:
        state = tuple(known[call] if call in came else 0 for call in calls)
        if state not in truth:
            out = [call for call in calls if call not in came]
            # "x" is an answer that nobody has given yet.
            full = completions(known, out, "abcx")
            truth[state] = len({winner([(key, 1) for key in each]) for each in full}) == 1
        return truth[state]

    states = 0
    named_in_order = (known for known in product("abc-", repeat=5) if "abc".startswith("".join(in_order(known))))
    for known in named_in_order:
        keys = [None if key == "-" else key for key in known]
        for arrivals in permutations(calls):
            ballot = Ballot()
            ballot.launch(5)
            for n, call in enumerate(arrivals, start=1):
                ballot.cast(call, keys[call])
                states += 1
                assert ballot.decided() == fixed(keys, frozenset(arrivals[:n])), (keys, arrivals, n)
            assert ballot.leader() == winner([(key, 1) for key in keys])
    assert states == 187 * 120 * 5
    assert {True, False} == set(truth.values())


WEIGHTED = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", None]), st.floats(0, 3), st.floats(0, 2)), min_size=1, max_size=5
)


@given(WEIGHTED, st.data())
def test_a_weighted_vote_that_is_decided_stays_so(
    calls: list[tuple[str | None, float, float]], data: st.DataObject
) -> None:
    arrivals = data.draw(st.permutations(range(len(calls))))
    heaviest = [weight + spare for _, weight, spare in calls]
    ballot = Ballot()
    for launched, bound in enumerate(heaviest, start=1):
        ballot.launch(launched, heaviest=bound)
    keys: list[str | None] = [None] * len(calls)
    for n, call in enumerate(arrivals, start=1):
        keys[call] = calls[call][0]
        ballot.cast(call, keys[call], calls[call][1])
        if ballot.decided():
            out = arrivals[n:]
            for full in completions(keys, out, "abcx"):
                weights = [heaviest[each] if each in out else calls[each][1] for each in range(len(calls))]
                votes = [(key, weight) for key, weight in zip(full, weights, strict=True) if weight]
                assert winner(votes) == ballot.leader()
    assert ballot.decided()
    assert ballot.out == 0


@given(st.lists(st.sampled_from("abcdefghijklmno"), max_size=60), st.randoms(use_true_random=False))
def test_the_strongest_are_those_who_would_win_one_after_the_other(keys: list[str], rng: random.Random) -> None:
    ballot = Ballot()
    ballot.launch(len(keys))
    came: list[tuple[int, str]] = []
    for call in rng.sample(range(len(keys)), len(keys)):
        ballot.cast(call, keys[call])
        came.append((call, keys[call]))
        firsts = {key: number for number, key in sorted(came, reverse=True)}
        counts = Counter(key for _, key in came)
        assert ballot.strongest == tuple(sorted(counts, key=lambda key: (-counts[key], firsts[key]))[:STRONGEST])


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([0.1, 0.2, 0.3, 0.6])), min_size=1, max_size=5))
def test_the_winner_does_not_depend_on_who_was_faster(votes: list[tuple[str, float]]) -> None:
    leaders = set()
    for arrivals in permutations(range(len(votes))):
        ballot = Ballot()
        ballot.launch(len(votes))
        for call in arrivals:
            ballot.cast(call, *votes[call])
        leaders.add(ballot.leader())
    assert leaders == {winner(votes)}


def test_sums_of_weights_are_exact() -> None:
    ballot = Ballot()
    ballot.launch(12)
    for call in range(10):
        ballot.cast(call, "tenths", 0.1)
    ballot.cast(10, "half", 0.5)
    ballot.cast(11, "half", 0.5)
    # Added as floats, ten tenths are less than one.
    assert ballot.leader() == "tenths"
    assert ballot.votes == {"tenths": 1.0, "half": 1.0}


def test_a_ballot_without_calls() -> None:
    ballot = Ballot()
    assert ballot.decided()
    assert ballot.leader() is None
    assert ballot.confidence() == 0.5


def test_more_calls_undo_a_decision() -> None:
    ballot = Ballot()
    ballot.launch(3)
    ballot.cast(0, "a")
    ballot.cast(1, "a")
    assert ballot.decided()
    ballot.launch(6)
    assert not ballot.decided()
    ballot.launch(2)
    assert ballot.out == 4


def test_failed_calls_are_no_longer_waited_for() -> None:
    ballot = Ballot()
    ballot.launch(3)
    ballot.cast(2, None)
    assert not ballot.decided()
    ballot.cast(1, "a")
    assert not ballot.decided(), "call 0 could say something else, and was launched earlier"
    ballot.cast(0, None)
    assert ballot.decided()
    assert ballot.leader() == "a"


def test_a_tie_that_can_only_be_lost_later_is_decided() -> None:
    ballot = Ballot()
    ballot.launch(2)
    ballot.cast(0, "a")
    assert ballot.decided()
    turned = Ballot()
    turned.launch(2)
    turned.cast(1, "a")
    assert not turned.decided()


def test_a_call_answers_once_and_within_its_weight() -> None:
    ballot = Ballot()
    ballot.launch(2)
    ballot.cast(0, "a")
    with pytest.raises(ValueError, match="call 0"):
        ballot.cast(0, "a")
    with pytest.raises(ValueError, match="call 2"):
        ballot.cast(2, "a")
    with pytest.raises(ValueError, match="more than"):
        ballot.cast(1, "a", 1.5)
    with pytest.raises(ValueError, match="nan"):
        ballot.cast(1, "a", math.nan)
    assert ballot.votes == {"a": 1}
    assert ballot.out == 1


def test_many_calls_are_counted_quickly() -> None:
    calls = 50_000
    ballot = Ballot()
    ballot.launch(calls)
    # The first call is the last to come: nothing can be found by walking from the front again and again.
    for call in reversed(range(calls)):
        ballot.cast(call, "ab"[call % 2])
        ballot.decided()
    assert ballot.leader() == "a"


@pytest.mark.parametrize(("second", "first"), [(0, 4), (1, 6), (2, 8), (3, 9), (4, 11)])
def test_beta_stops_where_it_was_published_to(second: int, first: int) -> None:
    assert beta_confidence(first, second) >= 0.95 > beta_confidence(first - 1, second)


@given(st.integers(0, 60), st.integers(0, 60))
def test_beta_is_the_published_sum(one: int, other: int) -> None:
    first, second = max(one, other), min(one, other)
    total = first + second + 1
    ways = sum(math.comb(total, i) for i in range(first + 1))
    assert beta_confidence(first, second) == pytest.approx(ways / 2**total, abs=1e-12)


def test_confidence_is_of_the_two_largest_counts() -> None:
    ballot = Ballot()
    ballot.launch(6)
    for call, key in enumerate("aaabbc"):
        ballot.cast(call, key)
    assert ballot.confidence() == beta_confidence(3, 2)


def test_log_odds() -> None:
    assert log_odds(0.9) == pytest.approx(math.log(9))
    assert log_odds(0.5) == log_odds(0.2) == 0
    assert log_odds(0.9) < log_odds(0.95)
    for accuracy in (0, 1, -1, math.nan):
        with pytest.raises(ValueError, match="log_odds"):
            log_odds(accuracy)


def test_self_assessed() -> None:
    assert self_assessed(0.8, temperature=0.5) == pytest.approx(math.exp(1.6))
    with pytest.raises(ValueError, match="temperature"):
        self_assessed(0.8, temperature=0)
    with pytest.raises(ValueError, match="too large"):
        self_assessed(1000)


@given(
    st.lists(st.sampled_from(["a", "b", "lost", "cut", "out", None]), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
)
def test_a_vote_is_certain_if_lost_calls_could_not_have_changed_it(votes: list[str | None], rng: random.Random) -> None:
    ballot = Ballot()
    ballot.launch(len(votes))
    arrivals = [call for call, vote in enumerate(votes) if vote != "out"]
    rng.shuffle(arrivals)
    for call in arrivals:
        if votes[call] in ("lost", "cut"):
            ballot.lose(call, cut_off=votes[call] == "cut")
        else:
            ballot.cast(call, votes[call])
    for missing in ({"lost", "out"}, {"lost", "cut", "out"}):
        known = [vote if vote in ("a", "b") else None for vote in votes]
        unknown = [call for call, vote in enumerate(votes) if vote in missing]
        winners = {winner([(key, 1) for key in each]) for each in completions(known, unknown, "abx")}
        assert ballot.certain(cut_off="cut" in missing) == (len(winners) == 1)
