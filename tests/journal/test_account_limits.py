"""Limits in a journal, on a virtual clock: whatever processes do, no cap is exceeded, and nobody is forgotten."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contemplate.errors import JournalError
from contemplate.journal import Journal
from contemplate.journal.account_limits import AccountStatus, JournalAccounts, calls
from contemplate.journal.account_limits.account_row import AHEAD
from contemplate.journal.account_limits.gates import FRESH, LEASE, SUSPECTED
from contemplate.models.wrappers.rate_limit import LATE_START, Allowed, End, Join, News, Turns
from contemplate.models.wrappers.rate_limit.account_state import LONGEST_PAUSE
from contemplate.models.wrappers.rate_limit.meters import MINUTE

from ..patience import PATIENCE

REQUESTS, TOKENS, CONCURRENCY = 6, 3000, 3
ALLOWED = Allowed(REQUESTS, TOKENS, CONCURRENCY)
SLACK = 1e-3
BEGAN = 1000.0
Opened = Callable[[], Journal]


@dataclass
class Clock:
    """The time of the database."""

    now: float = BEGAN


@dataclass(eq=False)
class Worker:
    """One process, as a gate's thread uses an account: what is new goes into the next exchange."""

    accounts: JournalAccounts
    clock: Clock
    name: str
    allowed: Allowed = ALLOWED
    says_so: bool = True
    alive: bool = True
    exchanged: float = 0.0
    due: float = 0.0
    waiting: dict[str, Join] = field(default_factory=dict)
    out: dict[str, float] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    joins: list[Join] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    starts: list[tuple[float, str, Join]] = field(default_factory=list)
    used: dict[str, float] = field(default_factory=dict)

    def come(self, call: str, run: str, tokens: float) -> None:
        """A call asks for its turn."""
        self.waiting[call] = Join(call, f"{self.name} {run}", tokens)
        self.joins.append(self.waiting[call])

    def end(self, place: int, how: Any, tokens: float = 0.0, retry_after: float | None = None) -> None:
        """A call that is in flight is over."""
        if self.out:
            call = sorted(self.out)[place % len(self.out)]
            del self.out[call]
            self.ends.append(End(call, how, tokens=tokens, retry_after=retry_after))
            if how in ("answered", "refused"):
                self.used[call] = tokens

    def cancel(self, place: int) -> None:
        """A call that waits is cancelled."""
        if self.waiting:
            call = sorted(self.waiting)[place % len(self.waiting)]
            del self.waiting[call]
            self.joins = [join for join in self.joins if join.call != call]
            self.ends.append(End(call, "unused"))

    def exchange(self, times: int = 1) -> None:
        """Tell what is new, as often as where a connection is lost."""
        if self.clock.now - self.exchanged > FRESH * LEASE + SUSPECTED:
            # It stood still: what is in flight has no place any more.
            self.lost |= set(self.out)
        news = News(self.allowed, self.says_so, tuple(self.joins), tuple(self.ends), tuple(self.waiting))
        for _ in range(times):
            standing = self.accounts.exchange("us", self.name, news, PATIENCE)
        self.says_so, self.joins, self.ends, self.exchanged = False, [], [], self.clock.now
        self._see(standing.turns)

    def heard(self, place: int) -> None:
        """The answer of a call has begun."""
        self.ends += [End(call, "heard") for call in sorted(self.out)[place : place + 1]]

    def unused(self, place: int) -> None:
        """A call that was let in a little ahead is cancelled before it starts."""
        if late := [call for call, at in self.out.items() if at > self.clock.now]:
            self.starts = [each for each in self.starts if each[0] != self.out[late[0]]]
            self.ends.append(End(late[0], "unused"))
            del self.out[late[0]]

    def look(self, _: int = 0) -> None:
        """See what others have done."""
        told = [call for call, join in self.waiting.items() if join not in self.joins]
        self._see(self.accounts.look("us", self.name, told, PATIENCE))

    def _see(self, turns: Turns) -> None:
        for call, granted in turns.granted.items():
            if self.allowed.window and granted.seconds < -LATE_START:
                # Others may start in its place.
                self.ends.append(End(call, "unused"))
                self.joins.append(self.waiting[call])
                continue
            join = self.waiting.pop(call)
            self.out[call] = self.clock.now + max(0.0, granted.seconds)
            self.starts.append((self.out[call], call, join))
        self.joins += [self.waiting[call] for call in turns.lost if self.waiting[call] not in self.joins]
        self.due = self.clock.now + turns.due


