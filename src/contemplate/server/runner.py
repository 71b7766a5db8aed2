"""Who carries out what is asked: this process, or somebody else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

from ..contemplator import Contemplator
from ..decisions import Decision
from ..options import RunOptions
from ..result import RunResult
from ..run.listeners import Listener
from .neutral_request import Asked
from .visits import Visit
from .waiting_runs import owned


class Runner(Protocol):
    """Carries out what is asked of a server's contemplators.

    Attributes:
        outlives_server: whether a run goes on when the server that was asked is gone.
    """

    outlives_server: bool

    def opened(self, minds: Collection[Contemplator[Any]]) -> AbstractAsyncContextManager[None]:
        """Keep what runs of `minds` need open in the block.

        Raises:
            ContemplateError: it cannot be opened.
        """
        ...

    async def run(self, asked: Asked, visit: Visit, on_event: Listener) -> RunResult[Any]:
        """Carry out what is asked, within what `visit` may spend, and tell its events.

        Raises:
            ContemplateError: there is no answer.
            RequestError: nobody can carry it out.
        """
        ...

    async def resume(
        self, run_id: str, decisions: Mapping[str, Decision], asked: Asked, visit: Visit, on_event: Listener
    ) -> RunResult[Any]:
        """Go on with a run as it was decided of its calls. `asked` is what it was asked at first, with its options.

        Raises:
            ConfigurationError: the run is not known, or cannot go on like that.
            ContemplateError: there is no answer.
            RequestError: nobody can carry it out.
        """
        ...

    async def cancel(self, run_id: str) -> None:
        """End a run that outlives whoever waits for it; nothing happens to any other.

        Raises:
            ContemplateError: it cannot be reached.
        """
        ...


class RunsHere:
    """Carries out runs in this process."""

    outlives_server = False

    @asynccontextmanager
    async def opened(self, minds: Collection[Contemplator[Any]]) -> AsyncIterator[None]:
        """Keep the connections and toolsets of `minds` open in the block."""
        async with AsyncExitStack() as stack:
            for mind in minds:
                await stack.enter_async_context(mind)
            yield

    async def run(self, asked: Asked, visit: Visit, on_event: Listener) -> RunResult[Any]:
        """Carry out what is asked."""
        options = first_options(asked, visit)
        options["on_event"] = on_event
        return await asked.mind.run(asked.question.text, output_type=asked.output_type, **options)

    async def resume(
        self, run_id: str, decisions: Mapping[str, Decision], asked: Asked, visit: Visit, on_event: Listener
    ) -> RunResult[Any]:
        """Go on with a run."""
        # As it was asked at first: what is recorded is found again by what was sent.
        return await asked.mind.resume(
            run_id,
            decisions,
            output_type=asked.output_type,
            mode=asked.mode,
            answer_settings=asked.settings,
            seed=asked.seed,
            tools=asked.tools,
            limits=visit.limits(asked.mind.limits),
            budget=visit.budgets,
            on_event=on_event,
        )

    async def cancel(self, run_id: str) -> None:
        """Do nothing: a run ends with whoever waits for it."""


def first_options(asked: Asked, visit: Visit) -> RunOptions:
    """Return the options of a run of what is asked, but for the type of its answer."""
    return RunOptions(
        images=asked.question.images,
        history=asked.question.history,
        mode=asked.mode,
        answer_settings=asked.settings,
        seed=asked.seed,
        tools=() if asked.tool_choice == "none" else asked.tools,
        run_id=asked.run_id,
        labels=owned({**asked.labels, "contemplator": asked.model}, visit.owner),
        limits=visit.limits(asked.mind.limits),
        budget=visit.budgets,
    )
