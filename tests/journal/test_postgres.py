"""A journal in PostgreSQL: what only a database that many machines reach can do, and what may become of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import anyio
import anyio.lowlevel
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from contemplate import Answer, Contemplator, Limits, Message, Task, TaskContext, planners
from contemplate.errors import (
    ConfigurationError,
    JournalBusy,
    JournalError,
    ModelServerError,
    RunInProgress,
    RunTaken,
)
from contemplate.journal import Journal, RunRecord, killed, open_journal
from contemplate.journal.group_commit import Write
from contemplate.journal.holding import Holding
from contemplate.journal.postgres import address_of, connections
from contemplate.journal.postgres.connections import Connections, PostgresConnection
from contemplate.journal.postgres.heartbeat import RenewalThread
from contemplate.journal.postgres.leases import KEPT, SEEN, Leases
from contemplate.journal.postgres.store import PostgresStore, channel_of
from contemplate.messages import ToolCall
from contemplate.models import DeltaSink, ModelRequest, ModelResponse, Retry
from contemplate.testing import ScriptedModel

from ..patience import PATIENCE
from ..postgres import PostgresServer
from ..processes import Process
from .test_store import ENTRIES, entry

# Long enough that no process of these tests is ever late, whatever the machine does: only `silent` ones are suspected.
NEVER = 300.0


def leases_of(journal: Journal) -> Leases:
    assert isinstance(journal.store, PostgresStore)
    return journal.store.leases


def run_on(server: PostgresServer, statement: str, schema: str) -> list[tuple[object, ...]]:
    with psycopg.connect(server.address().partition("?")[0], autocommit=True) as connection:
        connection.execute(f"SET search_path = {schema}")
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def schema(request: pytest.FixtureRequest) -> str:
    return f"t{abs(hash(request.node.nodeid)):x}"


@pytest.fixture
def open_(postgres: PostgresServer, schema: str) -> Iterator[Callable[[], Journal]]:
    with ExitStack() as stack:

        def another() -> Journal:
            journal = open_journal(postgres.address(schema=schema, heartbeat=NEVER))
            stack.callback(journal.close)
            return journal

        yield another


@pytest.fixture
def suspected(open_: Callable[[], Journal], silent: Callable[[float], None]) -> Iterator[tuple[Journal, Journal]]:
    """A journal that has the run `r`, and has not been heard of; and one that wants the run."""
    one, other = open_(), open_()
    with one.hold("r"):
        silent(2)
        with pytest.raises(JournalBusy), other.hold("r"):
            pass
        yield one, other


@pytest.fixture
def silent(postgres: PostgresServer, schema: str) -> Callable[[float], None]:
    """Makes it look as if nobody had been heard of for so many heartbeats, and suspicions were as old."""

    def pass_(heartbeats: float) -> None:
        back = heartbeats * NEVER
        run_on(postgres, f"UPDATE holders SET renewed = renewed - {back}, suspected = suspected - {back}", schema)

    return pass_


def test_what_comes_out_is_what_went_in(open_: Callable[[], Journal]) -> None:
    journal = open_()
    journal.append("r", ENTRIES, {"d": "text"})
    journal.append("r", ENTRIES[:1], {"d": "text"})
    assert open_().entries("r") == [*ENTRIES[1:], ENTRIES[0]]


def test_several_may_begin_at_once(open_: Callable[[], Journal]) -> None:
    journals, errors = [open_() for _ in range(6)], list[Exception]()

    def begin(journal: Journal) -> None:
        try:
            journal.append("r", [entry()], {})
        except JournalError as error:
            errors.append(error)

    threads = [threading.Thread(target=begin, args=(journal,)) for journal in journals]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not errors
    assert len(journals[0].entries("r")) == 1


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("CREATE SCHEMA {0}; CREATE TABLE {0}.mine (a INT)", "is not a journal"),
        ("CREATE SCHEMA {0}; CREATE TABLE {0}.journal (version INT); INSERT INTO {0}.journal VALUES (2)", "version 2"),
    ],
)
def test_what_is_another_ones_is_left_alone(
    before: str, said: str, open_: Callable[[], Journal], postgres: PostgresServer, schema: str
) -> None:
    run_on(postgres, before.format(schema), "public")
    for use in (open_().runs, lambda: open_().append("r", [entry()], {})):
        with pytest.raises(JournalError, match=said) as told:
            use()
        assert "schema=name" in str(told.value.hint)
    tables = run_on(postgres, f"SELECT count(*) FROM pg_tables WHERE schemaname = '{schema}'", "public")
    assert tables == [(1,)]


def test_an_empty_schema_is_enough_for_who_may_make_none(postgres: PostgresServer, schema: str) -> None:
    run_on(postgres, f"CREATE ROLE {schema} LOGIN; CREATE SCHEMA {schema} AUTHORIZATION {schema}", "public")
    with closing(open_journal(postgres.address(schema=schema).replace("//postgres@", f"//{schema}@"))) as journal:
        journal.append("r", [entry()], {})
        assert len(journal.entries("r")) == 1


def test_a_heartbeat_goes_on_after_an_error(caplog: pytest.LogCaptureFixture) -> None:
    beats: Iterator[OSError | bool] = iter([OSError("too many open files"), True, False])
    over = threading.Event()

    def beat() -> bool:
        said = next(beats)
        if isinstance(said, OSError):
            raise said
        if not said:
            over.set()
        return said

    RenewalThread(beat, 0.01).go_on()
    assert over.wait(PATIENCE)
    assert "heartbeat: OSError: too many open files" in caplog.text


def test_who_may_not_read_it_is_told_so(open_: Callable[[], Journal], postgres: PostgresServer, schema: str) -> None:
    open_().append("r", [entry()], {})
    run_on(postgres, f"CREATE ROLE {schema} LOGIN", "public")
    stranger = open_journal(postgres.address(schema=schema).replace("//postgres@", f"//{schema}@"))
    with closing(stranger), pytest.raises(JournalError, match=f"permission denied for schema {schema}"):
        stranger.runs()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("postgresql://me:hunter2hunter2@h", "names no database"),
        ("postgresql://me:hunter2%@h/db", "cannot be read"),
        ("postgresql://me:hunter2hunter2@h/db?schema=Mine", "schema 'Mine'"),
        ("postgresql://me:hunter2hunter2@h/db?schema=pg_mine", "schema 'pg_mine'"),
        ("postgresql://me:hunter2hunter2@h/db?heartbeat=soon", "heartbeat='soon'"),
        ("postgresql://me:hunter2hunter2@h/db?heartbeat=nan", "heartbeat='nan'"),
        ("postgresql://me:hunter2hunter2@h/db?nonsense=1", "cannot be read"),
        *((f"postgresql://me:hunter2{mark}hunter2@h/db", "@ / [?] #") for mark in "@/?#"),
        ("postgresql:/me:hunter2hunter2@h/db", "unknown form"),
        ("postgresql://h/db?user=me&password=hunter2@", "@ / [?] #"),
        ("postgresql://h/db?password=hunter2#hunter2", "@ / [?] #"),
    ],
)
def test_a_name_that_is_wrong_is_told_without_its_secrets(name: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as told:
        open_journal(name)
    assert "hunter2" not in f"{told.value!r} {told.value.__cause__!r}"


def test_a_server_that_is_not_there_is_told_at_once(postgres: PostgresServer) -> None:
    journal = open_journal("postgresql://me:hunter2hunter2@127.0.0.1:1/db")
    assert "hunter2" not in repr(journal)
    with pytest.raises(JournalError, match="127.0.0.1") as told:
        journal.load("r")
    assert not isinstance(told.value, JournalBusy)
    assert "hunter2" not in str(told.value)


def test_text_that_no_database_has_is_an_error_of_its_own(open_: Callable[[], Journal]) -> None:
    journal = open_()
    with pytest.raises(JournalError, match="NUL"):
        journal.save(RunRecord(run_id="a\0b", question="", model="m"))
    journal.save(RunRecord(run_id="r", question="a\0b", model="m"))
    assert [run.question for run in journal.runs(status="running")] == ["a\0b"]


def test_who_listens_is_told_of_each_run_that_changes(
    open_: Callable[[], Journal], postgres: PostgresServer, schema: str
) -> None:
    journal = open_()
    journal.load("")
    with psycopg.connect(postgres.address().partition("?")[0], autocommit=True) as connection:
        connection.execute(f"LISTEN {channel_of(schema)}")
        journal.write([Write("r", [entry(0)]), Write("r", [entry(1)]), Write("s", [entry(0)])])
        journal.append("long" * 2000, [], {})
        told = [each.payload for each in connection.notifies(timeout=PATIENCE, stop_after=3)]
    assert sorted(told) == ["", "r", "s"]


STANDS_STILL = """
import sys, anyio
from contemplate import Contemplator, Limits, planners
from contemplate.errors import RunTaken
from contemplate.testing import ScriptedModel

