"""Writes that come together are one transaction, and each writer knows of his own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import sniffio
from hypothesis import given, settings
from hypothesis import strategies as st

from contemplate import Contemplator
from contemplate.errors import JournalBusy, JournalError
from contemplate.journal import Journal
from contemplate.journal.group_commit import TURNS, GroupCommit, Write
from contemplate.testing import ScriptedModel

from ..patience import PATIENCE

pytestmark = pytest.mark.anyio


class Disk:
    """What was written, transaction by transaction; runs that are called "bad" cannot be."""

    def __init__(self, error: type[Exception] = JournalError) -> None:
        self.transactions: list[list[str]] = []
        self.waits: list[float] = []
        self._error = error

    @property
    def written(self) -> list[str]:
        return sorted(name for each in self.transactions for name in each)

    def write(self, writes: Sequence[Write], patience: float) -> None:
        self.waits.append(patience)
        if any(each.run_id == "bad" for each in writes):
            raise self._error("no")
        self.transactions.append([each.run_id for each in writes])


async def test_those_that_come_together_are_one_transaction() -> None:
    disk = Disk()
    together = GroupCommit(disk.write)

    async def write(name: str, patience: float) -> None:
        await together.write(Write(name), patience)
        assert [name for each in disk.transactions if name in each] == [name]

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(write, f"r{number}", number / 100)
    assert [len(each) for each in disk.transactions] == [20]
    assert disk.waits == [0.19]
    await write("later", 0.0)
    assert disk.transactions[1:] == [["later"]]


@pytest.mark.parametrize("gone", [(), (1, 2, 11)])
async def test_they_go_on_in_the_order_in_which_they_are_on_disk(gone: tuple[int, ...]) -> None:
    """On trio, those who are woken together go on in any order; and those who come meanwhile are a group of their own.

    Tasks of asyncio's may be cancelled within shields; for the others that is as if they had not come.
    """
    disk, went_on = Disk(), list[str]()
    together = GroupCommit(disk.write)
    tasks: dict[int, asyncio.Task[Any]] = {}

    async def write(number: int) -> None:
        if sniffio.current_async_library() == "asyncio":
            tasks[number] = asyncio.tasks.current_task()  # type: ignore[assignment]
        # They come in threes.
        for _ in range(number // 3):
            await anyio.lowlevel.checkpoint()
        with suppress(asyncio.CancelledError):
            await together.write(Write(str(number)), 0.0)
            went_on.append(str(number))

    async with anyio.create_task_group() as group:
        for number in range(30):
            group.start_soon(write, number)
        for _ in range(6):
            await anyio.lowlevel.checkpoint()
        for number in gone:
            if number in tasks:
                tasks[number].cancel()
    on_disk = [name for each in disk.transactions for name in each]
    assert sorted(map(int, on_disk)) == list(range(30))
    assert went_on == [name for name in on_disk if name in went_on]
    assert len(went_on) >= 27
    assert not together._before


async def test_who_is_alone_hardly_waits() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async with anyio.create_task_group() as group:
        group.start_soon(count)
        await GroupCommit(Disk().write).write(Write("r"), 0.0)
        assert turns < TURNS // 2
        group.cancel_scope.cancel()


async def test_who_waits_for_others_does_not_wait_forever() -> None:
    disk = Disk()
    together = GroupCommit(disk.write)

    async def join(number: int) -> None:
        for _ in range(number):
            await anyio.lowlevel.checkpoint()
        await together.write(Write(f"r{number}"), 0.0)

    async with anyio.create_task_group() as group:
        for number in range(4 * TURNS):
            group.start_soon(join, number)
    assert len(disk.transactions) > 1
    assert len(disk.written) == 4 * TURNS


async def failed_of_three(disk: Disk, error: type[Exception], patience: float) -> list[str]:
    """Write three, of which the second is bad, and return whom `error` was raised for."""
    together, failed = GroupCommit(disk.write), []

    async def write(name: str) -> None:
        try:
            await together.write(Write(name), patience)
        except error:
            failed.append(name)

    async with anyio.create_task_group() as group:
        for name in ("a", "bad", "b"):
            group.start_soon(write, name)
    return failed


@pytest.mark.parametrize("error", [JournalError, ValueError, MemoryError, OverflowError])
async def test_what_cannot_be_written_costs_no_other(error: type[Exception]) -> None:
    disk = Disk(error)
    assert await failed_of_three(disk, error, 0.0) == ["bad"]
    assert disk.written == ["a", "b"]


async def test_if_others_keep_the_journal_everybody_is_told_and_nobody_waits_again() -> None:
    disk = Disk(JournalBusy)
    assert sorted(await failed_of_three(disk, JournalBusy, 0.5)) == ["a", "b", "bad"]
    assert disk.waits == [0.5]


@pytest.mark.parametrize("who", ["first", "second"])
async def test_who_is_cancelled_is_written_and_so_are_the_others(who: str) -> None:
    disk = Disk()
    together = GroupCommit(disk.write)

    async def write(name: str) -> None:
        with anyio.CancelScope() as scope:
            if name == who:
                scope.cancel()
            await together.write(Write(name), 0.0)

    async with anyio.create_task_group() as group:
        for name in ("first", "second"):
            group.start_soon(write, name)
    assert disk.written == ["first", "second"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("who", [0, 1])
async def test_who_is_cancelled_past_every_shield_is_written_and_so_are_the_others(who: int) -> None:
    disk = Disk()
    together = GroupCommit(disk.write)
    writes = [asyncio.ensure_future(together.write(Write(name), 0.0)) for name in ("first", "second")]
    await asyncio.sleep(0)
    writes[who].cancel()
    ended = await asyncio.gather(*writes, return_exceptions=True)
    assert isinstance(ended[who], asyncio.CancelledError)
    assert ended[1 - who] is None
    assert disk.written == ["first", "second"]


class Interrupted(BaseException):
    """As `KeyboardInterrupt`, which a test runner would take for its own."""


@pytest.mark.parametrize("alone", [False, True])
async def test_who_is_interrupted_while_it_writes_holds_up_nobody(alone: bool) -> None:
    """On Ctrl-C, those who waited for him waited forever, within a shield, and whoever came later waited for them."""
    ended = dict[str, str]()

    def write(writes: Sequence[Write], patience: float) -> None:
        if not alone or len(writes) == 1:
            raise Interrupted
        raise MemoryError

    together = GroupCommit(write)

    async def wait(name: str) -> None:
        try:
            await together.write(Write(name), 0.0)
        except BaseException as error:
            ended[name] = type(error).__name__

    for names in ("abc", "de"):
        async with anyio.create_task_group() as group:
            for name in names:
                group.start_soon(wait, name)
    # On trio, another one is the first.
    assert sorted(ended.values()) == ["Interrupted"] * 2 + ["JournalBusy"] * 3
    assert not together._groups
    assert not together._before


async def test_other_processes_are_waited_for_once_where_each_is_written_by_itself() -> None:
    waits = list[float]()

    def write(writes: Sequence[Write], patience: float) -> None:
        waits.append(patience)
        raise JournalBusy("others write") if len(writes) == 1 else JournalError("no")

    together = GroupCommit(write)

    async def wait(name: str) -> None:
        with pytest.raises(JournalBusy, match="others write"):
            await together.write(Write(name), 0.02)

    async with anyio.create_task_group() as group:
        for name in "abc":
            group.start_soon(wait, name)
    assert waits == [0.02, 0.02, 0.0, 0.0]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_order_is_kept_if_the_first_of_those_who_wait_is_cancelled_past_every_shield() -> None:
    disk, went_on = Disk(), list[str]()
    together = GroupCommit(disk.write)

    async def write(name: str) -> None:
        await together.write(Write(name), 0.0)
        went_on.append(name)

    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(write, f"a{number}")
        while not disk.transactions:
            await anyio.lowlevel.checkpoint()
        later = [asyncio.ensure_future(write(f"b{number}")) for number in range(3)]
        await anyio.lowlevel.checkpoint()
        later[0].cancel()
    await asyncio.wait(later)
    assert [len(each) for each in disk.transactions] == [5, 3]
    assert went_on == [name for each in disk.transactions for name in each if name != "b0"]
    assert not together._before


@dataclass(frozen=True)
class Comer:
    """Somebody who writes: when he comes, what becomes of it, and after how many turns he is cancelled, if at all."""

    comes: int
    ends: Literal["written", "cannot be", "no memory", "others write", "interrupted"]
    cancelled: int | None
    past_shields: bool


COMERS = st.lists(
    st.builds(
        Comer,
        st.integers(0, 6),
        st.sampled_from(["written"] * 8 + ["cannot be", "no memory", "others write", "interrupted"]),
        st.none() | st.integers(0, 12),
        st.booleans(),
    ),
    max_size=12,
)
ERRORS = {"cannot be": JournalError("no"), "no memory": MemoryError(), "others write": JournalBusy("others write")}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=60, deadline=None)
@given(COMERS)
def test_whoever_comes_and_whatever_becomes_of_him_all_go_on_in_order(backend: str, comers: list[Comer]) -> None:
    anyio.run(_all_go_on, comers, backend=backend)


def _committed(comers: list[Comer], on_disk: list[str], writes: Sequence[Write]) -> None:
    ends = [comers[int(each.run_id)].ends for each in writes]
    if "interrupted" in ends:
        raise Interrupted
    if errors := [ERRORS[each] for each in ends if each in ERRORS]:
        raise errors[0]
    on_disk.extend(each.run_id for each in writes)


async def _all_go_on(comers: list[Comer]) -> None:
    on_disk, went_on, gone = list[str](), list[str](), 0
    together = GroupCommit(lambda writes, _: _committed(comers, on_disk, writes))

    async def come(number: int) -> None:
        nonlocal gone
        for _ in range(comers[number].comes):
            await anyio.lowlevel.checkpoint()
        with anyio.CancelScope() as scope:
            if comers[number].cancelled is not None:
                group.start_soon(cancel, comers[number], scope, task_of_asyncio())
            with suppress(asyncio.CancelledError, Interrupted, JournalError, MemoryError):
                await together.write(Write(str(number)), 0.0)
                assert str(number) in on_disk
                went_on.append(str(number))
        gone += 1

    async def cancel(comer: Comer, scope: anyio.CancelScope, task: asyncio.Task[Any] | None) -> None:
        for _ in range(comer.cancelled or 0):
            await anyio.lowlevel.checkpoint()
        if comer.past_shields and task is not None:
            task.cancel()
        else:
            scope.cancel()

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            for number in range(len(comers)):
                group.start_soon(come, number)
    assert gone == len(comers)
    assert went_on == [name for name in on_disk if name in went_on]
    assert len(set(on_disk)) == len(on_disk)
    assert not together._groups
    assert not together._before


def task_of_asyncio() -> asyncio.Task[Any] | None:
    return asyncio.current_task() if sniffio.current_async_library() == "asyncio" else None


async def test_runs_of_several_event_loops_share_a_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    mind = Contemplator(ScriptedModel("yes"), mode="instant", journal=journal)

    async def elsewhere(number: int) -> None:
        await anyio.to_thread.run_sync(lambda: mind.run_sync("So?", run_id=f"there-{number}"))

    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(elsewhere, number)
            group.start_soon(lambda name: mind.run("So?", run_id=name), f"here-{number}")
    assert [run.status for run in journal.runs()] == ["answered"] * 10
    journal.close()
