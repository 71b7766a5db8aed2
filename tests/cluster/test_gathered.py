"""What many ask the database at once is asked together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import anyio
import pytest

from contemplate.cluster.gathered import Gathered
from contemplate.errors import ClusterError

from ..patience import PATIENCE

pytestmark = pytest.mark.anyio


class Database:
    """Answers when it is let."""

    def __init__(self) -> None:
        self.asked: list[Sequence[str]] = []
        self.open = anyio.Event()
        self.error: Exception | None = None

    async def __call__(self, run_ids: Sequence[str]) -> Mapping[str, int]:
        self.asked.append(run_ids)
        told = len(self.asked)
        await self.open.wait()
        if self.error is not None:
            raise self.error
        return {run_id: told for run_id in run_ids if run_id != "unknown"}


async def test_who_comes_while_it_is_asked_is_asked_for_next() -> None:
    database, found = Database(), dict[str, int | None]()
    gathered = Gathered(database)

    async def ask(run_id: str) -> None:
        found[run_id] = await gathered(run_id)

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            group.start_soon(ask, "a")
            await anyio.wait_all_tasks_blocked()
            for run_id in ("b", "c", "unknown", "a"):
                group.start_soon(ask, run_id)
            await anyio.wait_all_tasks_blocked()
            assert database.asked == [["a"]]
            database.open.set()
    assert [sorted(each) for each in database.asked] == [["a"], ["a", "b", "c", "unknown"]]
    # Whoever asks later is told what is so later.
    assert found == {"a": 2, "b": 2, "c": 2, "unknown": None}
    assert await gathered("a") == 3


@pytest.mark.parametrize("cancelled", [0, 1])
async def test_who_is_cancelled_keeps_nobody_waiting(cancelled: int) -> None:
    database, found = Database(), list[int | None]()
    gathered, scopes = Gathered(database), [anyio.CancelScope() for _ in range(3)]

    async def ask(number: int) -> None:
        with scopes[number]:
            found.append(await gathered(str(number)))

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(ask, number)
            await anyio.wait_all_tasks_blocked()
            scopes[cancelled].cancel()
            await anyio.wait_all_tasks_blocked()
            database.open.set()
    assert len(found) == 2


async def test_an_error_is_that_of_all_who_asked() -> None:
    database, raised = Database(), list[str]()
    gathered = Gathered(database)

    async def ask(run_id: str) -> None:
        try:
            await gathered(run_id)
        except ClusterError as error:
            raised.append(str(error))

    database.error = ClusterError("it is away")
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            for run_id in "abcd":
                group.start_soon(ask, run_id)
            await anyio.wait_all_tasks_blocked()
            database.open.set()
        assert len(raised) == 4
        assert sum(map(len, database.asked)) == 4
        assert len(database.asked) <= 2
        database.error = None
        assert await gathered("a") == len(database.asked)