async def reply(request):
    print("asked", flush=True)
    await anyio.sleep(0.1)
    return "yes"

mind = Contemplator(
    ScriptedModel(reply), planner=planners.sample(30), limits=Limits(concurrency=1), journal=sys.argv[1]
)
try:
    mind.run_sync("So?", run_id="r")
except RunTaken as error:
    print("taken", error.partial is not None, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no process can be stopped here")
def test_a_process_that_stood_still_asks_nothing_more(postgres: PostgresServer, schema: str) -> None:
    name = postgres.address(schema=schema, heartbeat=0.4)
    command = [sys.executable, "-c", STANDS_STILL, name]
    process = Process[str](command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        for _ in range(2):
            assert process.stdout.readline() == "asked\n"
        process.send_signal(signal.SIGSTOP)
        limits = Limits(concurrency=1)
        model = ScriptedModel("yes")
        with closing(open_journal(name)) as journal:
            mind = Contemplator(model, planner=planners.sample(30), limits=limits, journal=journal)
            while True:
                try:
                    result = mind.run_sync("So?", run_id="r")
                    break
                except (RunInProgress, JournalBusy):
                    # It was heard of lately, or was stopped in the middle of a transaction.
                    continue
            recorded, said = journal.entries("r"), process.stdout.fileno()
            # What it asked before it was stopped.
            os.set_blocking(said, False)
            with suppress(BlockingIOError):
                os.read(said, 10_000)
            os.set_blocking(said, True)
            process.send_signal(signal.SIGCONT)
            told = b"".join(iter(lambda: os.read(said, 10_000), b""))
            assert journal.entries("r") == recorded
    process.wait(PATIENCE)
    assert result.complete
    assert told == b"taken True\n"


@pytest.mark.parametrize("arrives", [True, False])
def test_what_is_to_be_written_once_is_when_nobody_tells_the_end_of_the_transaction(
    open_: Callable[[], Journal], postgres: PostgresServer, schema: str, monkeypatch: pytest.MonkeyPatch, arrives: bool
) -> None:
    journal = open_()
    journal.load("")
    run_on(postgres, "CREATE TABLE written (n INT)", schema)
    execute, lost = PostgresConnection.execute, list[str]()

    def losing(connection: PostgresConnection, query: str, *values: Any) -> Any:
        if query == "COMMIT" and not lost:
            lost.append(query)
            if arrives:
                execute(connection, query)
            raise psycopg.OperationalError("the connection is lost")
        return execute(connection, query, *values)

    monkeypatch.setattr(PostgresConnection, "execute", losing)
    journal.store.write(lambda connection: connection.execute("INSERT INTO written VALUES (1)"), PATIENCE, once=True)
    assert lost
    assert run_on(postgres, "SELECT count(*) FROM written", schema) == [(1,)]


def test_as_one_connection_is_lost_no_other_is_tried(
    open_: Callable[[], Journal], postgres: PostgresServer, schema: str
) -> None:
    journal = open_()
    assert isinstance(journal.store, PostgresStore)
    lent, until = journal.store._connections.lent, time.monotonic() + PATIENCE
    with lent(until) as one, lent(until) as other:
        of_both = f"{one.info.backend_pid}, {other.info.backend_pid}"
    run_on(postgres, f"SELECT pg_terminate_backend(pid, 10000) FROM unnest(ARRAY[{of_both}]) AS pid", "public")
    with pytest.raises(JournalBusy, match="cannot be reached"), lent(until) as connection:
        connection.execute("SELECT 1")
    with lent(until) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_server_that_has_no_room_is_waited_for(
    postgres: PostgresServer, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_on(postgres, f"CREATE ROLE {schema} LOGIN CONNECTION LIMIT 1", "public")
    run_on(postgres, f"CREATE SCHEMA {schema} AUTHORIZATION {schema}", "public")
    address = postgres.address(schema=schema).replace("//postgres@", f"//{schema}@")
    with psycopg.connect(address.partition("?")[0]) as only, closing(open_journal(address)) as journal:
        with pytest.raises(JournalBusy, match=f'too many connections for role "{schema}"') as told:
            journal.load("r", patience=0.1)
        assert "max_connections" in str(told.value.hint)
        connect, tried = PostgresConnection.connect, list[None]()

        def third_time(*args: Any, **options: Any) -> Any:
            tried.append(None)
            if len(tried) == 3:
                only.close()
            return connect(*args, **options)

        monkeypatch.setattr(PostgresConnection, "connect", third_time)
        assert journal.runs() == []
        assert len(tried) >= 3


@pytest.mark.parametrize(("left", "waits"), [(0.5, "2"), (4.5, "5"), (60.0, "10")])
def test_a_server_that_does_not_answer_is_waited_for_as_long_as_there_is_time_but_not_for_ever(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, left: float, waits: str
) -> None:
    given: list[str] = []

    def refused(conninfo: str, **options: object) -> None:
        given.append(str(conninfo_to_dict(conninfo)["connect_timeout"]))
        raise psycopg.OperationalError("timeout expired")

    monkeypatch.setattr(PostgresConnection, "connect", refused)
    monkeypatch.setattr(connections, "time", SimpleNamespace(monotonic=lambda: 100.0))
    lent = Connections(address_of(postgres.address())).lent(100.0 + left)
    with pytest.raises(JournalError, match="timeout expired"), lent:
        pass
    assert given == [waits]


class TestWhoHasARun:
    def test_one_at_a_time(self, open_: Callable[[], Journal]) -> None:
        one, other = open_(), open_()
        with one.hold("r"):
            with pytest.raises(RunInProgress, match=r"process \d+ on "), other.hold("r"):
                pass
            with other.hold("s"):
                pass
        with other.hold("r"):
            pass
        assert not leases_of(one)._given_back, "nothing is left to give back"

    @pytest.mark.anyio
    async def test_one_that_is_over_is_waited_for_until_it_is_given_back(
        self, open_: Callable[[], Journal], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, other = open_(), open_()
        taken, take, tries = one.take("r"), other.take, 0

        def taken_then(run_id: str) -> Callable[[], None]:
            nonlocal tries
            tries += 1
            try:
                return take(run_id)
            except RunInProgress:
                if tries > 1:
                    taken()
                raise

        monkeypatch.setattr(other, "take", taken_then)
        one.save(RunRecord(run_id="r", question="", model="m"))
        with pytest.raises(RunInProgress):
            async with Holding(other, "r", PATIENCE):
                pass
        one.save(RunRecord(run_id="r", question="", model="m", status="suspended"))
        async with Holding(other, "r", PATIENCE):
            assert tries == 3

    def test_who_is_silent_is_watched_before_his_runs_are_taken(
        self, open_: Callable[[], Journal], silent: Callable[[float], None]
    ) -> None:
        one, other = open_(), open_()
        with one.hold("r"):
            other.load("")
            silent(100)
            for _ in range(2):
                with pytest.raises(JournalBusy, match="not heard of"), other.hold("r"):
                    pass
            silent(0.5)
            with pytest.raises(JournalBusy, match="not heard of"), other.hold("r"):
                pass
            silent(0.4)
            with other.hold("r"):
                with pytest.raises(RunTaken, match="'r' was taken"):
                    one.save(RunRecord(run_id="r", question="", model="m"))
                assert not one.store.surely_held("r")
                other.save(RunRecord(run_id="r", question="mine", model="m"))
        assert [run.question for run in one.runs()] == ["mine"]

    def test_what_a_dead_process_had_locked_is_free(
        self,
        suspected: tuple[Journal, Journal],
        silent: Callable[[float], None],
        postgres: PostgresServer,
        schema: str,
    ) -> None:
        """It was stopped when it had sent a part of what it writes: the server waits for the rest, without a limit."""
        one, other = suspected
        assert isinstance(one.store, PostgresStore)
        with one.store._connections.lent(time.monotonic() + PATIENCE) as connection:
            connection.pgconn.enter_pipeline_mode()
            for query in (b"BEGIN", b"SELECT 1 FROM leases WHERE run_id = 'r' FOR SHARE"):
                connection.pgconn.send_query_params(query, None)
            connection.pgconn.send_flush_request()
            connection.pgconn.flush()
            state = f"SELECT state, wait_event FROM pg_stat_activity WHERE pid = {connection.pgconn.backend_pid}"
            while run_on(postgres, state, schema) != [("active", "ClientRead")]:
                pass
            silent(2)
            with other.hold("r"):
                other.save(RunRecord(run_id="r", question="mine", model="m"))
            connection.close()
        assert [run.question for run in one.runs()] == ["mine"]

    def test_a_suspicion_that_nobody_watched_begins_anew(
        self, suspected: tuple[Journal, Journal], silent: Callable[[float], None], postgres: PostgresServer, schema: str
    ) -> None:
        """As after an outage of the database, which says nothing of those who use it."""
        _, other = suspected
        silent(5)
        run_on(postgres, f"UPDATE holders SET watched = watched - {1.1 * NEVER}", schema)
        with pytest.raises(JournalBusy), other.hold("r"):
            pass

    def test_who_says_that_he_lives_keeps_his_runs(self, suspected: tuple[Journal, Journal]) -> None:
        one, other = suspected
        leases_of(one)._renewed -= 2 * NEVER
        assert not one.store.surely_held("r")
        one.store.make_sure("r", 5.0)
        assert one.store.surely_held("r")
        with pytest.raises(RunInProgress), other.hold("r"):
            pass

    def test_a_run_is_killed_when_its_process_is_not_heard_of(
        self, open_: Callable[[], Journal], silent: Callable[[float], None]
    ) -> None:
        one, other = open_(), open_()
        runs = [RunRecord(run_id=run_id, question="q", model="m") for run_id in ("r", "s")]
        with one.hold("r"):
            assert killed(one, runs) == killed(other, runs) == {"s"}
            silent(1.9)
            assert killed(other, runs) == {"s"}
            silent(0.2)
            assert killed(other, runs) == {"r", "s"}
            leases_of(one)._beat()
            assert killed(other, runs) == {"s"}
        assert killed(other, runs) == {"r", "s"}

    def test_who_has_not_been_heard_of_for_a_day_is_forgotten_with_his_runs(
        self, open_: Callable[[], Journal], postgres: PostgresServer, schema: str
    ) -> None:
        one, other = open_(), open_()
        one.take("r")
        with other.hold("s"):
            run_on(postgres, f"UPDATE holders SET renewed = renewed - {1.1 * KEPT}", schema)
            for _ in range(2):
                # The database may have been away for that day, too: who lives says so now.
                leases_of(other)._beat()
                assert run_on(postgres, "SELECT run_id FROM leases ORDER BY run_id", schema) == [("r",), ("s",)]
            run_on(postgres, f"UPDATE holders SET suspected = suspected - {1.1 * SEEN}", schema)
            leases_of(other)._beat()
            assert run_on(postgres, "SELECT run_id FROM leases", schema) == [("s",)]
            assert run_on(postgres, "SELECT count(*) FROM holders", schema) == [(1,)]
            # If he comes back all the same, he finds out.
            leases_of(one)._renewed -= 2 * NEVER
            with pytest.raises(RunTaken):
                one.store.make_sure("r", 5.0)

    def test_who_says_that_he_lives_is_not_forgotten(
        self, open_: Callable[[], Journal], postgres: PostgresServer, schema: str
    ) -> None:
        one, other = open_(), open_()
        with one.hold("r"), other.hold("s"):
            run_on(postgres, f"UPDATE holders SET renewed = renewed - {1.1 * KEPT}", schema)
            leases_of(other)._beat()
            leases_of(one)._beat()
            run_on(postgres, f"UPDATE holders SET suspected = suspected - {1.1 * SEEN}", schema)
            leases_of(other)._beat()
            assert run_on(postgres, "SELECT count(*) FROM leases", schema) == [(2,)]

    def test_many_are_taken_at_once_that_nobody_has(self, open_: Callable[[], Journal]) -> None:
        one, other = open_(), open_()
        with one.hold("b"), one.hold_free(["a", "b", "c"]) as mine:
            assert sorted(mine) == ["a", "c"]
            with other.hold_free(["a", "c", "d"]) as theirs:
                assert theirs == ["d"]
            with pytest.raises(RunInProgress), other.hold("c"):
                pass
            one.write([Write("a", [entry()])])
        with other.hold_free(["a", "b", "c"]) as theirs:
            assert sorted(theirs) == ["a", "b", "c"]
        assert not leases_of(one)._given_back
        assert not leases_of(one)._held

    def test_who_lost_a_run_is_told_and_gives_nothing_back(
        self, open_: Callable[[], Journal], silent: Callable[[float], None]
    ) -> None:
        one, other = open_(), open_()
        with one.hold("r"):
            _take(other, silent)
            leases_of(one)._renewed -= 2 * NEVER
            for _ in range(2):
                with pytest.raises(RunTaken, match="'r' was taken"):
                    one.store.make_sure("r", 5.0)
        with pytest.raises(JournalError, match="process"), open_().hold("r"):
            pass


def _take(journal: Journal, silent: Callable[[float], None]) -> None:
    """Take the run `r` from who has it, and keep it."""
    for _ in range(2):
        silent(2)
        try:
            journal.take("r")
        except JournalBusy:
            continue
    assert leases_of(journal)._held


def _lose(one: Journal, other: Journal, silent: Callable[[float], None]) -> None:
    """Let the run `r` be taken from who has it, as if his process had stood still."""
    _take(other, silent)
    leases_of(one)._renewed -= 2 * NEVER


class Stopped(ScriptedModel):
    """A model while whose first call something happens."""

    def __init__(self, script: str | Sequence[str | Exception], meanwhile: Callable[[], None]) -> None:
        super().__init__(script)
        self._meanwhile = meanwhile

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        if not self.requests:
            await anyio.to_thread.run_sync(self._meanwhile)
        return await super().request(request, on_delta)


@pytest.mark.anyio
class TestARun:
    async def test_whose_journal_is_lost_for_a_while(
        self, open_: Callable[[], Journal], postgres: PostgresServer
    ) -> None:
        """The server crashes while it answers; nothing is asked twice, and nothing is lost."""
        times = 0

        class Crashing(ScriptedModel):
            async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
                nonlocal times
                times += 1
                if times == 2:
                    await anyio.to_thread.run_sync(postgres.restart)
                return await super().request(request, on_delta)

        model = Crashing("yes")
        mind = Contemplator(model, planner=planners.sample(3), limits=Limits(concurrency=1), journal=open_())
        result = await mind.run("So?", run_id="r")
        assert result.notes == ()
        assert [run.status for run in open_().runs()] == ["answered"]
        assert len(open_().entries("r")) == len(model.requests)

    @pytest.mark.parametrize("fails", [False, True], ids=["answered", "failed, to be made once more"])
    async def test_that_another_process_takes_ends_at_once(
        self,
        open_: Callable[[], Journal],
        silent: Callable[[float], None],
        fails: bool,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        one, other = open_(), open_()

        script = [ModelServerError("overloaded", model="m") if fails else "yes", *["yes"] * 4]
        model = Stopped(script, lambda: _lose(one, other, silent))
        mind = Contemplator(Retry(model), planner=planners.sample(5), limits=Limits(concurrency=1), journal=one)
        with anyio.fail_after(PATIENCE), pytest.raises(RunTaken, match="goes on there") as told:
            await mind.run("So?", run_id="r")
        assert len(model.requests) == 1
        assert told.value.partial is not None
        assert other.entries("r") == []
        assert [each.getMessage() for each in caplog.records if each.name.startswith("psycopg")] == []

    @pytest.mark.parametrize("own", [False, True], ids=["in the same journal", "with one of its own"])
    @pytest.mark.parametrize("lent", [False, True], ids=["beside", "in a blocked event loop"])
    async def test_within_one_that_is_taken_calls_nothing_more(
        self, open_: Callable[[], Journal], silent: Callable[[float], None], own: bool, lent: bool
    ) -> None:
        one, other = open_(), open_()

        model = Stopped("yes", lambda: _lose(one, other, silent))
        inner = Contemplator(model, planner=planners.sample(5), limits=Limits(concurrency=1))
        inner = inner.with_journal(one) if own else inner

        async def agent(task: Task, ctx: TaskContext) -> Answer:
            return Answer((inner.run_sync(task.prompt) if lent else await inner.run(task.prompt)).text)

        mind = Contemplator(model, planner=planners.direct(), agent=agent, journal=one)
        with anyio.fail_after(PATIENCE), pytest.raises(RunTaken):
            await mind.run("So?", run_id="r")
        assert len(model.requests) == 1

    async def test_that_is_taken_begins_no_tool_that_waits_for_a_thread(
        self, open_: Callable[[], Journal], silent: Callable[[float], None]
    ) -> None:
        one, other = open_(), open_()
        used: list[int] = []

        def look(number: int) -> str:
            """Look."""
            used.append(number)
            if len(used) == 1:
                _lose(one, other, silent)
            return "ok"

        threads = anyio.to_thread.current_default_thread_limiter()
        before, threads.total_tokens = threads.total_tokens, 1
        calls = tuple(ToolCall(id=f"c{n}", name="look", arguments=f'{{"number": {n}}}') for n in range(5))
        model = ScriptedModel([Message.assistant("", calls), "done"])
        mind = Contemplator(model, planner=planners.direct(), tools=[look], journal=one)
        try:
            with anyio.fail_after(PATIENCE), pytest.raises(RunTaken):
                await mind.run("So?", run_id="r")
        finally:
            threads.total_tokens = before
        assert len(used) == 1


@given(
    st.dictionaries(
        st.sampled_from(["password", "options", "application_name"]),
        st.text(st.characters(exclude_categories=["C"]), min_size=1),
    ),
    st.booleans(),
)
def test_what_libpq_is_given_is_what_was_written(parameters: dict[str, str], first: bool) -> None:
    written = "&".join(f"{key}={quote(value, safe='+')}" for key, value in parameters.items())
    own = "schema=a&heartbeat=2"
    address = address_of(
        f"postgresql://me@db/app?{own}&{written}" if first else f"postgresql://me@db/app?{written}&{own}"
    )
    found = {str(key): str(value) for key, value in conninfo_to_dict(address.conninfo).items()}
    assert found == {"user": "me", "host": "db", "dbname": "app", **parameters}
    assert (address.schema, address.heartbeat) == ("a", 2.0)
