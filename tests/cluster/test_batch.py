"""Batches that workers answer: as those of one process, and gone on with from anywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from contemplate import BatchItem, BatchProgress, BatchResult, Budget, Contemplator, Limits
from contemplate.batch.items import run_id
from contemplate.cluster import Client
from contemplate.cluster.engine.run_queue import RunQueue
from contemplate.cluster.roster import this_worker
from contemplate.cluster.submission import Submission
from contemplate.cluster.window import LEAST, MOST, TIMES, BatchWindow
from contemplate.errors import BatchStopped, ClusterBusy, ClusterError, ConfigurationError, RunCancelled
from contemplate.journal.following import statuses_of

from ..patience import PATIENCE
from ..postgres import PostgresServer
from .stage import Stage, until, voters

pytestmark = pytest.mark.anyio

# A call each.
ONE: dict[str, Any] = {"mode": "instant", "seed": 0}


async def by_workers(url: str, questions: Any, **options: Any) -> list[BatchResult[Any]]:
    with anyio.fail_after(PATIENCE):
        async with Client(url) as client:
            return [done async for done in client.map(questions, mind="voters", **(ONE | options))]


async def here(mind: Contemplator[str], questions: Any, **options: Any) -> list[BatchResult[Any]]:
    return [done async for done in mind.map(questions, **(ONE | options))]


def known(results: list[BatchResult[Any]]) -> list[tuple[Any, ...]]:
    """What of results does not differ from one time to the next."""
    return [
        (each.index, each.id, each.question, type(each.error), each.reached and each.reached.run_id)
        + (() if each.result is None else (each.result.usage, each.result.output))
        for each in results
    ]


@pytest.mark.parametrize("first", ["workers", "here"])
async def test_a_batch_is_the_same_wherever_it_is_answered(
    workers: str, on_stage: Stage, anyio_backend: str, first: str
) -> None:
    name = f"same-{first}-{anyio_backend}"
    questions = ["one", BatchItem("two", id="second"), "fail at once", BatchItem("three", sead=1), "four"]  # type: ignore[call-arg]
    mind = voters.with_journal(workers)
    told: list[BatchProgress] = []
    options = {"name": name, "order": "given", "on_progress": told.append, "labels": {"ours": 1}}

    async def answered(where: str) -> list[BatchResult[Any]]:
        if where == "here":
            return await here(mind, questions, **options)
        return await by_workers(workers, questions, **options)

    at_first = await answered(first)
    assert [each.index for each in at_first if each.error] == [2, 3]
    assert told[-1].model_dump(include={"done", "failed", "total"}) == {"done": 5, "failed": 2, "total": 5}
    at_second = await answered("here" if first == "workers" else "workers")
    assert known(at_second) == known(at_first)
    # What was answered is not asked again, what failed is.
    assert Counter(question for _, _, question in on_stage.asked()) == {
        "one": 1,
        "two": 1,
        "four": 1,
        "fail at once": 2,
    }
    assert at_first[1].result is not None
    assert mind.journal is not None
    record = mind.journal.load(at_first[1].result.run_id)
    assert record is not None
    assert {"batch": name, "id": "second", "ours": 1}.items() <= record.labels.items()
    await anyio.to_thread.run_sync(mind.journal.close)


async def test_no_more_are_in_the_queue_than_was_said(
    workers: str, on_stage: Stage, anyio_backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit, submitted, most, fetched = RunQueue.submit, list[str](), 0, 0

    def counted(self: RunQueue, run: str, asked: Submission, by: str) -> bool:
        nonlocal most
        done = submit(self, run, asked, by)
        submitted.append(run)
        answered = statuses_of(client._link.journal, submitted)
        most = max(most, sum(answered.get(each) != "answered" for each in submitted))
        return done

    def many() -> Iterator[str]:
        nonlocal fetched
        for number in range(14):
            fetched += 1
            assert fetched <= len(done) + 4 * 3
            yield f"question {number}"

    monkeypatch.setattr(RunQueue, "submit", counted)
    done: list[BatchResult[Any]] = []
    with anyio.fail_after(PATIENCE):
        async with Client(workers) as client:
            async for each in client.map(many(), mind="voters", concurrency=3, **ONE):
                done.append(each)
    assert sorted(each.output for each in done) == ["answer 0"] * 14
    assert len(set(submitted)) == 14
    assert most == 3


async def test_workers_that_come_later_have_work_too() -> None:
    window = BatchWindow(None, "mind", MOST, grows=True)  # type: ignore[arg-type]
    small, large = this_worker(("mind",), 20, 1.0), this_worker(("other", "mind"), MOST, 1.0)
    window.fit([])
    assert window.slots.total_tokens == LEAST
    window.fit([small, this_worker(("other",), 50, 1.0), small.model_copy(update={"silent": 9.0})])
    assert window.slots.total_tokens == 20 * TIMES
    window.fit([small, large])
    assert window.slots.total_tokens == MOST
    window.fit([small.model_copy(update={"draining": True})])
    assert window.slots.total_tokens == LEAST
    given = BatchWindow(None, "mind", 3, grows=False)  # type: ignore[arg-type]
    given.fit([large])
    assert given.slots.total_tokens == 3


async def test_a_batch_goes_on_after_its_client_was_killed(
    workers: str, on_stage: Stage, anyio_backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, questions = f"killed-{anyio_backend}", [*(f"wait 0 {i}" for i in range(4)), "quick", "late"]
    async with Client(workers) as client:
        with monkeypatch.context() as patched:
            # Whoever is killed cancels nothing.
            patched.setattr(RunQueue, "cancel", lambda self, runs: None)
            batch = client.map(questions, mind="voters", name=name, concurrency=4, **ONE)
            async with anyio.create_task_group() as group:
                group.start_soon(anext, batch)
                with anyio.fail_after(PATIENCE):
                    await until(lambda: len(on_stage.asked()) == 4)
                group.cancel_scope.cancel()
            await batch.aclose()
    on_stage.open()
    found = await by_workers(workers, questions, name=name)
    assert sorted(each.index for each in found if each.output == "answer 0") == [0, 1, 2, 3, 4, 5]
    assert Counter(question for _, _, question in on_stage.asked()) == dict.fromkeys(questions, 1)


async def test_a_database_that_crashes_in_the_middle_of_a_batch_costs_no_call(
    workers: str, postgres: PostgresServer, on_stage: Stage
) -> None:
    questions = [f"wait 0 {i}" if i in (1, 4) else f"question {i}" for i in range(14)]
    done: list[BatchResult[Any]] = []
    with anyio.fail_after(PATIENCE):
        async with Client(workers) as client:
            async for each in client.map(questions, mind="voters", concurrency=4, **ONE):
                done.append(each)
                if len(done) == 5:
                    # Some are answered, some are asked, some are in the queue, and some not yet.
                    await until(lambda: {"wait 0 1", "wait 0 4"} <= {question for _, _, question in on_stage.asked()})
                    await anyio.to_thread.run_sync(postgres.stop)
                    on_stage.open()
                    await anyio.to_thread.run_sync(postgres.start)
    assert [(each.error, each.output) for each in done] == [(None, "answer 0")] * len(questions)
    assert sorted(each.index for each in done) == list(range(len(questions)))
    assert Counter(question for _, _, question in on_stage.asked()) == dict.fromkeys(questions, 1)


@pytest.mark.parametrize("closed", ["batch", "client"])
async def test_whoever_leaves_cancels_what_he_has_submitted(
    workers: str, on_stage: Stage, anyio_backend: str, closed: str
) -> None:
    name, questions = f"left-{closed}-{anyio_backend}", ["quick", *(f"wait 0 {i}" for i in range(7))]
    runs = [run_id(name, index, BatchItem(question)) for index, question in enumerate(questions)]
    with anyio.fail_after(PATIENCE):
        async with Client(workers) as observer:
            # Somebody else's.
            other = await observer.submit(questions[1], mind="voters", run_id=runs[1], **ONE)
            async with Client(workers) as client:
                batch = client.map(questions, mind="voters", name=name, concurrency=3, **ONE)
                async for done in batch:
                    assert done.index == 0
                    await until(lambda: len(on_stage.asked()) >= 4)
                    break
                if closed == "batch":
                    await batch.aclose()
            await batch.aclose()
            states = [each.state for each in observer._link.queue.runs(runs[1:])]
            assert await other.state() == "running"
            assert Counter(states) == {"running": 1, "cancelled": len(states) - 1}
            with pytest.raises(RunCancelled):
                await observer.handle(runs[2]).result()
            on_stage.open()
    found = await by_workers(workers, questions, name=name)
    assert [each.error for each in found] == [None] * 8
    assert Counter(question for _, _, question in on_stage.asked())["quick"] == 1


async def test_whoever_leaves_cancels_what_was_submitted_without_his_knowing(
    workers: str, on_stage: Stage, anyio_backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is lost when the run is in the queue, and it is submitted a second time."""
    name, enqueue, lost = f"lost-{anyio_backend}", RunQueue._enqueue, set[str]()

    def losing(self: RunQueue, run: str, *asked: Any) -> bool:
        done = enqueue(self, run, *asked)
        if run not in lost:
            lost.add(run)
            raise ClusterBusy("the connection is lost")
        return done

    monkeypatch.setattr(RunQueue, "_enqueue", losing)
    items = [BatchItem("quick", id="a"), BatchItem("wait 0", id="b")]
    with anyio.fail_after(PATIENCE):
        async with Client(workers) as client:
            batch = client.map(items, mind="voters", name=name, concurrency=2, **ONE)
            assert (await anext(batch)).id == "a"
            await until(lambda: len(on_stage.asked()) == 2)
            await batch.aclose()
            assert await client.handle(f"{name}.b").state() == "cancelled"
    assert lost == {f"{name}.a", f"{name}.b"}


