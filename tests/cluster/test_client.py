"""Clients and a worker: what is asked is answered as if it had been asked here."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import anyio
import anyio.to_thread
import psycopg
import pytest
import sqlalchemy

from contemplate import Approved, Budget, Limits, Message, __version__
from contemplate.cluster import Client, WorkerInfo
from contemplate.cluster.site import Site
from contemplate.cluster.submission import Submission
from contemplate.errors import (
    AggregationError,
    ClusterBusy,
    ClusterError,
    ConfigurationError,
    RunCancelled,
    RunInProgress,
    RunNotOver,
)
from contemplate.events import ModelCalled, RunFailed, RunFinished, RunStarted, TaskFinished
from contemplate.run.run import new_run_id

from ..patience import PATIENCE
from ..postgres import PostgresServer
from ..proxy import Proxy
from .stage import DELETED, Stage, until, voters, worker_in_thread

pytestmark = pytest.mark.anyio


async def test_a_question_is_answered_and_its_events_come_meanwhile(workers: str, on_stage: Stage) -> None:
    async with Client(workers) as client:
        handle = await client.submit("wait 2", mind="voters", limits=Limits(calls=3), labels={"ours": 1})
        told = []
        async for event in handle.events():
            told.append(event)
            if [type(each) for each in told].count(ModelCalled) == 2:
                # What was answered is told before the run is over.
                on_stage.open()
        result = await handle.result()
    assert isinstance(told[0], RunStarted)
    assert isinstance(told[-1], RunFinished)
    assert sum(isinstance(each, ModelCalled) and each.error is None for each in told) == 3
    assert sum(isinstance(each, TaskFinished) for each in told) == 5
    assert len({event.model_dump_json() for event in told}) == len(told)
    here = await voters.run("wait 2", limits=Limits(calls=3))
    assert (result.output, result.usage, result.run_id) == (here.output, here.usage, handle.run_id)
    assert result.history == here.history


async def test_what_a_run_is_given_travels(workers: str, on_stage: Stage) -> None:
    async with Client(workers) as client:
        history = [Message.user("before"), Message.assistant("indeed")]
        handle = await client.submit("one", mind="voters", mode="instant", seed=0, history=history)
        result = await handle.result()
    assert result.usage.calls == 1
    assert [each.text for each in result.history] == ["before", "indeed", "one", result.text]


async def test_the_error_of_a_run_is_raised_with_what_it_had(workers: str, on_stage: Stage) -> None:
    async with Client(workers) as client:
        handle = await client.submit("fail", mind="voters", mode="vote", limits=Limits(calls=2))
        result = await handle.result()
        assert not result.complete
        broken = await client.submit("fail at once", mind="voters")
        with pytest.raises(AggregationError, match="it is down") as raised:
            await broken.result()
        assert raised.value.partial is not None
        assert raised.value.partial.run_id == broken.run_id
        assert isinstance([event async for event in broken.events()][-1], RunFailed)


async def test_a_run_submitted_twice_is_one(workers: str, on_stage: Stage, anyio_backend: str) -> None:
    run_id = f"twice-{anyio_backend}"
    async with Client(workers) as client:
        first = await client.submit("the same", mind="voters", run_id=run_id)
        result = await first.result()
        calls = len(on_stage.asked())
        again = await client.submit("the same", mind="voters", run_id=run_id)
        assert (await again.result()).output == result.output
        assert len(on_stage.asked()) == calls
        with pytest.raises(ConfigurationError, match="another question"):
            await client.submit("not the same", mind="voters", run_id=run_id)
        assert (await client.handle(run_id).result()).output == result.output


async def test_a_run_goes_on_that_was_not_answered_in_full(workers: str, on_stage: Stage, anyio_backend: str) -> None:
    run_id = f"further-{anyio_backend}"
    async with Client(workers) as client:
        short = await client.submit("more", mind="voters", run_id=run_id, limits=Limits(calls=2))
        assert not (await short.result()).complete
        whole = await client.submit("more", mind="voters", run_id=run_id)
        assert (await whole.result()).complete
    assert sorted(seed for _, seed, _ in on_stage.asked()) == [0, 1, 2, 3, 4]


async def test_a_run_is_cancelled_wherever_it_is(workers: str, on_stage: Stage) -> None:
    async with Client(workers) as client:
        handle = await client.submit("wait 2", mind="voters")
        await until(lambda: len(on_stage.asked()) >= 3)
        await handle.cancel()
        with pytest.raises(RunCancelled) as raised:
            await handle.result()
        assert raised.value.partial is not None
        assert {each.text for each in raised.value.partial.tasks if each.answered} == {"answer 0", "answer 1"}
        assert await handle.state() == "cancelled"
        on_stage.open()
        again = await client.resume(handle.run_id)
        assert (await again.result()).complete
    assert [seed for _, seed, _ in on_stage.asked()].count(0) == 1


async def test_a_run_that_was_answered_when_it_is_cancelled_has_its_answer(workers: str, on_stage: Stage) -> None:
    async with Client(workers) as client:
        handle = await client.submit("wait 2", mind="voters")
        await until(lambda: len(on_stage.asked()) >= 3)
        # As if it had ended in the journal, a moment before it does in the queue.
        on_stage.open()
        async for _ in handle.events():
            pass
        queue = client._link.queue
        with queue._pool.begin() as connection:
            schema = client._link.site.engine_schema
            change = f"UPDATE {schema}.workflow_status SET status = 'CANCELLED' WHERE workflow_uuid = :run"
            connection.execute(sqlalchemy.text(change), {"run": handle.run_id})
        assert await handle.state() == "cancelled"
        assert (await handle.result()).complete


async def test_a_client_that_is_killed_while_it_submits_again_leaves_the_run_where_it_was(
    workers: str, on_stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Client(workers) as client:
        handle = await client.submit("more", mind="voters", limits=Limits(calls=2))
        await handle.result()
        queue, options = client._link.queue, Submission(mind="voters", question="more")
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(queue._client, "enqueue_in_transaction", _killed)
            await anyio.to_thread.run_sync(queue.submit_again, handle.run_id, options)
        assert await handle.state() == "over"
        assert await anyio.to_thread.run_sync(queue.submit_again, handle.run_id, options)
        # Whoever comes at the same time changes nothing.
        assert not await anyio.to_thread.run_sync(queue.submit_again, handle.run_id, options)
        assert (await handle.result()).complete
    assert sorted(seed for _, seed, _ in on_stage.asked()) == [0, 1, 2, 3, 4]


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


async def test_a_cancelled_run_goes_on_as_it_is_asked_then(workers: str, on_stage: Stage) -> None:
    async with Client(workers) as client:
        handle = await client.submit("any", mind="nobody:mind", run_id=new_run_id())
        await handle.cancel()
        # It never began: nobody but the queue knows what it was asked.
        await client.resume(handle.run_id, mind="voters")
        assert (await handle.result()).complete
        short = await client.submit("wait 0", mind="voters", run_id=new_run_id())
        await short.cancel()
        on_stage.open()
        again = await client.submit("wait 0", mind="voters", run_id=short.run_id, limits=Limits(calls=1))
        assert not (await again.result()).complete


async def test_a_run_that_waits_never_starts_once_it_is_cancelled(workers: str, on_stage: Stage) -> None:
    async with Client(workers) as client:
        handle = await client.submit("nobody answers", mind="nobody:mind")
        with pytest.raises(RunNotOver, match=r"no worker takes .*'nobody:mind'; those alive are: voters, careful on"):
            await handle.result(timeout=0.2)
        await handle.cancel()
        with pytest.raises(RunCancelled):
            await handle.result()
        assert [event async for event in handle.events()] == []
        await handle.cancel()


async def test_a_suspended_run_goes_on_as_it_was_decided(workers: str, on_stage: Stage) -> None:
    DELETED.clear()
    async with Client(workers) as client:
        handle = await client.submit("Delete it.", mind="careful")
        result = await handle.result()
        (call,) = result.pending
        assert not DELETED
        with pytest.raises(ConfigurationError, match="no call 'nothing' waits"):
            await client.resume(handle.run_id, {"nothing": True})
        resumed = await client.resume(handle.run_id, {call.id: Approved()})
        assert (await resumed.result()).output == "done"
        assert DELETED == ["a.txt"]
        with pytest.raises(ConfigurationError, match="was decided"):
            await client.resume(handle.run_id, {call.id: False})


async def test_a_resumed_run_has_the_options_that_it_was_given(workers: str, on_stage: Stage) -> None:
    async with Client(workers) as client:
        handle = await client.submit("Delete it.", mind="careful", limits=Limits(calls=1))
        (call,) = (await handle.result()).pending
        resumed = await client.resume(handle.run_id, {call.id: True})
        with pytest.raises(AggregationError, match=r"Limits\.calls = 1"):
            await resumed.result()


async def test_a_process_has_one_worker(workers: str, on_stage: Stage) -> None:
    with pytest.raises(ClusterError, match="there is a worker in this process"), worker_in_thread(workers, {}):
        pass


async def test_a_run_that_goes_on_cannot_be_decided(workers: str, on_stage: Stage) -> None:
    async with Client(workers) as client:
        handle = await client.submit("wait 0", mind="voters")
        await until(lambda: len(on_stage.asked()) >= 3)
        with pytest.raises(RunInProgress):
            await client.resume(handle.run_id, {"any": True})
        on_stage.open()
        await handle.result()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"tools": [len]}, r"tools=.*cannot travel.*worker's contemplator"),
        ({"deps": object()}, "deps=.*cannot travel"),
        ({"output_type": int}, r"output_type=.*cannot travel.*output_schema="),
        ({"output_schema": {"type": 1}}, "no JSON schema"),
        ({"budget": Budget("b", calls=1)}, r"Budget\('b', calls=1\) cannot travel.*not in their journal"),
        ({"on_event": print}, r"handle\.events\(\)"),
        ({"labels": {"a": object()}}, "labels are not JSON"),
        ({"mode": "brilliant"}, "mode"),
        ({"images": ["nothing.png"]}, "no such file"),
        ({"run_id": "not a name"}, "run_id"),
        ({"question": " "}, "question is empty"),
    ],
)
async def test_what_cannot_be_asked_is_refused_before_it_travels(
    workers: str, options: dict[str, Any], says: str
) -> None:
    async with Client(workers) as client:
        with pytest.raises(ConfigurationError, match=says):
            await client.submit(**{"question": "any", "mind": "voters", **options})
        with pytest.raises(TypeError, match="history"):
            await client.submit("any", mind="voters", histori=[])  # type: ignore[call-arg]


async def test_which_contemplator_is_meant_must_be_clear(workers: str) -> None:
    async with Client(workers) as client:
        with pytest.raises(ConfigurationError, match="several contemplators: careful, voters"):
            await client.submit("Which?")
        with pytest.raises(ClusterError, match="no run 'unknown' was submitted"):
            await client.handle("unknown").result()
        with pytest.raises(ConfigurationError, match="timeout"):
            await client.handle("unknown").result(timeout=0)


async def test_workers_queues_and_runs_are_seen(workers: str, on_stage: Stage) -> None:
    async with Client(workers) as client:
        handle = await client.submit("wait 0", mind="voters")
        waiting = await client.submit("waits", mind="nobody:here")
        await until(lambda: len(on_stage.asked()) >= 3)
        found = await client.status()
        assert [each.minds for each in found.workers] == [("voters", "careful")]
        queues = {each.mind: each for each in found.queues}
        assert (queues["voters"].running, queues["voters"].workers) == (1, 1)
        assert (queues["nobody:here"].queued, queues["nobody:here"].workers) == (1, 0)
        assert found.runs["running"] >= 1
        assert found.begun_per_minute > 0
        await waiting.cancel()
        on_stage.open()
        await handle.result()


async def test_a_client_says_what_is_wrong_with_its_database(postgres: PostgresServer) -> None:
    with pytest.raises(ConfigurationError, match="one machine only"):
        Client("sqlite:///runs.db")
    nowhere = "postgresql://me:secret-word@127.0.0.1:1/db"
    with pytest.raises(ClusterError, match="is the server there, and are database, user") as raised:
        async with Client(nowhere):
            pass
    assert not isinstance(raised.value, ClusterBusy)
    assert "secret-word" not in f"{raised.value} {Client(nowhere)!r}"
    async with Client(postgres.address()) as client:
        with pytest.raises(ClusterError, match="no worker has ever run"):
            await client.submit("any", mind="voters")
        with pytest.raises(ClusterError, match="no worker has ever run"):
            await client.workers()


async def test_a_client_waits_for_room_at_the_server_but_not_for_ever(
    workers: str, postgres: PostgresServer, on_stage: Stage, monkeypatch: pytest.MonkeyPatch, anyio_backend: str
) -> None:
    connect, few = Site.connect, f"few_{anyio_backend}"

    def alter(what: str) -> None:
        with psycopg.connect(postgres.address().partition("?")[0], autocommit=True) as connection:
            connection.execute(f"{what} CONNECTION LIMIT {1 if 'CREATE' in what else 50}".encode())

    def lifted(site: Site, **how: Any) -> psycopg.Connection[Any]:
        try:
            return connect(site, **how)
        except psycopg.OperationalError:
            alter(f"ALTER ROLE {few}")
            raise

    alter(f"CREATE ROLE {few} LOGIN IN ROLE postgres")
    async with Client(workers.replace("//postgres@", f"//{few}@")) as client:
        with monkeypatch.context() as patched:
            patched.setattr("contemplate.cluster.link.PATIENCE", 0.2)
            with pytest.raises(ClusterBusy, match="too many connections for role") as raised:
                await client.submit("any", mind="voters")
        assert "max_connections" in str(raised.value.hint)
        monkeypatch.setattr(Site, "connect", lifted)
        handle = await client.submit("any", mind="voters")
        assert (await handle.result()).complete


async def test_whoever_waits_is_told_that_the_database_is_away_and_loses_nothing(
    workers: str, postgres: PostgresServer, on_stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Proxy(postgres.port)) as proxy:
        async with Client(workers.replace(f":{postgres.port}/", f":{proxy.port}/")) as client:
            handle = await client.submit("wait 2", mind="voters")
            with monkeypatch.context() as patched:
                for module in ("contemplate.cluster.link", "contemplate.journal.following"):
                    patched.setattr(f"{module}.PATIENCE", 0.2)
                proxy.refuse()
                with pytest.raises(ClusterBusy, match="Connection refused"):
                    await handle.result()
            proxy.open()
            on_stage.open()
            assert (await handle.result()).complete


async def test_whoever_waits_for_so_long_does_not_wait_for_a_silent_server(
    workers: str, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contemplate.cluster.handle.TO_TELL_SECONDS", 0.1)
    # Longer than this test may take.
    monkeypatch.setattr("contemplate.journal.following.PATIENCE", 2 * PATIENCE)
    with closing(Proxy(postgres.port)) as proxy:
        async with Client(workers.replace(f":{postgres.port}/", f":{proxy.port}/")) as client:
            handle = await client.submit("any", mind="nobody:mind")
            proxy.hold()
            with anyio.fail_after(PATIENCE), pytest.raises(RunNotOver, match=r"0\.1 s: the database does not answer"):
                await handle.result(timeout=0.1)
            proxy.open()
            await handle.cancel()


async def test_a_queue_that_is_silent_is_away(
    workers: str, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contemplate.cluster.engine.run_queue.LONGEST_ANSWER", 0.2)
    with closing(Proxy(postgres.port)) as proxy:
        through = workers.replace(f":{postgres.port}/", f":{proxy.port}/")
        # It is tried once more, by a new connection: the shortest time for that.
        async with Client(f"{through}&connect_timeout=2") as client:
            handle = await client.submit("any", mind="nobody:mind")
            with monkeypatch.context() as patched:
                patched.setattr("contemplate.cluster.link.PATIENCE", 0.0)
                proxy.hold()
                with anyio.fail_after(PATIENCE), pytest.raises(ClusterBusy, match="connection timeout expired"):
                    await handle.state()
            proxy.open()
            assert await handle.state() == "queued"
            await handle.cancel()


async def test_a_client_that_is_not_open_opens_nothing(workers: str) -> None:
    client = Client(workers)
    with pytest.raises(ClusterError, match="not open"):
        await client.submit("any", mind="voters")
    async with client:
        handle = await client.submit("any", mind="nobody:mind")
        await handle.cancel()
    with pytest.raises(ClusterError, match="not open"):
        await handle.result()


async def test_a_run_whose_worker_has_died_says_so(
    workers: str, on_stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nobody() -> list[WorkerInfo]:
        return []

    async with Client(workers) as client:
        handle = await client.submit("wait 2", mind="voters")
        await until(lambda: len(on_stage.asked()) >= 3)
        with pytest.raises(RunNotOver, match="a worker has it"):
            await handle.result(timeout=0.1)
        with monkeypatch.context() as patched:
            patched.setattr(client._link, "workers", nobody)
            with pytest.raises(RunNotOver, match="has it, and has not been heard of"):
                await handle.result(timeout=0.1)
        on_stage.open()
        await handle.result()


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name == "contemplate"]


async def test_who_submits_what_nobody_takes_is_told_at_once_and_once(
    workers: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contemplate.cluster.lookout.AGAIN_SECONDS", 0.0)
    async with Client(workers) as client:
        handle = await client.submit("any", mind="nobody:mind")
        (told,) = said(caplog)
        assert told.startswith("no worker takes runs of 'nobody:mind'; those alive are: voters, careful on ")
        assert f"start one: contemplate worker nobody:mind --journal {client._link.site.name}" in told
        assert "postgres@" not in told
        for _ in range(2):
            with pytest.raises(RunNotOver):
                await handle.result(timeout=0.3)
        await handle.cancel()
    assert len(said(caplog)) == 1


async def test_who_waits_for_a_run_that_nobody_takes_any_more_is_told(
    workers: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contemplate.cluster.handle.WAITS_SECONDS", 0.0)
    async with Client(workers) as client:
        handle = await client.submit("any", mind="nobody:mind")
    async with Client(workers) as client:
        caplog.clear()
        async with anyio.create_task_group() as waiting:
            waiting.start_soon(client.handle(handle.run_id).result)
            await until(lambda: said(caplog) != [])
            waiting.cancel_scope.cancel()
        await client.handle(handle.run_id).cancel()


async def test_a_client_says_that_its_database_is_back(
    workers: str, postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with Client(workers) as client:
        channel = client._link.site.recorded
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = %s"
        with psycopg.connect(postgres.address().partition("?")[0]) as connection:
            assert connection.execute(query, (f'LISTEN "{channel}"',)).rowcount > 0
        await until(lambda: any("the cluster's database: back after" in each for each in said(caplog)))
    # What a lost connection is called depends on who finds out first.
    assert len(said(caplog)) == 2


async def test_workers_of_another_version_are_told_of(
    workers: str, on_stage: Stage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Client(workers) as client:
        await (await client.submit("any", mind="voters")).result()
        assert said(caplog) == []
    monkeypatch.setattr("contemplate.cluster.lookout.__version__", "99.1")
    async with Client(workers) as client:
        for _ in range(2):
            await (await client.submit("any", mind="voters")).result()
    (told,) = said(caplog)
    assert (
        f"workers with 'voters' have another version of contemplate-ai than this client, 99.1: {__version__};" in told
    )
    assert "pip install contemplate-ai==99.1" in told
