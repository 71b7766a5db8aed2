"""Runs that workers carry out, wherever these are: the server submits them, and tells what comes of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import anyio

from ..cluster import Client, Handle
from ..cluster.site import Site
from ..contemplator import Contemplator
from ..decisions import Decision
from ..errors import ClusterError, ContemplateError, sole
from ..events import Event, ModelCalled
from ..journal import Journal
from ..journal.following import calls_after
from ..journal.patience import in_thread
from ..result import RunResult
from ..run.listeners import Listener
from ..run.output_type import given_schema_of
from ..run.run import new_run_id
from .api_errors import RequestError, no_worker
from .neutral_request import Asked
from .runner import first_options
from .visits import Visit
from .workers_alive import WorkersAlive

# How long it is tried to cancel a run for which nobody waits any more, in seconds.
CANCEL_SECONDS = 5.0


def journal_of_workers(address: str) -> Journal:
    """Return the journal that workers share.

    Raises:
        ConfigurationError: it is not the name of a PostgreSQL database.
    """
    return Site.of(address).journal()


class RunsAtWorkers:
    """Lets workers carry out runs.

    A run for which a client waits ends with that client, as ever. One in the background, whose id is the request's,
    goes on when the server ends, and waits for a worker as long as it takes.

    Args:
        address: the name of the journal that the workers share.
        journal: the journal of that name.
        names: the names of contemplators at the workers, by the objects that stand for them here.
    """

    outlives_server = True

    def __init__(self, address: str, journal: Journal, names: Mapping[Contemplator[Any], str]) -> None:
        self._address = address
        self._journal = journal
        self._names = names
        self._client = Client(address)
        self._alive = WorkersAlive(self._client)

    @asynccontextmanager
    async def opened(self, minds: Collection[Contemplator[Any]]) -> AsyncIterator[None]:
        """Stay connected to the database in the block; `minds` call no model here."""
        self._client = Client(self._address)
        self._alive = WorkersAlive(self._client)
        async with self._client:
            yield

    async def run(self, asked: Asked, visit: Visit, on_event: Listener) -> RunResult[Any]:
        """Submit what is asked, and wait for the result."""
        run_id, options = asked.run_id or new_run_id(), first_options(asked, visit)
        sent: dict[str, Any] = {**options, "run_id": run_id, "output_schema": given_schema_of(asked.output_type)}

        async def submit() -> Handle:
            return await self._client.submit(asked.question.text, mind=self._names[asked.mind], **sent)

        return await self._waited_for(run_id, asked, submit, on_event)

    async def resume(
        self, run_id: str, decisions: Mapping[str, Decision], asked: Asked, visit: Visit, on_event: Listener
    ) -> RunResult[Any]:
        """Let a worker go on with a run, with the options with which it was submitted, and wait for the result."""
        entries, *_ = await in_thread(lambda: calls_after(self._journal, run_id, 0))
        recorded = {(each.path, each.role, each.task, each.turn) for each in entries}

        def hear(event: Event) -> None:
            if isinstance(event, ModelCalled):
                name = event.name
                known = (name.path, name.role, name.task, name.turn) in recorded
                event = event.model_copy(update={"recorded": True}) if known else event
            on_event(event)

        async def submit() -> Handle:
            limits = visit.limits(asked.mind.limits)
            return await self._client.resume(run_id, decisions, limits=limits, budget=visit.budgets)

        return await self._waited_for(run_id, asked, submit, hear)

    async def cancel(self, run_id: str) -> None:
        """Cancel a run, wherever it is; nothing happens if it was not submitted."""
        with suppress(ClusterError):
            await self._client.handle(run_id).cancel()

    async def _waited_for(
        self, run_id: str, asked: Asked, submit: Callable[[], Awaitable[Handle]], on_event: Listener
    ) -> RunResult[Any]:
        # Whether it ends if it is waited for no longer.
        is_ours = asked.run_id is None
        try:
            async with anyio.create_task_group() as group:
                if is_ours:
                    group.start_soon(self._fail_if_nobody_comes, run_id, self._names[asked.mind])
                try:
                    handle = await submit()
                except ContemplateError:
                    # It is somebody else's, if there is one.
                    is_ours = False
                    raise
                async with aclosing(handle.events()) as events:
                    async for event in events:
                        on_event(event)
                is_ours = False
                result = await handle.result()
                group.cancel_scope.cancel()
        except ExceptionGroup as errors:
            raise sole(errors) from None
        finally:
            if is_ours:
                with anyio.move_on_after(CANCEL_SECONDS, shield=True):
                    await self.cancel(run_id)
        return result

    async def _fail_if_nobody_comes(self, run_id: str, mind: str) -> None:
        """Wait until it is clear that nobody takes a run. One that a worker has had goes on when there is another."""
        while True:
            seconds = await self._alive.until_nobody(mind)
            with suppress(ClusterError):
                if await self._client.handle(run_id).state() == "queued":
                    raise RequestError(no_worker(mind, seconds))