async def test_a_question_that_stands_twice_is_one_run(workers: str, on_stage: Stage, anyio_backend: str) -> None:
    name, run = f"twice-{anyio_backend}", f"twice-{anyio_backend}.a"
    items = [BatchItem("wait 0", id="a"), BatchItem("wait 0", id="a"), BatchItem("quick", id="b")]
    with anyio.fail_after(PATIENCE):
        async with Client(workers) as client:
            batch = client.map(items, mind="voters", name=name, concurrency=3, **ONE)
            assert (await anext(batch)).id == "b"
            await until(lambda: len(on_stage.asked()) == 2)
            await batch.aclose()
            assert await client.handle(run).state() == "cancelled"
            on_stage.open()
            found = [each.output async for each in client.map(items, mind="voters", name=name, **ONE)]
    assert found == ["answer 0"] * 3


async def test_too_many_failures_end_the_batch(workers: str, on_stage: Stage) -> None:
    with pytest.raises(BatchStopped, match="3 questions in a row failed.*it is down"):
        await by_workers(workers, (f"fail at once {i}" for i in range(10**9)), concurrency=1, give_up_after=3)
    assert len(on_stage.asked()) == 3


async def test_what_was_asked_of_another_is_not_given_as_the_answer(
    workers: str, on_stage: Stage, anyio_backend: str
) -> None:
    name = f"other-{anyio_backend}"
    assert [each.error for each in await by_workers(workers, ["one"], name=name)] == [None]
    same = await by_workers(workers, ["one"], name=name, limits=Limits(calls=7), labels={"a": 1})
    assert [each.error for each in same] == [None]
    for options in ({"mode": "vote"}, {"instructions": "briefly"}, {"seed": 1}):
        (found,) = await by_workers(workers, ["one"], name=name, **options)
        assert isinstance(found.error, ConfigurationError)
        assert "another contemplator, or with other options" in str(found.error)
    (found,) = await by_workers(workers, [BatchItem("other", id="x")], name=name)
    (found,) = await by_workers(workers, [BatchItem("another", id="x")], name=name)
    assert "another question" in str(found.error)
    assert len(on_stage.asked()) == 2


