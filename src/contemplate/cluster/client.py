"""Submit questions to workers, on whatever machines these are."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping, Sequence
from typing import Any, Self, Unpack
from uuid import uuid4

from ..arguments import checked_arguments
from ..batch.items import BatchResult
from ..batch.rules import GIVE_UP_AFTER, BatchRules, OnProgress, Order, Questions
from ..budget import Budget
from ..decisions import Decision
from ..errors import ClusterError, ConfigurationError
from ..journal import RunRecord
from ..limits import Limits
from ..run.journaled_runs import another_question, decide_on
from ..run.run import new_run_id
from .batch import ClusterMapOptions, answered_by_workers
from .cluster_status import ClusterStatus, status_of_cluster
from .handle import Handle
from .link import Link
from .lookout import how_to_start
from .roster import WorkerInfo
from .site import Site
from .submission import Submission, SubmitOptions, submission_of
from .travelling import sent_budgets
from .window import MOST


class Client:
    """A client of the workers on a journal: `async with Client("postgresql://me@db/app") as client: ...`.

    Args:
        journal: the database in which the workers write down their runs.

    Raises:
        ConfigurationError: it is not the name of a PostgreSQL database.
    """

    @checked_arguments
    def __init__(self, journal: str) -> None:
        self._link = Link(Site.of(journal))

    def __repr__(self) -> str:
        return f"Client({self._link.site.name!r})"

    async def __aenter__(self) -> Self:
        """Connect to the database.

        Raises:
            ClusterError: it cannot be reached.
        """
        await self._link.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._link.close()

    async def submit(
        self, question: str, *, mind: str | None = None, run_id: str | None = None, **options: Unpack[SubmitOptions]
    ) -> Handle:
        """Ask workers a question, and return a handle of the run. It survives this process, and that of a worker.

        If there is no worker that takes it, or none with this version of the package, the log says so, and it waits.

        Args:
            question: what to answer.
            mind: the name of the contemplator that is to answer, such as "app:mind"; None if the workers that are alive
                have but one.
            run_id: the run's id, as for `Contemplator.run`: submitted once more, it is the same run, and goes on if it
                was not answered in full.
            options: those of `Contemplator.run` that JSON can say. Of tools, those that are external; of budgets, those
                in the workers' journal; `output_schema` is the JSON schema of the answer, in place of a type.

        Raises:
            ConfigurationError: an option is wrong, or cannot travel; or the run with that id has another question.
            ClusterError: the database cannot be reached, or no worker has ever run there.
        """
        run_id = run_id or new_run_id()
        asked = submission_of(mind or await self._only_mind(), question, run_id, options, self._link.journal)
        await self._put(run_id, asked)
        await self._link.look_out(asked.mind)
        return self.handle(run_id)

    def map(
        self, questions: Questions, *, mind: str | None = None, **options: Unpack[ClusterMapOptions]
    ) -> AsyncGenerator[BatchResult[Any], None]:
        """Let workers answer many questions: `async for done in client.map(questions): ...`.

        As `Contemplator.map`, where workers answer: what comes of a question is a result or an error, and no more is
        fetched than is in the queue, under way, or waits to be read. Leaving the iteration cancels the runs that it has
        submitted and that are not over; all that was answered by then is in the journal.

        Args:
            questions: texts, or `BatchItem`s with ids and options of their own; an async iterable, or a plain one,
                which must not block.
            mind: the name of the contemplator that is to answer; None if the workers that are alive have but one.
            name: what to call the batch in the journal: called again under the same name it goes on where it was, from
                whatever machine, also if it was begun by `Contemplator.map` on that journal.
            concurrency: how many runs are in the queue or under way at the same time; twice as many as the workers have
                places for, if not given.
            order, on_progress, give_up_after: as for `Contemplator.map`.
            options: those of `submit`, for all questions that do not have their own.

        Raises:
            ConfigurationError: an option is wrong, or cannot travel.
            ClusterError: the database cannot be reached, or no worker has ever run there.
            BatchStopped: too many questions in a row failed.
        """
        return self._map(questions, mind, **options)

    def handle(self, run_id: str) -> Handle:
        """Return a handle of a run that was submitted, by whomever."""
        return Handle(run_id, self._link)

    async def resume(
        self,
        run_id: str,
        decisions: Mapping[str, Decision | bool] | None = None,
        *,
        mind: str | None = None,
        limits: Limits | None = None,
        budget: Budget | Sequence[Budget] | None = None,
    ) -> Handle:
        """Let any worker go on with a run: one that is suspended, as it was decided, or one that was cancelled.

        The decisions are recorded before this returns.

        Args:
            run_id: the run.
            decisions: those on calls for which it waits, by their ids, as for `Contemplator.resume`.
            mind: the name of the contemplator; None for the one to which the run was submitted.
            limits: in place of those with which it was submitted, if not None.
            budget: the same of what it draws from.

        Raises:
            RunInProgress: a worker has it.
            JournalError: there is no such run, or the journal cannot be written.
            ConfigurationError: no such call waits, something else was decided of it, `mind` must be given, or a budget
                cannot travel.
            ClusterError: the database cannot be reached.
        """
        changed: dict[str, object] = {} if limits is None else {"limits": limits}
        if budget is not None:
            changed["budgets"] = sent_budgets(budget, self._link.journal)
        before = await self._link.call(lambda: self._link.queue.run(run_id, with_question=True))
        asked = None if before is None else before.asked
        name = mind or (asked.mind if asked is not None else "")
        if not name:
            raise ConfigurationError(f"run {run_id!r} was not submitted here", hint='resume(..., mind="app:mind")')
        if decisions:
            await decide_on(self._link.journal, run_id, decisions)
        # With the options that it was given: the journal knows what it was asked, and not how.
        begun = await self._link.call(self._link.journal.load, run_id) is not None
        again = asked or Submission(mind=name, goes_on=True)
        again = again.model_copy(update={"mind": name, "goes_on": again.goes_on or begun, **changed})
        await self._link.call(self._link.queue.submit_again, run_id, again)
        await self._link.look_out(name)
        return self.handle(run_id)

    async def workers(self) -> list[WorkerInfo]:
        """Return the workers, the oldest first: those that are alive, and those that were a moment ago.

        Raises:
            ClusterError: the database cannot be reached, or no worker has ever run there.
        """
        return await self._link.workers()

    async def status(self) -> ClusterStatus:
        """Return workers, queues and runs at a glance.

        Raises:
            ClusterError: the database cannot be reached, or no worker has ever run there.
        """
        return await self._link.call(status_of_cluster, self._link.site, self._link.journal, self._link.queue)

    async def _only_mind(self) -> str:
        minds = sorted({mind for each in await self.workers() if each.alive for mind in each.minds})
        if len(minds) == 1:
            return minds[0]
        if minds:
            raise ConfigurationError(f"workers have several contemplators: {', '.join(minds)}", hint="mind=...")
        raise ClusterError(
            "no worker is alive, and none says which contemplator is meant",
            hint=f'mind="app:mind" lets it wait for one; {how_to_start("app:mind", self._link.site)}',
        )

    @checked_arguments
    def _map(
        self,
        questions: Iterable[Any] | AsyncIterable[Any],
        mind: str | None = None,
        *,
        name: str | None = None,
        concurrency: int | None = None,
        order: Order = "finished",
        on_progress: OnProgress | None = None,
        give_up_after: int | None = GIVE_UP_AFTER,
        **options: Any,
    ) -> AsyncGenerator[BatchResult[Any], None]:
        most = MOST if concurrency is None else concurrency
        rules = BatchRules(
            name=name, concurrency=most, order=order, give_up_after=give_up_after, on_progress=on_progress
        )
        rules.check(questions, options)
        # A wrong option is an error here, and not one of each question.
        submission_of(mind or "", "a question", "checked", options, self._link.journal)

        async def named() -> str:
            return mind or await self._only_mind()

        return answered_by_workers(questions, named, rules, options, self._link, self._put, grows=concurrency is None)

    async def _put(self, run_id: str, asked: Submission) -> bool:
        return await self._link.call(self._submit, run_id, asked, uuid4().hex)

    def _submit(self, run_id: str, asked: Submission, by: str) -> bool:
        """Put a run into the queue, unless it is there, or answered; return whether that was done, now or before."""
        if self._link.queue.submit(run_id, asked, by):
            return True
        before = self._link.queue.run(run_id, with_question=True)
        if before is not None and before.by == by:
            # The connection was lost before it was known.
            return True
        record = self._link.journal.load(run_id)
        if _differs(asked, record or (None if before is None else before.asked)):
            raise another_question(run_id)
        answered = record is not None and record.status == "answered"
        again = before is None or before.state == "cancelled" or (before.state == "over" and not answered)
        if again:
            self._link.queue.submit_again(run_id, asked, by)
        return again


def _differs(asked: Submission, before: Submission | RunRecord | None) -> bool:
    if before is None:
        return False
    return (asked.question, asked.images, asked.history) != (before.question, before.images, before.history)
