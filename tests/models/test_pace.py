"""The arithmetic of limits, against models of what it must keep."""

from __future__ import annotations

from collections import deque
from math import inf

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from contemplate.models.wrappers.rate_limit import AccountLimits, AccountState, Pass
from contemplate.models.wrappers.rate_limit.account_state import LONGEST_PAUSE
from contemplate.models.wrappers.rate_limit.concurrency_window import ConcurrencyWindow
from contemplate.models.wrappers.rate_limit.line import Line
from contemplate.models.wrappers.rate_limit.meters import MINUTE, STEP, Bucket

SLACK = 1e-3


class Account(RuleBasedStateMachine):
    """Calls come and go in any order; whatever happens, the limits hold and nobody waits without need."""

    @initialize(
        requests=st.none() | st.integers(1, 20),
        tokens=st.none() | st.integers(1, 1000),
        concurrency=st.none() | st.integers(1, 8),
    )
    def begin(self, requests: int | None, tokens: int | None, concurrency: int | None) -> None:
        self.limits = requests, tokens, concurrency
        self.pace = AccountLimits(requests, tokens, concurrency)
        self.now = 100.0
        self.begun = self.now
        self.out: list[Pass] = []
        self.entered: list[float] = []
        self.spent = 0.0
        self.largest = 0.0
        self.pause_ends = -inf

    @rule(seconds=st.floats(0, 200))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(tokens=st.integers(0, 1500))
    def somebody_asks(self, tokens: int) -> None:
        delay = self.pace.delay(tokens, self.now)
        assert delay >= 0
        assert (delay == inf) == (not self.pace.window.free)
        if delay == inf:
            assert self.out
            return
        # A delay is honest: after it, and no later than it says, there is room.
        assert delay <= LONGEST_PAUSE + MINUTE + self._debt() + SLACK
        self.now += delay
        while (more := self.pace.delay(tokens, self.now)) > 0:
            assert more < SLACK
            self.now += SLACK
        assert self.now >= self.pause_ends - SLACK
        self.out.append(self.pace.enter(tokens, self.now))
        self.entered.append(self.now)
        self.spent += tokens
        self.largest = max(self.largest, tokens)

    def _debt(self) -> float:
        tokens = self.limits[1]
        return 0.0 if tokens is None else max(0.0, -self.pace.tokens.level) * MINUTE / tokens

    def _take(self, data: st.DataObject) -> Pass:
        return self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))

    @precondition(lambda self: self.out)
    @rule(data=st.data(), tokens=st.integers(0, 1500))
    def one_is_answered(self, data: st.DataObject, tokens: int) -> None:
        done = self._take(data)
        self.pace.answered(done, self.now, calls=1, tokens=tokens)
        self.spent += tokens - done.tokens
        self.largest = max(self.largest, tokens)
        if done.probe:
            self.pause_ends = -inf

    @precondition(lambda self: self.out)
    @rule(data=st.data(), after=st.none() | st.floats(0, 10_000))
    def one_is_refused(self, data: st.DataObject, after: float | None) -> None:
        done = self._take(data)
        before = self.pace.window.size
        self.pace.refused(done, self.now, after)
        assert self.pace.window.size <= before
        self.spent -= done.tokens
        if after is not None:
            self.pause_ends = max(self.pause_ends, self.now + min(after, LONGEST_PAUSE))

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def one_ends(self, data: st.DataObject) -> None:
        done = self._take(data)
        self.pace.ended(done, self.now)
        if done.probe:
            self.pause_ends = -inf

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def one_is_heard(self, data: st.DataObject) -> None:
        done = data.draw(st.sampled_from(self.out))
        self.pace.heard(done)
        if done.probe:
            self.pause_ends = -inf

    @invariant()
    def calls_out_are_counted(self) -> None:
        if not hasattr(self, "pace"):
            return
        window = self.pace.window
        assert window.out == len(self.out)
        assert 1 <= window.size <= window.most
        assert len({each.number for each in self.out}) == len(self.out)

    @invariant()
    def no_minute_holds_more_than_allowed(self) -> None:
        if not hasattr(self, "pace"):
            return
        requests, tokens, _ = self.limits
        seconds = self.now - self.begun
        if requests is not None:
            assert len(self.entered) <= requests * (1 + seconds / MINUTE) + 1 + SLACK
            recent = [at for at in self.entered if at > self.now - MINUTE]
            assert len(recent) <= 2 * requests + 1
        if tokens is not None:
            # What calls took beyond their estimate, and calls larger than a minute's share, are a debt, paid later.
            assert -self.pace.tokens.level <= self.largest * max(1, len(self.entered))


