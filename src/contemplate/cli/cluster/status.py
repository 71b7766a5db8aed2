"""`contemplate cluster status`: workers, queues, limits and runs at a glance."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from ...views.printable import printable
from ..console import write
from ..exit_codes import ANSWERED
from .worker import journal_named

if TYPE_CHECKING:
    from ...cluster import ClusterStatus, WorkerInfo
    from ...journal.account_limits import AccountStatus


def status(options: argparse.Namespace) -> int:
    """Print the status of the cluster, and return the exit code."""
    from ...cluster import status as status_of

    found = status_of(journal_named(options))
    write(found.model_dump_json(indent=2) + "\n" if options.json else printable("\n".join(_lines(found))) + "\n")
    return ANSWERED


def _lines(found: ClusterStatus) -> Iterator[str]:
    yield f"workers: {sum(each.alive for each in found.workers) or 'none is alive'}"
    for worker in found.workers:
        yield f"  {worker.host} {worker.pid}  {', '.join(worker.minds)}  {_state(worker)}"
    yield "queues:" if found.queues else "queues: nothing waits"
    for queue in found.queues:
        oldest = f", the oldest for {queue.oldest_seconds:.0f} s" if queue.queued else ""
        nobody = "" if queue.workers else "; no worker has it"
        yield f"  {queue.mind}  {queue.running} going on, {queue.queued} waiting{oldest}{nobody}"
    if found.limits:
        yield "limits:"
    for account in found.limits:
        yield f"  {account.account}  {_limit(account)}"
    counts = ", ".join(f"{number} {name}" for name, number in found.runs.items())
    yield f"runs: {counts or 'none'}; {found.begun_per_minute:.1f} begun each minute"


def _state(worker: WorkerInfo) -> str:
    since = datetime.fromtimestamp(worker.since).astimezone().strftime("%Y-%m-%d %H:%M")
    state = "ending" if worker.draining else "working" if worker.alive else f"silent for {worker.silent:.0f} s"
    return f"{worker.runs} of {worker.concurrency * len(worker.minds)} runs, {state}, since {since}"


def _limit(account: AccountStatus) -> str:
    most = [each for each in (account.concurrency, account.accepted) if each is not None]
    of = f" of {min(most)}" if most else ""
    left = {"requests": account.requests_left, "tokens": account.tokens_left}
    said = [f"{account.in_flight}{of} in flight", f"{account.waiting} waiting"]
    said += [f"{number} {what} left" for what, number in left.items() if number is not None]
    if account.paused_seconds:
        said.append(f"paused for {account.paused_seconds:.0f} s, as the provider asked")
    return ", ".join(said)
