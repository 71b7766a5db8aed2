"""Subagents that are cut off in the middle, and go on with other timings: none has another's answer."""

from __future__ import annotations

import random

import anyio
import anyio.lowlevel
import pytest

from benchmarks.cluster_faults.mind import AGENTS, TURNS, answer_to, foreign, look
from benchmarks.cluster_faults.scene import opened, swapped
from contemplate import Contemplator, Message, planners
from contemplate.models import ModelRequest
from contemplate.testing import ScriptedModel

from ..postgres import PostgresServer

pytestmark = pytest.mark.anyio

CALLS = 2 + len(AGENTS) * (TURNS + 1)


class Drawn:
    """A model whose calls take some turns of the event loop, by a seed; one of them cuts off the run."""

    def __init__(self, seed: int, cut_off: int | None) -> None:
        self.scope = anyio.CancelScope()
        self.foreign = 0
        self._chance = random.Random(seed)
        self._cut_off = cut_off
        self._asked = 0

    async def answer(self, request: ModelRequest) -> Message:
        """Answer after a while."""
        self._asked += 1
        if self._asked == self._cut_off:
            self.scope.cancel()
        for _ in range(self._chance.randrange(20)):
            await anyio.lowlevel.checkpoint()
        self.foreign += foreign(request)
        return answer_to(request)


@pytest.mark.parametrize("cut_off", [4, 9, 13])
async def test_no_answer_is_swapped(postgres: PostgresServer, cut_off: int) -> None:
    address, run, outputs = postgres.address(), "run-0", []
    for seed, at in (1, cut_off), (2, cut_off // 2), (3, None):
        drawn = Drawn(seed, at)
        mind = Contemplator(ScriptedModel(drawn.answer), planner=planners.model(), tools=[look], journal=address)
        with drawn.scope:
            outputs.append((await mind.run(run, run_id=run)).output)
        assert drawn.scope.cancelled_caught == (at is not None)
        assert drawn.foreign == 0
    undisturbed = Contemplator(ScriptedModel(answer_to), planner=planners.model(), tools=[look])
    assert outputs == [(await undisturbed.run(run)).output]
    with opened(address) as journal:
        assert swapped(journal, [run]) == (CALLS - 2, 0)


async def test_a_swap_is_seen(postgres: PostgresServer) -> None:
    def wrong(request: ModelRequest) -> Message:
        said = answer_to(request)
        return Message.assistant(said.text.replace("ana of", "bob of"), said.tool_calls)

    address = postgres.address()
    mind = Contemplator(ScriptedModel(wrong), planner=planners.model(), tools=[look], journal=address)
    await mind.run("run-0", run_id="run-0")
    with opened(address) as journal:
        assert swapped(journal, ["run-0"])[1] > 0