TestAccount = Account.TestCase
TestAccount.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["join", "serve", "leave"]), st.integers(0, 50))))
def test_a_line_takes_runs_in_turn_and_each_in_order(steps: list[tuple[int, str, int]]) -> None:
    line: Line[tuple[int, int]] = Line()
    expected: deque[tuple[int, deque[int]]] = deque()
    for number, (run, step, pick) in enumerate(steps):
        if step == "join":
            line.join(run, (run, number))
            for name, waiting in expected:
                if name == run:
                    waiting.append(number)
                    break
            else:
                expected.append((run, deque([number])))
        elif not expected:
            assert line.first is None
        elif step == "serve":
            name, waiting = expected.popleft()
            assert line.first == (name, waiting[0])
            line.serve(name, (name, waiting.popleft()))
            if waiting:
                expected.append((name, waiting))
        else:
            name, waiting = expected[pick % len(expected)]
            gone = waiting[pick % len(waiting)]
            waiting.remove(gone)
            line.leave(name, (name, gone))
            if not waiting:
                expected.remove((name, waiting))


def _end(pace: AccountLimits, how: str, permit: Pass, now: float, tokens: int, pause: float) -> None:
    match how:
        case "answered":
            pace.answered(permit, now, calls=1, tokens=tokens)
        case "refused":
            pace.refused(permit, now, pause)
        case "ended":
            pace.ended(permit, now)
        case _:
            pace.unused(permit, now)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["enter", "enter", "answered", "refused", "ended", "unused"]),
            st.integers(0, 50),
            st.sampled_from([0.0, 0.3, 20.0, 50.0]),
        )
    )
)
@example([("enter", 30, 0.0), ("enter", 20, 20.0), ("answered", 0, 0.0), ("enter", 50, 50.0)])
def test_what_is_given_back_lets_nobody_in_too_early(steps: list[tuple[str, int, float]]) -> None:
    """In no minute do calls take more than the limit, as far as it is known what they took."""
    pace, now = AccountLimits(None, 50, None, window=True), 1000.0
    out: list[Pass] = []
    taken: list[list[float]] = []
    of: dict[int, list[float]] = {}
    for what, tokens, seconds in steps:
        now += seconds
        if what == "enter" and pace.window.free:
            now += pace.delay(tokens, now)
            out.append(pace.enter(tokens, now))
            taken.append([now, tokens])
            of[out[-1].number] = taken[-1]
        elif what != "enter" and out:
            done = out.pop(tokens % len(out))
            used = {"answered": min(tokens, done.tokens), "ended": done.tokens}.get(what, 0)
            _end(pace, what, done, now, int(used), 0.0)
            of[done.number][1] = used
        assert sum(used for at, used in taken if at > now - MINUTE + SLACK) <= 50
        # Nor is more held back than that.
        pace.tokens.delay(0.0, now)
        assert sum(used for at, used in taken if at > now - MINUTE - SLACK) >= 50 - pace.tokens.level


@given(
    st.booleans(),
    st.lists(
        st.tuples(
            st.sampled_from(["enter", "answered", "refused", "ended", "unused", "heard"]),
            st.integers(0, 9),
            st.sampled_from([0.0, 0.3, 20.0, 70.0]),
        )
    ),
)
def test_what_is_written_down_goes_on_alike(window: bool, steps: list[tuple[str, int, float]]) -> None:
    """An account that is stored and loaded at each step lets in as the other does, and never earlier."""
    kept = AccountLimits(20, 50, 3, window)
    stored = AccountLimits(20, 50, 3, window)
    now, out = 1000.0, list[Pass]()
    for what, place, seconds in steps:
        now += seconds
        stored = AccountLimits(20, 50, 3, window, AccountState.model_validate_json(stored.state.model_dump_json()))
        delays = kept.delay(place, now), stored.delay(place, now)
        if window:
            assert delays[0] - SLACK <= delays[1] <= delays[0] + STEP + SLACK
        else:
            assert delays[0] == pytest.approx(delays[1])
        if what == "enter" and max(delays) == 0:
            out.append(kept.enter(place, now))
            assert stored.enter(place, now) == out[-1]
        elif what == "heard" and out:
            for each in (kept, stored):
                each.heard(out[place % len(out)])
        elif what != "enter" and out:
            done = out.pop(place % len(out))
            for each in (kept, stored):
                _end(each, what, done, now, place, seconds * 10)


def test_other_limits_go_on_from_what_was_taken() -> None:
    pace = AccountLimits(60, None, 4)
    for _ in range(30):
        pace.ended(pace.enter(0, 100.0), 100.0)
    more = AccountLimits(90, None, 8, state=pace.state)
    assert (more.requests.level, more.window.size) == (60, 8)
    # A window sees when it was, and a bucket refills from then on.
    assert AccountLimits(30, None, None, True, pace.state).delay(0, 101.0) == pytest.approx(59.0)
    pace.refused(pace.enter(0, 100.0), 100.0, None)
    assert AccountLimits(60, None, 9, state=pace.state).window.size == 1
    assert AccountLimits(None, None, None, state=pace.state).requests.level == inf


