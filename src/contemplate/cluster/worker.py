"""A worker: a process that carries out runs. On asyncio, and one in a process, as its engine is."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any
from weakref import WeakSet

import anyio
import anyio.to_thread
from pydantic import JsonValue, ValidationError

from ..arguments import checked_arguments
from ..contemplator import Contemplator
from ..errors import (
    ClusterError,
    ConfigurationError,
    JournalBusy,
    RunInProgress,
    RunTaken,
    error_info,
    validation_problems,
)
from ..journal.entries import Status
from ..journal.patience import in_thread
from ..options import ResumeOptions, RunOptions
from ..views.printable import print_line
from .cluster_status import workers_and_queues
from .engine.executor import Executor
from .engine.run_queue import RunQueue
from .metrics import WorkerMetrics, served
from .minds import mind_named
from .pulse import Pulse
from .roster import WorkerInfo, this_worker
from .site import Site, told_as_ours
from .submission import Submission

CONCURRENCY = 8
DRAIN_SECONDS = 30.0
# How long runs have to write down how far they came, once they are interrupted.
GRACE_SECONDS = 10.0
# After how many seconds a run is tried again that another process has, or that cannot be read.
AGAIN_SECONDS = 0.5


@checked_arguments
def work(
    minds: str | Sequence[str],
    *,
    journal: str,
    concurrency: int = CONCURRENCY,
    drain_seconds: float = DRAIN_SECONDS,
    metrics: str | None = None,
    announce: Callable[[str], None] = print_line,
) -> None:
    """Carry out runs that clients submit, until SIGINT or SIGTERM.

    After a SIGTERM no run is begun, and those under way have `drain_seconds` to end. What is not over then, or at a
    SIGINT, or at a second signal, is given back, and goes on with another worker.

    Args:
        minds: the names of the contemplators that answer: "app:mind" for `mind` in the module `app`, or names that were
            given to `register`. Their runs are written down in `journal`, whatever they say themselves.
        journal: a database, as "postgresql://me@db/app"; with "?heartbeat=2", for seconds, workers say more often that
            they are alive. A little more than two of them without a word, and the runs of a worker are others'.
        concurrency: how many runs of each contemplator go on at once.
        drain_seconds: how long runs may go on after a SIGTERM.
        metrics: where Prometheus may read what the worker does, under /metrics: a port, such as "9464", to which only
            this machine comes, or "0.0.0.0:9464" for all. None opens no port.
        announce: is told, in one line, that the worker is there. By default the line is printed.

    Raises:
        ConfigurationError: there is no such contemplator, or no such journal; or the port is another one's.
        ClusterError: the database cannot be reached.
    """
    names = (minds,) if isinstance(minds, str) else tuple(dict.fromkeys(minds))
    if not names or concurrency < 1 or drain_seconds < 0:
        raise ConfigurationError(
            f"work({names}, {concurrency=}, {drain_seconds=})",
            hint="a contemplator and a run at least, and seconds that are not negative",
        )
    found = {name: mind_named(name) for name in names}
    worker = Worker(found, Site.of(journal), concurrency=concurrency, metrics=metrics)
    try:
        asyncio.run(_work(worker, drain_seconds, announce))
    finally:
        gc.unfreeze()


async def _work(worker: Worker, drain_seconds: float, announce: Callable[[str], None]) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with worker.working() as stop:
            # What is there by now stays: it need not be looked through for garbage again and again.
            gc.collect()
            gc.freeze()
            announce(f"Working as {worker.info}. SIGTERM lets what goes on end.")
            if worker.metrics_url is not None:
                announce(f"Metrics are at {worker.metrics_url}")
            received = await anext(aiter(signals))
            announce("Ending: what is not over is given to other workers.")
            async with anyio.create_task_group() as ending:

                async def hurry() -> None:
                    async for _ in signals:
                        worker.interrupt()

                ending.start_soon(hurry)
                await stop(drain_seconds if received == signal.SIGTERM else 0.0)
                ending.cancel_scope.cancel()


class Worker:
    """A worker in this event loop.

    Args:
        minds: its contemplators by name.
        site: the database.
        concurrency: how many runs of each contemplator go on at once.
        metrics: where these are served; None for nowhere.

    Attributes:
        metrics_url: where they are; None if nowhere.
    """

    def __init__(
        self, minds: Mapping[str, Contemplator[Any]], site: Site, *, concurrency: int, metrics: str | None = None
    ) -> None:
        self._site = site
        self._journal = site.journal()
        self._minds = {name: mind.with_journal(self._journal) for name, mind in minds.items()}
        self._worker = this_worker(tuple(minds), concurrency, site.address.heartbeat)
        self._draining = False
        self._metrics_at = metrics
        self._metrics: WorkerMetrics | None = None
        self.metrics_url: str | None = None
        # By the task, as a run may be given to the worker that still has it.
        self._going_on: dict[asyncio.Task[Any], str] = {}
        self._interrupted = WeakSet[asyncio.Task[Any]]()
        self._ended = asyncio.Event()

    @property
    def info(self) -> WorkerInfo:
        """What there is to say of the worker now."""
        now = {"runs": len(self._going_on), "draining": self._draining}
        return self._worker.model_copy(update=now)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[Callable[[float], Any]]:
        """Carry out runs in the block, which is lent what ends that: a function of the seconds that runs have to end.

        Raises:
            ConfigurationError: metrics cannot be served where they are to be.
            ClusterError: the database cannot be reached.
            JournalError: the journal cannot be read.
        """
        loop = asyncio.get_running_loop()

        def end(runs: Collection[str]) -> None:
            loop.call_soon_threadsafe(self._interrupt, runs)

        async def close() -> None:
            with anyio.CancelScope(shield=True):
                await in_thread(self._journal.close)

        queue = RunQueue(self._site)
        executor = Executor(
            self._site, self._worker.worker, self._worker.minds, self._worker.concurrency, self._carry_out
        )
        pulse = Pulse(
            self._site,
            queue,
            lambda: self.info,
            lambda: list(self._going_on.values()),
            end,
        )
        async with AsyncExitStack() as stack:
            stack.push_async_callback(close)
            stack.callback(queue.close)
            stack.callback(pulse.close)
            await in_thread(self._journal.load, "")
            if self._metrics_at is not None:
                self._metrics = WorkerMetrics(
                    lambda: self.info, lambda: pulse.takeovers, lambda: workers_and_queues(self._site, queue)[1]
                )
                self.metrics_url = stack.enter_context(served(self._metrics.registry, self._metrics_at))
            for mind in self._minds.values():
                await stack.enter_async_context(mind)
            with told_as_ours(self._site):
                await in_thread(pulse.enroll)
            stopped = False

            async def stop(seconds: float) -> None:
                nonlocal stopped
                if not stopped:
                    stopped = True
                    await self._stop(seconds, queue, executor, pulse)

            try:
                await executor.start()
                pulse.start()
                yield stop
            finally:
                with anyio.CancelScope(shield=True):
                    await stop(0.0)

    def interrupt(self) -> None:
        """Interrupt what goes on, which writes down how far it came."""
        self._interrupt(set(self._going_on.values()))

    def _interrupt(self, runs: Collection[str]) -> None:
        for task, run_id in list(self._going_on.items()):
            # Once: it writes down how far it came, which another time would end.
            if run_id in runs and task not in self._interrupted:
                self._interrupted.add(task)
                task.cancel()

    async def _stop(self, seconds: float, queue: RunQueue, executor: Executor, pulse: Pulse) -> None:
        self._draining = True
        pulse.now()
        wait = seconds if self._going_on else 0.0
        async with anyio.create_task_group() as stopping:
            # From now on it takes nothing more.
            stopping.start_soon(executor.stop, wait and wait + GRACE_SECONDS)
            with anyio.move_on_after(wait):
                await self._all_ended()
            self.interrupt()
        # What was taken at the last moment, too.
        self.interrupt()
        await self._all_ended()
        with suppress(ClusterError):
            # Else the others find them, once this worker is not in the table any more.
            await in_thread(self._give_back, queue)
        await in_thread(pulse.stop)

    async def _all_ended(self) -> None:
        while self._going_on:
            self._ended.clear()
            await self._ended.wait()

    def _give_back(self, queue: RunQueue) -> None:
        for run in queue.runs_of([self._worker.worker]):
            queue.give_back([run.run_id], run.mind)

    async def _carry_out(self, run_id: str, data: Mapping[str, JsonValue]) -> JsonValue:
        """Carry out a run; return its error. All else that came of it is in the journal."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101
        self._going_on[task] = run_id
        mind = ""
        status: Status = "interrupted"
        try:
            asked = _understood(run_id, data)
            mind = asked.mind
            status = await self._until_recorded(run_id, asked)
        except Exception as error:
            status = "failed"
            return error_info(error).model_dump(mode="json")
        finally:
            del self._going_on[task]
            self._ended.set()
            if self._metrics is not None:
                self._metrics.run_ended(mind, status)
        return None

    async def _until_recorded(self, run_id: str, asked: Submission) -> Status:
        mind = self._minds[asked.mind]
        on_event = None if self._metrics is None else self._metrics.listener(asked.mind)
        type_ = asked.output_type
        again: ResumeOptions = {**asked.options_to_go_on(self._journal), "on_event": on_event}
        anew: RunOptions = {**asked.options(run_id, self._journal), "on_event": on_event}
        while True:
            try:
                if asked.goes_on:
                    await mind.resume(run_id, output_type=type_, **again)
                else:
                    await mind.run(asked.question, output_type=type_, **anew)
                record = await in_thread(self._journal.load, run_id)
                break
            except (RunInProgress, RunTaken, JournalBusy):
                # Whoever had it has died, perhaps, and his hold on it is not over; or the database is away.
                await anyio.sleep(AGAIN_SECONDS)
        if record is None or record.status in ("running", "interrupted"):
            raise ClusterError(
                f"run {run_id!r} was answered, and that could not be recorded", hint="submit it again: it goes on"
            )
        return record.status


def _understood(run_id: str, data: Mapping[str, JsonValue]) -> Submission:
    """Return what was submitted.

    Raises:
        ClusterError: it has another form than it has here.
    """
    try:
        return Submission.model_validate(data)
    except ValidationError as error:
        raise ClusterError(
            f"run {run_id!r} was submitted in another form: {validation_problems(error)}",
            hint="let clients and workers have the same version of contemplate-ai",
        ) from None
