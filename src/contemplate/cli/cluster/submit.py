"""`contemplate submit`: a question for workers."""

from __future__ import annotations

import argparse

import anyio

from ...result import RunResult
from ...run.listeners import Listener
from ...run.run import new_run_id
from ..ask import question_in
from ..console import say, write
from ..exit_codes import ANSWERED
from ..view import view_for
from ..watch import watch
from .worker import journal_named


def submit(options: argparse.Namespace) -> int:
    """Submit the question, wait for the answer if that is wanted, and return the exit code."""
    from ...cluster import Client, Handle

    journal, question, run_id = journal_named(options), question_in(options.question), options.run_id or new_run_id()

    async def submitted(client: Client) -> Handle:
        return await client.submit(question, mind=options.mind, mode=options.mode, images=options.image, run_id=run_id)

    async def only_submit() -> None:
        async with Client(journal) as client:
            await submitted(client)

    async def start(listener: Listener) -> RunResult[str]:
        async with Client(journal) as client:
            handle = await submitted(client)
            say(f"submitted as run {run_id}, which goes on whoever waits for it")
            async for event in handle.events():
                listener(event)
            return await handle.result()

    if options.wait:
        return watch(start, view_for(options), go_on=f"contemplate submit ... --run-id {run_id} --wait")
    anyio.run(only_submit)
    write(f"{run_id}\n")
    return ANSWERED
