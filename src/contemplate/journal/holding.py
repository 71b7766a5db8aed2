"""A run that is taken for a block, by what must not block."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

import anyio

from ..errors import JournalBusy, RunInProgress
from .following import statuses_of
from .journal import Journal
from .patience import in_thread, when_free

# Seconds after which it is tried again at first, where a network lies in between; and for how many at most a run is
# waited for that is over, and is just being given back.
PAUSE = 0.05
GIVEN_BACK = 5.0


class Holding:
    """A run that nobody else has in the block; others are waited for, unless they surely have it.

    Args:
        journal: the journal.
        run_id: the run.
        patience: for how many seconds.

    Raises:
        RunInProgress: somebody has it.
        JournalBusy: whether somebody has it was not to be found out.
        JournalError: it cannot be taken.
    """

    def __init__(self, journal: Journal, run_id: str, patience: float) -> None:
        self._journal = journal
        self._run_id = run_id
        self._patience = patience
        self._let_go: Callable[[], None] = lambda: None
        self._given_up = False
        # Of a thread and of whoever waits for it, the later one gives back what nobody wants any more.
        self._lock = threading.Lock()

    async def __aenter__(self) -> None:
        if self._journal.remote:
            await self._take_patiently()
        else:
            self._let_go = await when_free(lambda: self._journal.take(self._run_id), self._patience)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if not self._journal.remote:
            self._let_go()
            return
        # Whoever is cancelled meanwhile by asyncio itself, or is a coroutine that is closed, does not wait for its end.
        thread = threading.Thread(target=self._let_go, daemon=True)
        thread.start()
        if kind is None or not issubclass(kind, GeneratorExit):
            with anyio.CancelScope(shield=True):
                await in_thread(thread.join)

    async def _take_patiently(self) -> None:
        watch = self._journal.store.watch
        began, pause = anyio.current_time(), min(PAUSE, watch)
        while True:
            try:
                await in_thread(self._take)
                return
            except JournalBusy:
                if anyio.current_time() + pause >= began + self._patience:
                    raise
            except RunInProgress:
                if anyio.current_time() + pause >= began + GIVEN_BACK or await in_thread(self._goes_on):
                    raise
            except BaseException:
                # Whoever is cancelled by asyncio itself does not see how the thread ends, or that it has.
                with self._lock:
                    self._given_up = True
                threading.Thread(target=self._let_go, daemon=True).start()
                raise
            await anyio.sleep(pause)
            pause = min(2 * pause, watch)

    def _goes_on(self) -> bool:
        return statuses_of(self._journal, [self._run_id]).get(self._run_id, "running") == "running"

    def _take(self) -> None:
        let_go = self._journal.take(self._run_id)
        with self._lock:
            unwanted = self._given_up
            if not unwanted:
                self._let_go = let_go
        if unwanted:
            let_go()
