"""Batches: each question once, errors as results, the order, the bounds, and going on after an end."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contemplate import (
    BatchItem,
    BatchProgress,
    BatchResult,
    Budget,
    ContemplateError,
    Contemplator,
    Limits,
)
from contemplate.batch.items import run_id
from contemplate.batch.mapping import AHEAD
from contemplate.batch.meter import BatchMeter
from contemplate.batch.rules import Order
from contemplate.errors import BatchStopped, ConfigurationError, LimitExceeded
from contemplate.models import ModelRequest
from contemplate.testing import ScriptedModel

from .patience import PATIENCE

pytestmark = pytest.mark.anyio

Script = Callable[[ModelRequest], str | Exception]


def asked(request: ModelRequest) -> str:
    return request.messages[-1].text


def echo(request: ModelRequest) -> str | Exception:
    return ValueError("down") if "fail" in asked(request) else f"Answer: {asked(request)}"


def mind(script: Script = echo, **options: Any) -> Contemplator[str]:
    return Contemplator(ScriptedModel(script), mode="instant", **options)


async def results(of: Contemplator[str], questions: Any, **options: Any) -> list[BatchResult[str]]:
    with anyio.fail_after(PATIENCE):
        return [done async for done in of.map(questions, **options)]


async def test_each_question_has_its_result() -> None:
    found = await results(mind(), ["a", BatchItem("b", id="seven")])
    assert sorted((each.index, each.id, each.question, each.output) for each in found) == [
        (0, None, "a", "Answer: a"),
        (1, "seven", "b", "Answer: b"),
    ]


async def test_an_error_is_a_result_and_ends_nothing() -> None:
    questions: list[Any] = ["fail", None, "", BatchItem("c", id=5), BatchItem("d", run_id="x"), "e"]  # type: ignore[arg-type]
    questions[-1:-1] = [BatchItem("d", id=""), BatchItem("d", sead=1)]  # type: ignore[call-arg]
    found = await results(mind(), questions, order="given")
    assert [each.error is None for each in found] == [False] * 7 + [True]
    said = [str(each.error) for each in found]
    for text, part in zip(
        said, ["down", "NoneType", "empty", "the id 5", "run_id", "the id is empty", "(sead=...)"], strict=False
    ):
        assert part in text
    assert found[0].reached is not None
    with pytest.raises(ContemplateError, match="down"):
        _ = found[0].output


# Each example is up to thirty runs.
@settings(max_examples=15)
@given(data=st.data())
async def test_the_order_is_kept_and_nothing_is_left_out(data: st.DataObject) -> None:
    number = data.draw(st.integers(0, 30))
    concurrency = data.draw(st.integers(1, 7))
    # Each answer waits for so many turns of the event loop.
    turns = data.draw(st.lists(st.integers(0, 4), min_size=number, max_size=number))

    class Model:
        name = "slow"

        async def request(self, request: ModelRequest, on_delta: Any = None) -> Any:
            for _ in range(turns[int(asked(request))]):
                await anyio.lowlevel.checkpoint()
            return await inner.request(request)

    inner = ScriptedModel(echo)
    found = await results(
        Contemplator(Model(), mode="instant"), map(str, range(number)), concurrency=concurrency, order="given"
    )
    assert [each.output for each in found] == [f"Answer: {i}" for i in range(number)]
    assert len(inner.requests) == number


@pytest.mark.parametrize("order", ["finished", "given"])
async def test_no_more_is_fetched_than_there_is_room_for(order: Order) -> None:
    fetched = 0

    def endless() -> Iterator[str]:
        nonlocal fetched
        while True:
            fetched += 1
            yield "q"

    running = most = 0

    class Counting:
        name = "counting"

        async def request(self, request: ModelRequest, on_delta: Any = None) -> Any:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await anyio.lowlevel.checkpoint()
            running -= 1
            return await inner.request(request)

    inner = ScriptedModel(echo)
    batch = Contemplator(Counting(), mode="instant").map(endless(), concurrency=3, order=order)
    with anyio.fail_after(PATIENCE):
        for _ in range(10):
            await anext(batch)
        await anyio.wait_all_tasks_blocked()
        assert fetched <= 10 + AHEAD * 3
        assert most <= 3
        await batch.aclose()
        before = fetched
        await anyio.wait_all_tasks_blocked()
    assert fetched == before


async def test_a_slow_first_question_holds_up_the_rest_only_when_there_is_no_room() -> None:
    first = anyio.Event()

    class Model:
        name = "slow"

        async def request(self, request: ModelRequest, on_delta: Any = None) -> Any:
            if asked(request) == "0":
                await first.wait()
            return await inner.request(request)

    inner = ScriptedModel(echo)
    batch = Contemplator(Model(), mode="instant").map(map(str, range(100)), concurrency=2, order="given")
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:

            async def read() -> None:
                assert [each.index async for each in batch] == list(range(100))

            group.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            assert len(inner.requests) == AHEAD * 2 - 1
            first.set()


@pytest.mark.parametrize("how", ["break", "aclose", "cancel", "error"])
async def test_whoever_leaves_cancels_what_is_in_progress(how: str) -> None:
    cancelled = 0

    class Hanging:
        name = "hanging"

        async def request(self, request: ModelRequest, on_delta: Any = None) -> Any:
            nonlocal cancelled
            if asked(request) == "0":
                return await ScriptedModel(echo).request(request)
            try:
                await anyio.sleep_forever()
            except BaseException:
                cancelled += 1
                raise

    batch = Contemplator(Hanging(), mode="instant").map(map(str, range(50)), concurrency=4)
    with anyio.fail_after(PATIENCE):
        if how == "cancel":
            with anyio.CancelScope() as scope:
                async for _ in batch:
                    await anyio.wait_all_tasks_blocked()
                    scope.cancel()
        elif how == "error":
            with pytest.raises(KeyError):
                async for _ in batch:
                    await anyio.wait_all_tasks_blocked()
                    raise KeyError
            await batch.aclose()
        else:
            async for _ in batch:
                await anyio.wait_all_tasks_blocked()
                break
            await batch.aclose()
        del batch
        gc.collect()
        await anyio.wait_all_tasks_blocked()
    assert cancelled == 4


async def test_too_many_failures_in_a_row_end_the_batch() -> None:
    found = []
    with anyio.fail_after(PATIENCE), pytest.raises(BatchStopped, match="5 questions in a row failed.*down"):
        async for done in mind().map((f"fail {i}" for i in range(10**9)), concurrency=1, give_up_after=5):
            found.append(done)
    assert len(found) == 5


async def test_failures_that_are_not_in_a_row_end_nothing() -> None:
    questions = ["fail", "a", "fail", "b"] * 5
    found = await results(mind(), questions, concurrency=1, give_up_after=2)
    assert sum(each.error is not None for each in found) == 10
    assert len(await results(mind(), ["fail"] * 9, give_up_after=None)) == 9


@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_an_iterable_that_fails_ends_the_batch_after_its_questions(kind: str) -> None:
    closed = False

    def plain() -> Iterator[str]:
        yield from ("a", "b")
        raise OSError("the file is gone")

    async def from_afar() -> AsyncIterator[str]:
        nonlocal closed
        try:
            for each in plain():
                yield each
        finally:
            closed = True

    found = []
    with anyio.fail_after(PATIENCE), pytest.raises(OSError, match="the file is gone"):
        async for done in mind().map(plain() if kind == "plain" else from_afar()):
            found.append(done.question)
    assert sorted(found) == ["a", "b"]
    assert closed or kind == "plain"


async def test_progress_is_told_after_each_question() -> None:
    told: list[BatchProgress] = []
    await results(mind(), ["a", "fail", "b"], concurrency=1, on_progress=told.append)
    assert [(each.done, each.failed, each.total) for each in told] == [(1, 0, 3), (2, 1, 3), (3, 1, 3)]
    assert told[-1].usage.calls == 3
    assert told[-1].seconds_left == 0


async def test_a_listener_that_fails_ends_the_batch_with_its_error() -> None:
    def fail(progress: BatchProgress) -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError, match="a bug"):
        await results(mind(), ["a", "b"], on_progress=fail)


def test_the_rate_is_that_of_late() -> None:
    now = 0.0
    meter = BatchMeter(1000, clock=lambda: now)
    for seconds, times in ((10.0, 100), (1.0, 100)):
        for i in range(times):
            now += seconds
            meter.add(BatchResult(i, None, "q", error=ValueError()))
    progress = meter.progress
    assert (progress.done, progress.failed, progress.seconds) == (200, 200, 1100)
    assert (progress.rate, progress.seconds_left) == (1.0, 800.0)
    assert BatchMeter(None, clock=lambda: now).progress.seconds_left is None


async def test_a_budget_holds_for_all() -> None:
    found = await results(mind(budget=Budget("all", calls=3)), map(str, range(6)), concurrency=2)
    assert sum(each.error is None for each in found) == 3
    assert {type(each.error) for each in found if each.error} == {LimitExceeded}


@pytest.mark.parametrize("killed_after", [0, 1, 4, 9])
async def test_a_batch_goes_on_where_it_was(killed_after: int, tmp_path: Path) -> None:
    journal = f"sqlite:///{tmp_path}/runs.db"
    questions: list[str | BatchItem] = [f"{i}" for i in range(8)]
    questions += [BatchItem("fail once", id="odd id / ü"), "9"]
    down = True

    def script(request: ModelRequest) -> str | Exception:
        return ValueError("down") if down and "fail" in asked(request) else echo_all(request)

    def echo_all(request: ModelRequest) -> str:
        return f"Answer: {asked(request)}"

    first = mind(script, journal=journal)
    batch = first.map(questions, name="b", concurrency=1)
    with anyio.fail_after(PATIENCE):
        for _ in range(killed_after):
            await anext(batch)
        await batch.aclose()
    down = False
    second = mind(script, journal=journal)
    found = await results(second, questions, name="b", order="given")
    assert [each.error for each in found] == [None] * 10
    requests = [*first.model.requests, *second.model.requests]  # type: ignore[attr-defined]
    answered = [asked(request) for request in requests if "fail" not in asked(request)]
    # What was in progress when it was left may be asked again.
    assert len(answered) <= 9 + 1
    assert set(answered) == {each for each in questions if isinstance(each, str)}
    assert first.journal is not None
    assert first.journal.load("b.0-" + run_id("b", 0, BatchItem("0")).partition("-")[2]) is not None
    third = mind(lambda request: AssertionError(), journal=journal)
    assert len(await results(third, questions, name="b")) == 10


async def test_options_of_an_item_are_its_own() -> None:
    def script(request: ModelRequest) -> str:
        return f"{request.settings.max_tokens}"

    found = await results(
        mind(script),
        ["a", BatchItem("b", limits=Limits(output_tokens=70))],
        order="given",
        limits=Limits(output_tokens=90),
    )
    assert [each.output for each in found] == ["90", "70"]


async def test_ids_of_runs_are_short_and_their_own() -> None:
    ids = {run_id("n" * 32, i, BatchItem(q, id=own)) for i, q, own in ((1, "a", None), (1, "b", None), (2, "a", None))}
    ids |= {run_id("n" * 32, 0, BatchItem("a", id=own)) for own in ("x", "y" * 80, "ü", "..", "a b")}
    assert len(ids) == 8
    assert max(map(len, ids)) <= 64


async def an_async_listener(progress: BatchProgress) -> None:
    pass


@pytest.mark.parametrize(
    ("questions", "options", "match"),
    [
        ("a question", {}, "is a str"),
        ({"a": 1}, {}, "is a dict"),
        (["q"], {"name": "b"}, "no journal"),
        (["q"], {"name": "a b"}, "name='a b'"),
        (["q"], {"concurrency": 0}, "concurrency=0"),
        (["q"], {"give_up_after": 0}, "give_up_after=0"),
        (["q"], {"order": "any"}, "order='any'"),
        (["q"], {"limits": 5}, "limits"),
        (["q"], {"run_id": "a"}, "names them all"),
        (["q"], {"on_progress": an_async_listener}, "async"),
        (["q"], {"on_progress": lambda: None}, "on_progress"),
        (5, {}, "questions"),
    ],
)
async def test_what_is_wrong_is_said_before_anything_is_asked(questions: Any, options: Any, match: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        mind().map(questions, **options)
    assert match in str(caught.value)


async def test_typed_outputs_are_typed() -> None:
    found = [done async for done in mind(lambda request: '{"value": 7}').map(["a"], output_type=int)]
    assert found[0].output == 7