class World:
    """Some processes and one journal."""

    def __init__(self, journal: Journal, allowed: Allowed = ALLOWED, workers: int = 3) -> None:
        self.clock = Clock()
        journal.store.now = lambda connection: self.clock.now  # type: ignore[method-assign]
        self.accounts = JournalAccounts(journal)
        self.allowed = allowed
        self.numbers = count()
        self.gone: list[Worker] = []
        self.workers = [self.start() for _ in range(workers)]

    def start(self) -> Worker:
        """One more process."""
        return Worker(self.accounts, self.clock, f"gate {next(self.numbers)}", self.allowed)

    def kill(self, place: int) -> None:
        """A process is killed, and another one started in its place."""
        place %= len(self.workers)
        self.workers[place].alive = False
        self.gone.append(self.workers[place])
        self.workers[place] = self.start()

    def passes(self, seconds: float, stands_still: Worker | None = None) -> None:
        """Time passes, in which all processes but one say in time that they live, and look."""
        until = self.clock.now + seconds
        while True:
            for worker in self.workers:
                if worker is not stands_still and (worker.waiting or worker.out or worker.ends):
                    worker.exchange()
            for worker in self.workers:
                if worker is not stands_still and worker.waiting:
                    worker.look()
            if self.clock.now >= until:
                return
            due = [each.due for each in self.workers if each.waiting and each is not stands_still]
            self.clock.now = min([until, self.clock.now + LEASE / 3, *[max(at, self.clock.now + 0.01) for at in due]])

    @property
    def starts(self) -> list[tuple[float, float, float, str]]:
        """When calls started, for how many tokens, how many they are known to have taken, and of which run."""
        return sorted(
            (at, join.tokens, each.used.get(call, join.tokens), join.run)
            for each in (*self.workers, *self.gone)
            for at, call, join in each.starts
        )

    def check(self) -> None:
        """What always holds."""
        fenced = self.clock.now - FRESH * LEASE - SUSPECTED
        lives = [each for each in (*self.workers, *self.gone) if each.exchanged > fenced]
        assert sum(len(each.out.keys() - each.lost) for each in lives) <= CONCURRENCY
        starts = self.starts
        most = REQUESTS if self.allowed.window else 2 * REQUESTS
        for at, *_ in starts:
            within = [(tokens, used) for start, tokens, used, _ in starts if at <= start < at + MINUTE - SLACK]
            assert len(within) <= most
            # Of a bucket, one that takes more than is left waits until that is there, and no longer.
            known = TOKENS if self.allowed.window else 2 * TOKENS + max(tokens for tokens, _ in within)
            assert sum(used for _, used in within) <= known + sum(max(0.0, used - tokens) for tokens, used in within)


moves = st.lists(
    st.one_of(
        st.tuples(st.just("come"), st.integers(0, 2), st.sampled_from("abc"), st.sampled_from([1, 400, 2500])),
        st.tuples(st.just("answered"), st.integers(0, 2), st.integers(0, 3), st.sampled_from([1, 400, 2500])),
        st.tuples(st.just("refused"), st.integers(0, 2), st.integers(0, 3), st.sampled_from([None, 1, 30, 600])),
        st.tuples(st.just("ended"), st.integers(0, 2), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("unused"), st.integers(0, 2), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("heard"), st.integers(0, 2), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("cancel"), st.integers(0, 2), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("exchange"), st.integers(0, 2), st.integers(1, 2), st.just(0)),
        st.tuples(st.just("look"), st.integers(0, 2), st.just(0), st.just(0)),
        st.tuples(st.just("kill"), st.just(0), st.just(0), st.integers(0, 2)),
        st.tuples(st.just("passes"), st.just(0), st.just(0), st.sampled_from([0.05, 3, 20, 90])),
        st.tuples(st.just("stand still"), st.integers(0, 2), st.just(0), st.sampled_from([3, 20, 90])),
    ),
    max_size=30,
)


def play(world: World, steps: list[tuple[Any, Any, Any, Any]]) -> None:
    for what, place, one, other in steps:
        worker = world.workers[place]
        if what in ("kill", "passes"):
            getattr(world, what)(other)
        elif what == "stand still":
            world.passes(other, stands_still=worker)
        elif what == "come":
            worker.come(f"call {next(world.numbers)}", one, other)
        elif what in ("cancel", "exchange", "heard", "unused", "look"):
            getattr(worker, what)(one)
        else:
            worker.end(one, what, *((0.0, other) if what == "refused" else (other,)))
        world.check()


