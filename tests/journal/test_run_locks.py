"""Locks of runs: among threads and processes, whichever dies, forks, or removes the file."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contemplate.journal import run_locks
from contemplate.journal.run_locks import PRIVATE, RunHeldError, lock_by_byte, lock_by_file

from ..patience import PATIENCE
from ..processes import Process, run

WAYS = [
    pytest.param(lock_by_byte, marks=pytest.mark.skipif(sys.platform == "win32", reason="it has no such locks")),
    lock_by_file,
]
Lock = Callable[[Path, str], Callable[[], None]]


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
            assert bool(held) == bool(files)
            assert sys.platform == "win32" or all(each.stat().st_mode & 0o777 == PRIVATE for each in files)
        for unlock in held.values():
            unlock()
        assert not list(Path(folder).iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such locks")
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


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such locks")
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
    files = len(os.listdir("/dev/fd"))
    unlock = lock_by_byte(tmp_path / "j", "r")
    assert path.exists()
    assert len(os.listdir("/dev/fd")) == files + 1
    unlock()
    assert len(os.listdir("/dev/fd")) == files


FORKING = """
import os, sys
from pathlib import Path
from contemplate.journal import run_locks
from contemplate.journal.run_locks import RunHeldError, lock_by_byte

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
from contemplate.journal import run_locks
from contemplate.journal.run_locks import RunHeldError, lock_run

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
