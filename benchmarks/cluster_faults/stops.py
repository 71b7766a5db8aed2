"""A worker stands still for longer than its lease, another goes on with its runs, and then it wakes.

Awake again it must begin no call of a run that is the other's, although many wait there for their turn: what it had
asked before is all that is repeated.
"""

from __future__ import annotations

import signal
import tempfile
from contextlib import closing
from pathlib import Path

import anyio

from contemplate.cluster import Client

from .scene import Answers, Scene, ask_all, opened, server, swapped

RUNS, CALL_SECONDS, AT_ONCE, HEARTBEAT, BEFORE, AWAKE = 4, "0.2-0.6", 6, 0.5, 1.0, 1.5


async def main(times: int) -> bool:
    """Print what came of it, and return whether every promise was kept."""
    answers, zombies, taken, begun, wrong = Answers(), 0, 0, 0, 0
    with server() as database, tempfile.TemporaryDirectory() as folder:
        address = database.address(heartbeat=HEARTBEAT)
        with closing(Scene(address, Path(folder), CALL_SECONDS, AT_ONCE)) as scene:
            other, asked = scene.start(), list[str]()
            async with Client(address) as client:
                for number in range(times):
                    stopped = other
                    names = [f"run-{number}{letter}" for letter in "abcd"[:RUNS]]
                    async with anyio.create_task_group() as group:
                        group.start_soon(ask_all, client, names, answers)
                        await anyio.sleep(BEFORE)
                        stopped.send_signal(signal.SIGSTOP)
                        still = {call.run for call in scene.calls() if call.process == stopped.pid} & set(names)
                        other = await anyio.to_thread.run_sync(scene.start)
                        # Until all is answered: the lease is over long before.
                    theirs = {call.run for call in scene.calls() if call.process == other.pid} & still
                    before = sum(call.process == stopped.pid and call.what == "began" for call in scene.calls())
                    stopped.send_signal(signal.SIGCONT)
                    await anyio.sleep(AWAKE)
                    after = sum(call.process == stopped.pid and call.what == "began" for call in scene.calls())
                    zombies, taken, begun = zombies + 1, taken + len(theirs), begun + after - before
                    asked += names
                    stopped.kill()
            wrong += sum(call.foreign for call in scene.calls())
            with opened(address) as journal:
                wrong += swapped(journal, asked)[1]
    print(f"{RUNS} runs of 18 calls of {CALL_SECONDS} s, {AT_ONCE} at once; heartbeat {HEARTBEAT} s")
    print("stopped until all was answered\n")
    print("| stopped and woken | runs taken over | calls begun by the woken | answered | equal | swapped |")
    print("|--:|--:|--:|--:|--:|--:|")
    print(f"| {zombies} | {taken} | {begun} | {len(answers.runs)} | {answers.equal} | {wrong} |")
    return not (begun or wrong) and answers.equal == len(asked)