async def test_a_run_that_waits_for_a_decision_waits_in_a_batch_too(
    workers: str, on_stage: Stage, anyio_backend: str
) -> None:
    questions, name = [BatchItem("Delete it.", id="a")], f"careful-{anyio_backend}"
    with anyio.fail_after(PATIENCE):
        async with Client(workers) as client:
            for _ in range(2):
                (waiting,) = [each async for each in client.map(questions, mind="careful", name=name)]
                result = waiting.result
                assert result is not None
                (call,) = result.pending
            assert result is not None
            await (await client.resume(result.run_id, {call.id: True})).result()
            (done,) = [each async for each in client.map(questions, mind="careful", name=name)]
    assert done.output == "done"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"tools": [len]}, r"tools=.*cannot travel.*worker's contemplator"),
        ({"budget": Budget("b", calls=1)}, r"Budget\('b', calls=1\) cannot travel.*not in their journal"),
        ({"limits": 5}, "limits"),
        ({"name": "a b"}, "name='a b'"),
        ({"concurrency": 0}, "concurrency=0"),
        ({"run_id": "a"}, "names them all"),
        ({"questions": "one"}, "is a str"),
        ({"order": "any"}, "order='any'"),
    ],
)
async def test_what_is_wrong_is_said_before_anything_is_asked(options: dict[str, Any], says: str) -> None:
    client = Client("postgresql://127.0.0.1:1/nowhere")
    with pytest.raises(ConfigurationError, match=says):
        client.map(**{"questions": ["one"], **options})


async def test_what_cannot_travel_of_one_item_is_its_error(workers: str, on_stage: Stage) -> None:
    found = await by_workers(workers, [BatchItem("one", tools=[len]), "two"], order="given")
    assert "cannot travel" in str(found[0].error)
    assert found[1].output == "answer 0"


async def test_a_database_without_workers_is_an_error_of_the_batch(postgres: PostgresServer) -> None:
    with pytest.raises(ClusterError, match="is not open"):
        await anext(Client(postgres.address()).map(["one"], mind="voters"))
    async with Client(postgres.address()) as client:
        with pytest.raises(ClusterError, match="no worker has ever run"):
            await anext(client.map(["one"], mind="voters"))
