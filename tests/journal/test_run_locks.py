"""Locks of runs: among threads and processes, whichever dies, forks, or removes the file."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contemplate import Contemplator, Limits
from contemplate.errors import JournalBusy, JournalError
from contemplate.journal import Journal
from contemplate.journal.holding import Holding
from contemplate.journal.patience import QUICK
from contemplate.journal.sqlite import run_locks
from contemplate.journal.sqlite.run_locks import PRIVATE, RunHeldError, is_locked, lock_by_byte, lock_by_file
from contemplate.testing import ScriptedModel

from ..patience import PATIENCE
from ..processes import Process, run

posix = pytest.mark.skipif(sys.platform == "win32", reason="it has no such locks")
WAYS = [
    pytest.param(lock_by_byte, marks=posix),
    lock_by_file,
]
Lock = Callable[[Path, str], Callable[[], None]]


def open_files() -> set[str]:
    """Return the numbers of this process's open files. What earlier tests left is closed first, and not meanwhile."""
    gc.collect()
    return set(os.listdir("/dev/fd"))


@pytest.mark.parametrize("lock", WAYS)
@given(steps=st.lists(st.tuples(st.booleans(), st.sampled_from(["a", "b", "\ud800"])), max_size=20))
def test_a_run_is_held_once_and_no_file_is_left(lock: Lock, steps: list[tuple[bool, str]]) -> None:
    with TemporaryDirectory() as folder:
        held: dict[str, Callable[[], None]] = {}
        for locks, run_id in steps:
            if locks and run_id in held:
                with pytest.raises(RunHeldError):
                    lock(Path(folder) / "j", run_id)
            elif locks:
                held[run_id] = lock(Path(folder) / "j", run_id)
            elif run_id in held:
                held.pop(run_id)()
            files = list(Path(folder).iterdir())
            if lock is lock_by_byte:
                assert {each for each in ("a", "b", "\ud800") if is_locked(Path(folder) / "j", each)} == set(held)
                assert files == list(Path(folder).iterdir())
            assert bool(held) == bool(files)
            assert sys.platform == "win32" or all(each.stat().st_mode & 0o777 == PRIVATE for each in files)
        for unlock in held.values():
            unlock()
        assert not list(Path(folder).iterdir())


