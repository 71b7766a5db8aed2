"""Every fault that the server knows, met by one of three subagents: docs/what-happens-when.md says what follows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from contemplate import Contemplator, Limits, ModelSettings, aggregators, planners
from contemplate.models import OpenAIModel
from contemplate.testing import FaultyServer
from contemplate.testing.faulty import FAULTS, Exchange, Reply

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).parent.parent / "docs" / "what-happens-when.md"
ROW = re.compile(r"^\| `(\w+)` \|[^|]*\| (\w+)(?:, `(\w+)`)? \|", re.MULTILINE)
DOCUMENTED = {
    fault: (outcome, error or None) for fault, outcome, error in ROW.findall(PAGE.read_text(encoding="utf-8"))
}


def test_every_fault_is_documented() -> None:
    assert set(DOCUMENTED) == set(FAULTS)


@pytest.mark.parametrize("fault", FAULTS)
async def test_one_subagent_meets_it(fault: str) -> None:
    def script(exchange: Exchange) -> Reply | str:
        return FAULTS[fault](exchange) if exchange.body.get("seed") == 1 else "Answer: 4"

    with FaultyServer(script) as server:
        model = OpenAIModel("m", base_url=server.url, api_key="k", settings=ModelSettings(timeout=2.0))
        mind = Contemplator(
            model,
            planner=planners.sample(3),
            aggregator=aggregators.vote(stop=None),
            limits=Limits(seconds=20),
            stream=True,
        )
        # Connected beforehand, all begin at once: one that begins later could be given the connection that is reset.
        async with mind:
            result = await mind.run("What is 2 + 2?")
        assert server.wait_for(lambda: server.connections == 0)
    assert result.text == "Answer: 4"
    assert [result.tasks[0].outcome, result.tasks[2].outcome] == ["answered", "answered"]
    met = result.tasks[1]
    assert (met.outcome, met.error and met.error.kind) == DOCUMENTED[fault]