def test_a_bucket_holds_a_minute() -> None:
    bucket = Bucket(60)
    for _ in range(60):
        assert bucket.delay(1, 0) == 0
        bucket.take(1, 0)
    assert bucket.delay(1, 0) == pytest.approx(1)
    assert bucket.delay(10, 0) == pytest.approx(10)
    bucket.give_back(5, 0)
    assert bucket.delay(1, 0) == 0
    assert bucket.delay(1000, 0) == pytest.approx(55)
    assert bucket.delay(60, 1_000) == 0
    bucket.give_back(5, 1_000)
    assert bucket.level == 60


def test_a_bucket_without_a_limit() -> None:
    bucket = Bucket(inf)
    for now in (0, 0, 5):
        assert bucket.delay(1e9, now) == 0
        bucket.take(1e9, now)


def test_a_clock_that_goes_back_fills_nothing() -> None:
    bucket = Bucket(60)
    bucket.take(60, 100)
    assert bucket.delay(1, 50) == pytest.approx(1)


def test_a_wave_of_refusals_is_one_sign() -> None:
    window = ConcurrencyWindow(64)
    numbers = [window.enter() for _ in range(64)]
    for number in numbers:
        window.refused(number)
    assert (window.size, window.out) == (32, 0)
    window.refused(window.enter())
    assert window.size == 1  # so many were out


def test_a_window_grows_by_one_for_each_full_round_of_answers() -> None:
    window = ConcurrencyWindow(8)
    for number in [window.enter() for _ in range(8)]:
        window.refused(number)
    assert window.size == 4
    for _ in range(4):
        while window.free:
            window.enter()
        window.answered()
    assert 4.9 < window.size <= 5
    for _ in range(1000):
        while window.free:
            window.enter()
        window.answered()
    assert window.size == 8


def test_an_idle_window_does_not_grow() -> None:
    window = ConcurrencyWindow(None)
    for number in [window.enter() for _ in range(8)]:
        window.refused(number)
    for _ in range(100):
        window.enter()
        window.answered()
    assert window.size == 4


def test_a_long_pause_ends_with_one_probe_at_a_time() -> None:
    pace = AccountLimits(None, None, None)
    pace.refused(pace.enter(0, 0), 0, 7200)
    assert pace.delay(0, 1) == LONGEST_PAUSE - 1
    probe = pace.enter(0, LONGEST_PAUSE)
    assert probe.probe
    assert pace.delay(0, LONGEST_PAUSE) > 0
    pace.heard(probe)
    pace.answered(probe, LONGEST_PAUSE, calls=1, tokens=0)
    assert pace.delay(0, LONGEST_PAUSE) == 0
    assert not pace.enter(0, LONGEST_PAUSE).probe


def test_a_probe_that_is_refused_goes_on_with_the_pause() -> None:
    pace = AccountLimits(None, None, 4)
    pace.refused(pace.enter(0, 0), 0, 7200)
    pace.refused(pace.enter(0, LONGEST_PAUSE), LONGEST_PAUSE, 7000)
    assert pace.delay(0, LONGEST_PAUSE) == LONGEST_PAUSE
    assert pace.enter(0, 2 * LONGEST_PAUSE).probe


def test_a_probe_that_ends_without_a_sign_is_followed_by_another() -> None:
    pace = AccountLimits(None, None, None)
    pace.refused(pace.enter(0, 0), 0, 7200)
    pace.ended(pace.enter(0, LONGEST_PAUSE), LONGEST_PAUSE + 1)
    assert pace.delay(0, LONGEST_PAUSE + 1) == 0
    assert pace.enter(0, LONGEST_PAUSE + 1).probe


def test_what_never_went_out_costs_nothing() -> None:
    pace = AccountLimits(1, 10, 1)
    pace.unused(pace.enter(10, 0), 0)
    assert pace.delay(10, 0) == 0


def test_a_pause_ends_with_its_probe_and_with_nothing_else() -> None:
    pace = AccountLimits(None, None, None)
    refused, other = pace.enter(1, 0.0), pace.enter(1, 0.0)
    pace.refused(refused, 0.0, 10 * LONGEST_PAUSE)
    pace.ended(other, 1.0)
    assert pace.delay(1, 1.0) == LONGEST_PAUSE - 1
    probe = pace.enter(1, LONGEST_PAUSE)
    assert probe.probe
    pace.ended(probe, LONGEST_PAUSE + 1)
    assert pace.delay(1, LONGEST_PAUSE + 1) == 0