@pytest.mark.parametrize("lock", WAYS)
def test_what_one_thread_has_locked_another_unlocks(
    lock: Lock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError

    # As on Windows, where an open file cannot be removed.
    monkeypatch.setattr(Path, "unlink", refused)
    with ThreadPoolExecutor(1) as other:
        unlock = other.submit(lock, tmp_path / "j", "a").result()
    unlock()
    lock(tmp_path / "j", "a")()


@posix
def test_where_it_cannot_be_told_a_run_may_be_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unlock = lock_by_byte(tmp_path / "j", "a")
    assert not is_locked(tmp_path / "j", "b")
    monkeypatch.setattr(run_locks, "_FLOCK", {})
    assert is_locked(tmp_path / "j", "b")
    unlock()
    assert not is_locked(tmp_path / "j", "b"), "there is nobody"


@pytest.mark.anyio
async def test_who_waits_for_a_run_looks_less_often_but_as_often_as_suspicions_want_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    class Remote(Journal):
        remote = True

        def take(self, run_id: str) -> Callable[[], None]:
            if len(pauses) < 6:
                raise JournalBusy("its process was not heard of")
            return super().take(run_id)

    journal = Remote()
    monkeypatch.setattr(journal.store, "watch", 0.3, raising=False)
    monkeypatch.setattr("contemplate.journal.holding.anyio.sleep", sleep)
    async with Holding(journal, "r", PATIENCE):
        assert pauses == [0.05, 0.1, 0.2, 0.3, 0.3, 0.3]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("moment", ["taking", "taken", "left", "giving back"])
async def test_whoever_is_cancelled_by_asyncio_itself_leaves_nothing_locked(moment: str) -> None:
    loop = asyncio.get_running_loop()
    given_back = asyncio.Event()

    def cancel(now: str) -> None:
        if moment == now:
            loop.call_soon_threadsafe(task.cancel)

    class Remote(Journal):
        remote = True

        def take(self, run_id: str) -> Callable[[], None]:
            cancel("taking")
            let_go = super().take(run_id)

            def given() -> None:
                cancel("giving back")
                let_go()
                loop.call_soon_threadsafe(given_back.set)

            return given

    class Taken(Holding):
        def _take(self) -> None:
            super()._take()
            # It has ended, and whoever waits for it has not heard of that.
            cancel("taken")

    async def hold() -> None:
        async with Taken(journal, "r", PATIENCE):
            cancel("left")

    journal = Remote()
    task = asyncio.create_task(hold())
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(PATIENCE):
        await given_back.wait()
    journal.take("r")()


@posix
def test_a_file_that_was_cleared_away_is_made_anew_and_the_old_one_removes_nothing(tmp_path: Path) -> None:
    first = lock_by_byte(tmp_path / "j", "first")
    (tmp_path / "j.lock").unlink()
    second = lock_by_byte(tmp_path / "j", "second")
    first()
    assert (tmp_path / "j.lock").exists()
    with pytest.raises(RunHeldError):
        lock_by_byte(tmp_path / "j", "second")
    second()
    assert not list(tmp_path.iterdir())


@posix
@pytest.mark.parametrize("removed", [True, False])
def test_a_file_that_another_process_is_about_to_remove_is_opened_again(
    removed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real, refused = tmp_path / "j.lock", run_locks._try, iter([True])

    def tried(descriptor: int, offset: int, *, shared: bool = False) -> bool:
        if next(refused, False):
            if removed:
                path.unlink()
            return removed
        return real(descriptor, offset, shared=shared)

    monkeypatch.setattr(run_locks, "_try", tried)
    files = open_files()
    unlock = lock_by_byte(tmp_path / "j", "r")
    assert path.exists()
    assert len(open_files() - files) == 1
    unlock()
    assert open_files() <= files


FORKING = """
import os, sys
from pathlib import Path
from contemplate.journal.sqlite import run_locks
from contemplate.journal.sqlite.run_locks import RunHeldError, lock_by_byte

def tried():
    try:
        lock_by_byte(Path(sys.argv[1]), "r")
    except RunHeldError as error:
        return "here" if error.here else "elsewhere"
    return "free"

unlock = lock_by_byte(Path(sys.argv[1]), "r")
for after in (lambda: None, unlock):
    child = os.fork()
    if child == 0:
        after()
        files = len(os.listdir("/dev/fd"))
        print(tried(), len(os.listdir("/dev/fd")) - files, flush=True)
        os._exit(0)
    os.waitpid(child, 0)
print(tried(), flush=True)
unlock()
print(tried(), flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="it has no fork")
def test_a_forked_process_holds_nothing_and_can_unlock_nothing(tmp_path: Path) -> None:
    done = run([sys.executable, "-c", FORKING, str(tmp_path / "j")], PATIENCE)
    assert done.stdout.split() == ["elsewhere", "0", "elsewhere", "0", "here", "free"], done.stderr


CONTENDING = """
import os, sys
from pathlib import Path
from contemplate.journal.sqlite import run_locks
from contemplate.journal.sqlite.run_locks import RunHeldError, lock_run

path, got = Path(sys.argv[1]), 0
while got < 200:
    try:
        unlock = lock_run(path, "r")
    except RunHeldError:
        continue
    os.close(os.open(f"{path}.mine", os.O_CREAT | os.O_EXCL))
    os.unlink(f"{path}.mine")
    unlock()
    got += 1
"""


def test_of_processes_that_contend_one_has_it_while_the_file_comes_and_goes(tmp_path: Path) -> None:
    processes = [Process[bytes]([sys.executable, "-c", CONTENDING, str(tmp_path / "j")]) for _ in range(3)]
    assert [process.wait(PATIENCE) for process in processes] == [0, 0, 0]
    assert not list(tmp_path.iterdir())


@posix
def test_a_run_is_held_once_in_a_process_though_its_lock_file_was_cleared_away(tmp_path: Path) -> None:
    unlock = lock_by_byte(tmp_path / "j", "r")
    (tmp_path / "j.lock").unlink()
    with pytest.raises(RunHeldError) as held:
        lock_by_byte(tmp_path / "j", "r")
    assert held.value.here
    unlock()
    lock_by_byte(tmp_path / "j", "r")()


@posix
@pytest.mark.parametrize("failing", [1, 2])
def test_where_files_cannot_be_locked_that_is_an_error_and_nothing_stays_open(
    failing: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, tries, files = run_locks._try, count(1), open_files()

    def tried(descriptor: int, offset: int, *, shared: bool = False) -> bool:
        if next(tries) >= failing:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
        return real(descriptor, offset, shared=shared)

    with monkeypatch.context() as patch:
        patch.setattr(run_locks, "_try", tried)
        with pytest.raises(JournalError, match="No locks available") as told, Journal(tmp_path / "j").hold("r"):
            pass
        assert "can be locked" in str(told.value.hint)
    assert open_files() <= files
    with Journal(tmp_path / "j").hold("r"):
        pass


@posix
@pytest.mark.parametrize("call", ["_unlock", "_try"])
def test_a_lock_that_cannot_be_ended_costs_no_result(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = open_files()

    def fail(*_: object) -> bool:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch, Journal(tmp_path / "j").hold("r"):
        patch.setattr(run_locks, call, fail)
    assert open_files() <= files
    with Journal(tmp_path / "j").hold("r"):
        pass


@posix
def test_a_run_may_end_while_another_begins_in_the_same_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one does that is garbage, which Python collects wherever it likes."""
    real, ending = run_locks._try, [lock_by_byte(tmp_path / "j", "garbage")]

    def tried(descriptor: int, offset: int, *, shared: bool = False) -> bool:
        if ending:
            ending.pop()()
        return real(descriptor, offset, shared=shared)

    monkeypatch.setattr(run_locks, "_try", tried)
    unlock = lock_by_byte(tmp_path / "j", "r")
    assert not ending
    assert (tmp_path / "j.lock").exists()
    lock_by_byte(tmp_path / "j", "garbage")()
    unlock()
    assert not list(tmp_path.iterdir())


@posix
@pytest.mark.anyio
async def test_a_process_that_stands_still_while_it_removes_the_lock_file_holds_up_no_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, stands_still, naps = run_locks._try, True, list[float]()

    def tried(descriptor: int, offset: int, *, shared: bool = False) -> bool:
        return False if shared and stands_still else real(descriptor, offset, shared=shared)

    monkeypatch.setattr(run_locks, "_try", tried)
    monkeypatch.setattr("contemplate.journal.sqlite.run_locks.time.sleep", naps.append)
    journal = Journal(tmp_path / "j")
    with pytest.raises(JournalBusy), journal.hold("r"):
        pass
    assert 0 < sum(naps) < QUICK
    mind = Contemplator(ScriptedModel("yes"), mode="instant", journal=journal)
    with pytest.raises(JournalBusy):
        await mind.run("So?", run_id="r", limits=Limits(seconds=1))

    async def go_on() -> None:
        nonlocal stands_still
        tried_once = len(naps)
        while len(naps) == tried_once:
            await anyio.lowlevel.checkpoint()
        stands_still = False

    async with anyio.create_task_group() as group:
        group.start_soon(go_on)
        assert (await mind.run("So?", run_id="r")).output == "yes"
    journal.close()


FORKED = """
import os, sys
from pathlib import Path
from contemplate.errors import RunInProgress
from contemplate.journal import Journal, RunRecord

def record(name):
    return RunRecord(run_id=name, question="So?", model="m")

def held(name):
    try:
        with journal.hold(name):
            return "free"
    except RunInProgress as error:
        return "here" if "this process" in str(error) else "elsewhere"

journal = Journal(Path(sys.argv[1]))
with journal.hold("r"):
    journal.save(record("r"))
    # As if another thread were using it just now.
    with journal.store.database.connected(0.0):
        child = os.fork()
        if child == 0:
            print(held("r"), held("child"), flush=True)
            with journal.hold("child"):
                journal.save(record("child"), patience=1.0)
            os._exit(0)
    os.waitpid(child, 0)
    journal.save(record("r"))
    print(held("r"), sorted(run.run_id for run in journal.runs()))
"""


@posix
def test_a_forked_process_has_a_connection_and_runs_of_its_own(tmp_path: Path) -> None:
    done = run([sys.executable, "-c", FORKED, str(tmp_path / "j")], PATIENCE)
    assert done.stdout.splitlines() == ["elsewhere free", "here ['child', 'r']"], done.stderr