def finish(world: World, steps: int) -> None:
    """In the end everyone has their turn, also after a refusal that asked for an hour."""
    until = world.clock.now + MINUTE * (steps + 2) + LONGEST_PAUSE + LEASE + SUSPECTED
    while any(each.waiting or each.out for each in world.workers):
        assert world.clock.now < until, "somebody waits for ever"
        for worker in world.workers:
            worker.end(0, "answered", 1)
        world.passes(1.0)
        world.check()
    world.passes(LEASE)
    for worker in world.workers:
        worker.exchange()
    world.clock.now += LEASE
    world.workers[0].exchange()
    world.clock.now += SUSPECTED
    world.workers[0].exchange()
    (status,) = world.accounts.status()
    assert (status.in_flight, status.waiting) == (0, 0)


@pytest.mark.parametrize("window", [False, True])
@settings(max_examples=80, deadline=None)
@given(steps=moves)
@example(steps=[("come", 0, "a", 2500)] * 3)
@example(steps=[("come", 0, "a", 1), ("exchange", 0, 1, 0), ("kill", 0, 0, 0), ("come", 1, "a", 2500)])
def test_whatever_processes_do(window: bool, steps: list[tuple[Any, Any, Any, Any]]) -> None:
    world = World(Journal(), ALLOWED._replace(window=window))
    play(world, steps)
    finish(world, len(steps))


STORY: list[tuple[Any, Any, Any, Any]] = [
    *[("come", worker, run, 400) for worker in (0, 1, 2) for run in "aab"],
    ("exchange", 0, 2, 0),
    ("exchange", 1, 1, 0),
    ("look", 1, 0, 0),
    ("kill", 0, 0, 0),
    ("cancel", 1, 1, 0),
    ("answered", 0, 0, 2500),
    ("passes", 0, 0, 20),
    ("refused", 1, 0, 30),
    ("exchange", 1, 2, 0),
    ("stand still", 2, 0, 90),
    ("ended", 2, 0, 0),
    ("unused", 1, 0, 0),
]


def test_in_both_databases(opened: Opened) -> None:
    world = World(opened())
    play(world, STORY)
    finish(world, len(STORY))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from("ab")), min_size=2, max_size=24))
def test_runs_of_all_processes_take_turns(arrivals: list[tuple[int, str]]) -> None:
    """Between two turns of a run that waits, every other run has one at most; within a run, the first goes first."""
    world = World(Journal(), Allowed(concurrency=1), workers=2)
    for number, (place, run) in enumerate(arrivals):
        worker = world.workers[place]
        worker.come(f"{number:02}", run, 0)
        worker.exchange()
    names = [f"gate {place} {run}" for place, run in arrivals]
    served: list[str] = []
    calls: list[str] = []
    while len(served) < len(arrivals):
        for worker in world.workers:
            worker.look()
            for call in worker.out:
                calls.append(call)
                served.append(names[int(call)])
            worker.end(0, "answered")
        for worker in world.workers:
            worker.exchange()
    # The first had its turn before others came.
    rest = served[1:]
    for run in set(rest):
        for other in set(rest) - {run}:
            few = min(rest.count(run), rest.count(other))
            both = [each for each in rest if each in (run, other)]
            assert both[: 2 * few].count(run) == few
    for run in set(names):
        mine = [call for call in calls if names[int(call)] == run]
        assert mine == sorted(mine)


def test_a_place_of_a_killed_process_is_free_again_in_time() -> None:
    world = World(Journal(), Allowed(concurrency=1), workers=2)
    killed, other = world.workers
    killed.come("lost", "a", 100)
    killed.exchange()
    world.kill(0)
    began = world.clock.now
    other.come("next", "a", 0)
    while not other.out:
        world.passes(0.1)
    assert LEASE <= world.clock.now - began <= LEASE + SUSPECTED + 0.2


def test_what_a_killed_process_had_reserved_counts() -> None:
    world = World(Journal(), Allowed(tokens=600), workers=2)
    killed, other = world.workers
    killed.come("lost", "a", 600)
    killed.exchange()
    world.kill(0)
    other.come("next", "a", 600)
    world.passes(59.0)
    assert not other.out
    world.passes(1.5)
    assert other.out


def test_a_database_that_was_away_makes_nobody_dead() -> None:
    world = World(Journal(), Allowed(concurrency=2), workers=3)
    for number, worker in enumerate(world.workers):
        worker.come(f"{number}", "a", 0)
        worker.exchange()
    assert [len(each.out) for each in world.workers] == [1, 1, 0]
    world.clock.now += 10 * LEASE
    # Whoever comes back first finds nobody who has said that he lives.
    world.workers[2].exchange()
    world.passes(SUSPECTED + 1)
    assert [len(each.out) for each in world.workers] == [1, 1, 0]
    assert world.accounts.status()[0].in_flight == 2


