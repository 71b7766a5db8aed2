"""The runs of a batch, a few at a time, as a stream of results."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Sized
from contextlib import aclosing
from typing import Any, Generic

import anyio

from ..errors import BatchStopped, sole
from ..options import RunOptions
from ..result import OutputT, RunResult
from ..run.detached_task import OwnTask
from ..run.mailbox import Mailbox
from .items import BatchItem, BatchResult, as_item
from .meter import BatchMeter
from .rules import BatchOptions, BatchRules, Questions

Start = Callable[[int, BatchItem], Awaitable[RunResult[OutputT]]]

# So many times `concurrency` questions are under way or wait to be read, so that a slow reader or, where the order is
# kept, a slow question holds up neither the others nor the memory.
AHEAD = 4


class MapOptions(RunOptions, BatchOptions, total=False):
    """The options of `Contemplator.map` without the output type, for type checkers."""

    concurrency: int


async def mapped(
    questions: Questions, start: Start[OutputT], rules: BatchRules, slots: anyio.CapacityLimiter | None = None
) -> AsyncGenerator[BatchResult[OutputT], None]:
    """Yield what comes of each question when `start` runs it. Leaving the iteration cancels what is in progress.

    Args:
        questions: the questions.
        start: runs one, by its place and itself.
        rules: how to go about them.
        slots: of which each run takes one, where their number changes meanwhile; `rules` say how many at most.

    Raises:
        BatchStopped: too many questions failed in a row.
        Exception: what the iterable of the questions raised, after the results of those that it had given.
    """
    batch = _Batch(questions, start, rules, slots or anyio.CapacityLimiter(rules.concurrency))
    # A task group of this generator's own could not be left, or closed from another task.
    task = OwnTask(batch.work)
    try:
        async for done in batch.results:
            batch.room.release()
            yield done
        if batch.error is not None:
            raise batch.error
    finally:
        await task.end()


class _Batch(Generic[OutputT]):
    def __init__(
        self, questions: Questions, start: Start[OutputT], rules: BatchRules, slots: anyio.CapacityLimiter
    ) -> None:
        self._questions = questions
        self._start = start
        self._rules = rules
        self._meter = BatchMeter(len(questions) if isinstance(questions, Sized) else None)
        self._slots = slots
        self._failures = 0
        self._stop = anyio.CancelScope()
        self._waiting: dict[int, BatchResult[OutputT]] = {}
        self._next = 0
        self.room = anyio.Semaphore(AHEAD * rules.concurrency)
        self.results: Mailbox[BatchResult[OutputT]] = Mailbox()
        self.error: BaseException | None = None

    async def work(self) -> None:
        """Run all questions, and keep the error that ended them, if one did."""
        try:
            async with anyio.create_task_group() as group:
                with self._stop:
                    await self._start_all(group.start_soon)
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:
            self.error = sole(error)
        finally:
            self.results.close()

    async def _start_all(self, start_soon: Callable[..., object]) -> None:
        index = 0
        async with aclosing(_each(self._questions)) as source:
            while True:
                # A question is fetched only when there is room for it: the iterable may hold more than the memory does.
                await self.room.acquire()
                await self._slots.acquire_on_behalf_of(index)
                try:
                    given = await anext(source)
                except StopAsyncIteration:
                    return
                except Exception as error:
                    self._end_with(error)
                    return
                start_soon(self._one, index, given)
                index += 1

    async def _one(self, index: int, given: object) -> None:
        try:
            item = as_item(given)
        except Exception as error:
            self._slots.release_on_behalf_of(index)
            text = given if isinstance(given, str) else repr(given)[:200]
            self._ended(BatchResult(index, None, text, error=error))
            return
        try:
            result = await self._start(index, item)
        except Exception as error:
            self._failed(error)
            done: BatchResult[OutputT] = BatchResult(index, item.id, item.question, error=error)
        else:
            self._failures = 0
            done = BatchResult(index, item.id, item.question, result)
        finally:
            self._slots.release_on_behalf_of(index)
        self._ended(done)

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        most = self._rules.give_up_after
        if most is not None and self._failures >= most:
            stopped = BatchStopped(
                f"{self._failures} questions in a row failed, and the rest is not asked; the last: {error}",
                hint="mend it and call it again with the same name=; give_up_after=None goes on whatever fails",
            )
            stopped.__cause__ = error
            self._end_with(stopped)

    def _end_with(self, error: Exception) -> None:
        # What is in progress is paid for, and goes on to its end.
        self.error = self.error or error
        self._stop.cancel()

    def _ended(self, done: BatchResult[OutputT]) -> None:
        self._meter.add(done)
        if self._rules.on_progress is not None:
            try:
                self._rules.on_progress(self._meter.progress)
            except Exception as error:
                self._end_with(error)
        if self._rules.order == "finished":
            self.results.put(done)
            return
        self._waiting[done.index] = done
        while self._next in self._waiting:
            self.results.put(self._waiting.pop(self._next))
            self._next += 1


async def _each(questions: Any) -> AsyncGenerator[object, None]:
    if not isinstance(questions, AsyncIterable):
        for each in questions:
            yield each
        return
    iterator = aiter(questions)
    try:
        async for each in iterator:
            yield each
    finally:
        if isinstance(iterator, AsyncGenerator):
            with anyio.CancelScope(shield=True):
                await iterator.aclose()
