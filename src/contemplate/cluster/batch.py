"""A batch of questions that workers answer: no more of them are in the queue than keep the workers busy."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

import anyio

from ..batch.items import BatchItem, BatchResult
from ..batch.mapping import mapped
from ..batch.rules import BatchOptions, BatchRules, Questions
from ..errors import ClusterError, ConfigurationError, ContemplateError
from ..journal import RunRecord
from ..journal.entries import digest_of
from ..result import RunResult
from ..run.journaled_runs import another_question, stored_result
from ..run.run import new_run_id
from .handle import Handle
from .link import Link
from .submission import Submission, SubmitOptions, submission_of
from .window import BatchWindow

# For how many seconds whoever leaves waits until what he had submitted is cancelled.
CANCEL_SECONDS = 10.0
# The label of a run by which it is known with what it was asked.
ASKED = "contemplate:asked"
_ASKED = {"mind", "model", "mode", "instructions", "settings", "answer_settings", "seed"}

# Puts a run into the queue, unless it is there already; returns whether it has done so.
Submit = Callable[[str, Submission], Awaitable[bool]]


class ClusterMapOptions(SubmitOptions, BatchOptions, total=False):
    """The options of `Client.map`, for type checkers."""

    concurrency: int | None


async def answered_by_workers(
    questions: Questions,
    named: Callable[[], Awaitable[str]],
    rules: BatchRules,
    options: Mapping[str, Any],
    link: Link,
    submit: Submit,
    *,
    grows: bool,
) -> AsyncGenerator[BatchResult[Any], None]:
    """Yield what comes of each question. Leaving the iteration cancels the runs that it has submitted.

    Args:
        questions: the questions.
        named: returns the name of the contemplator that answers.
        rules: how to go about them.
        options: those of all runs.
        link: what the client has open.
        submit: puts a run into the queue.
        grows: whether as many runs are in the queue as the workers call for, and not as many as `rules` say.

    Raises:
        ClusterError: the database cannot be reached, or no worker has ever run there.
        BatchStopped: too many questions failed in a row.
    """
    mind = await named()
    window = BatchWindow(link, mind, rules.concurrency, grows=grows)
    # What is wrong with the database is an error here, and not one of each question.
    window.fit(await link.workers())
    batch = _Batch(mind, rules, options, link, submit, window)
    # An iteration that was left may be closed later than the client.
    link.before_closing.add(batch.end)
    try:
        async with aclosing(mapped(questions, batch.start, rules, window.slots)) as results:
            async for done in results:
                yield done
    finally:
        await batch.end()
        link.before_closing.discard(batch.end)


class _Batch:
    """What is under way of a batch, and which of its runs were submitted by it."""

    def __init__(
        self,
        mind: str,
        rules: BatchRules,
        options: Mapping[str, Any],
        link: Link,
        submit: Submit,
        window: BatchWindow,
    ) -> None:
        self._mind = mind
        self._rules = rules
        self._options = options
        self._link = link
        self._submit = submit
        self._window = window
        # A question may stand twice: then one of the two submits its run.
        self._ours: Counter[str] = Counter()
        self._going_on: set[anyio.CancelScope] = set()
        self._none_goes_on = anyio.Event()
        self._closed = False

    async def start(self, index: int, item: BatchItem) -> RunResult[Any]:
        """Return what is in the journal, or what workers answer.

        Raises:
            ConfigurationError: an option is wrong, or the run of that id was asked something else.
            ClusterError: the client was closed.
            ContemplateError: there is no answer.
        """
        with anyio.CancelScope() as scope:
            if not self._closed:
                self._going_on.add(scope)
                try:
                    return await self._answer(index, item)
                finally:
                    self._going_on.discard(scope)
                    if not self._going_on:
                        self._none_goes_on.set()
        raise ClusterError("the client was closed before that was answered", hint="the same call goes on")

    async def end(self) -> None:
        """Cancel the runs that were submitted and are not over."""
        self._closed = True
        with anyio.CancelScope(shield=True):
            for scope in tuple(self._going_on):
                scope.cancel()
            # What is just being submitted is in the queue after that.
            while self._going_on:
                self._none_goes_on = anyio.Event()
                await self._none_goes_on.wait()
            if any(self._ours.values()):
                with anyio.move_on_after(CANCEL_SECONDS):
                    await self._cancel()

    async def _cancel(self) -> None:
        runs = [run_id for run_id, submitted in self._ours.items() if submitted > 0]
        self._ours.clear()
        try:
            await self._link.call(self._link.queue.cancel, runs)
        except ContemplateError as error:
            logging.getLogger("contemplate").warning("%d runs go on, and were not cancelled: %s", len(runs), error)

    async def _answer(self, index: int, item: BatchItem) -> RunResult[Any]:
        options = self._rules.options_of(index, item, self._options)
        run_id = options.pop("run_id", None) or new_run_id()
        asked = submission_of(self._mind, item.question, run_id, options, self._link.journal)
        if self._rules.name is not None:
            asked = asked.model_copy(update={"labels": {**asked.labels, ASKED: _digest(asked)}})
            # Most of a batch that goes on is answered: that needs no worker, and no place in the queue.
            before = await self._link.record(run_id)
            if before is not None and before.status == "answered" and before.result is not None:
                _check(before, asked)
                return stored_result(before)
        await self._window.look()
        return await self._by_workers(run_id, asked)

    async def _by_workers(self, run_id: str, asked: Submission) -> RunResult[Any]:
        # Before it is known whether it is: whoever leaves meanwhile does not leave it behind.
        self._ours[run_id] += 1
        try:
            if not await self._submit(run_id, asked):
                self._ours[run_id] -= 1
            result = await Handle(run_id, self._link).result()
        except Exception:
            self._ours.pop(run_id, None)
            raise
        self._ours.pop(run_id, None)
        return result


def _check(before: RunRecord, asked: Submission) -> None:
    if (before.question, before.images, before.history) != (asked.question, asked.images, asked.history):
        raise another_question(before.run_id)
    said = before.labels.get(ASKED)
    # What was answered without workers says nothing of that.
    if said is not None and said != asked.labels[ASKED]:
        raise ConfigurationError(
            f"run {before.run_id!r} was answered by another contemplator, or with other options",
            hint="give another name to the batch, or what it had: mind, model, mode, instructions, settings, seed",
        )


def _digest(asked: Submission) -> str:
    return digest_of(asked.model_dump_json(include=_ASKED, exclude_none=True))