def test_a_process_that_stood_still_gives_nothing_back_twice() -> None:
    world = World(Journal(), Allowed(requests=60, concurrency=1), workers=2)
    still, other = world.workers
    still.come("old", "a", 0)
    still.exchange()
    still.come("waits", "a", 0)
    still.exchange()
    other.come("new", "a", 0)
    world.passes(LEASE + SUSPECTED + 1, stands_still=still)
    assert other.out
    still.end(0, "answered")
    still.exchange()
    assert world.accounts.status()[0].in_flight == 1
    # What waited has lost its place, and asks again.
    still.exchange()
    other.end(0, "answered")
    world.passes(0.1)
    assert list(still.out) == ["waits"]


def test_calls_are_let_in_ahead_and_start_in_time() -> None:
    world = World(Journal(), Allowed(requests=120), workers=2)
    one, other = world.workers
    for number in range(130):
        (one, other)[number % 2].come(f"{number}", "a", 0)
    other.exchange()
    while len(world.starts) < 130:
        one.exchange()
        other.look()
        assert max(world.starts)[0] <= world.clock.now + AHEAD + SLACK
        if one.due > world.clock.now:
            world.clock.now = one.due
    later = [at for at, *_ in world.starts[120:]]
    assert [at - BEGAN for at in later] == pytest.approx([0.5 * (number + 1) for number in range(10)])


def test_the_process_that_begins_last_says_what_the_limits_are() -> None:
    world = World(Journal(), Allowed(concurrency=1), workers=2)
    one, other = world.workers
    for call in "abc":
        one.come(call, "a", 0)
    one.exchange()
    assert len(one.out) == 1
    other.allowed = Allowed(requests=100, concurrency=3)
    other.exchange()
    one.look()
    assert len(one.out) == 3
    one.exchange()
    (status,) = world.accounts.status()
    assert (status.concurrency, status.requests_per_minute) == (3, 100)


def test_the_accounts_at_a_glance(opened: Opened) -> None:
    journal = opened()
    assert JournalAccounts(journal).status() == []
    world = World(journal, Allowed(60, 600, 2), workers=2)
    one, other = world.workers
    for call in "abc":
        one.come(call, "a", 100)
    one.exchange()
    other.exchange()
    one.end(0, "refused", retry_after=10)
    one.exchange()
    (status,) = JournalAccounts(opened()).status()
    assert status.paused_seconds == pytest.approx(0)
    (status,) = world.accounts.status()
    assert status == AccountStatus(
        account="us",
        requests_per_minute=60,
        tokens_per_minute=600,
        concurrency=2,
        processes=2,
        in_flight=1,
        waiting=1,
        accepted=1,
        requests_left=58,
        tokens_left=500,
        paused_seconds=10,
    )


def test_a_clock_that_is_set_back_holds_nobody_up() -> None:
    world = World(Journal(), Allowed(requests=6, window=True), workers=1)
    (worker,) = world.workers
    for number in range(7):
        worker.come(f"{number}", "a", 0)
    worker.exchange()
    world.clock.now -= 3600
    world.passes(MINUTE + 1)
    assert len(worker.out) == 7


def test_damage_is_told() -> None:
    journal = Journal()
    world = World(journal)
    world.workers[0].exchange()
    journal.store.write(lambda rows: rows.execute("UPDATE limit_accounts SET state = '{'"), 1.0)
    with pytest.raises(JournalError, match="limits of account 'us' cannot be understood"):
        world.workers[0].exchange()
    with pytest.raises(JournalError, match="cannot be understood"):
        world.accounts.status()


def test_more_than_are_let_in_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "AT_ONCE", 2)
    world = World(Journal(), Allowed(), workers=2)
    one, other = world.workers
    for number in range(3):
        one.come(f"{number}", "a", 0)
    other.come("other", "a", 0)
    one.exchange()
    assert (len(one.out), one.due) == (2, world.clock.now)
    other.exchange()
    one.look()
    assert (len(one.out), len(other.out)) == (3, 1)


def test_a_journal_without_the_tables_has_lost_all() -> None:
    turns = JournalAccounts(Journal()).look("us", "gate", ["a"], PATIENCE)
    assert (turns.granted, list(turns.lost)) == ({}, ["a"])
