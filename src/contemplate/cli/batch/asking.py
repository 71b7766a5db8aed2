"""Who answers the rows: a contemplator of this process, or workers."""

from __future__ import annotations

import argparse
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...batch import BatchResult
from ...batch.rules import OnProgress, Questions
from ...contemplator import Contemplator
from ...errors import ConfigurationError
from ...limits import Limits
from ..cluster.worker import journal_named
from ..run_options import limits_in

if TYPE_CHECKING:
    from ...cluster import Client

NAME = "batch"
_LONGEST_NAME = 32

Results = AsyncGenerator[BatchResult[Any], None]
# Asks the questions in the block that it lends the results to, and tells how far it is.
Ask = Callable[[Questions, OnProgress], AbstractAsyncContextManager[Results]]

# What workers cannot be given, by its option; and where it is to be said.
_STAYS = {
    "program": "--program: give the worker's Contemplator mode=modes.program(...)",
    "prompts": "--prompts: give them to the worker's Contemplator",
    "mcp": "--mcp: give the worker's Contemplator the tools",
    "yes_to": "--yes-to: say it where the worker's Contemplator is given the tools",
    "total_cost": "--total-cost: give the worker's Contemplator a budget that all workers share: "
    'Budget("...", cost_usd=..., journal="postgresql://..."); --max-cost holds for each row',
    "no_journal": "--no-journal: workers write down what they do",
    "estimate": "--estimate: only who has the Contemplator can tell: mind.estimate(question)",
}


def asking_here(mind: Contemplator[str], options: argparse.Namespace) -> Ask:
    """Return what lets a contemplator of this process answer."""
    given = {} if options.batch_concurrency is None else {"concurrency": options.batch_concurrency}
    name = None if mind.journal is None else options.name or NAME

    @asynccontextmanager
    async def ask(questions: Questions, on_progress: OnProgress) -> AsyncIterator[Results]:
        async with mind, aclosing(mind.map(questions, name=name, on_progress=on_progress, **given)) as results:
            yield results

    return ask


def asking_workers(options: argparse.Namespace) -> Ask:
    """Return what lets workers answer.

    Raises:
        ConfigurationError: there is no database, or an option is one that workers cannot be given.
    """
    for name, hint in _STAYS.items():
        if getattr(options, name):
            option = hint.partition(":")[0]
            raise ConfigurationError(f"{option} cannot travel to workers", hint=hint.partition(": ")[2])
    from ...cluster import Client

    client = Client(journal_named(options))
    limits = limits_in(options)
    given: dict[str, Any] = {
        "mind": options.mind,
        "name": options.name or _name_of(options.out),
        "concurrency": options.batch_concurrency,
        "model": options.model,
        "mode": options.mode,
        "limits": None if limits == Limits() else limits,
    }
    return _by(client, given)


def _by(client: Client, given: dict[str, Any]) -> Ask:
    @asynccontextmanager
    async def ask(questions: Questions, on_progress: OnProgress) -> AsyncIterator[Results]:
        # What is wrong is said before anything is connected.
        results = client.map(questions, on_progress=on_progress, **given)
        async with client, aclosing(results):
            yield results

    return ask


def _name_of(out: str) -> str:
    """Return what the batch is called that has no name: as the file with the answers, on whatever machine that is."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", Path(out).stem)[:_LONGEST_NAME] or NAME
