"""The program's own code on a model with a script: what it makes of answers, of failures, and what it logs."""

import pytest
from structlog.testing import capture_logs
from triage import Ticket, sorter, triage

from contemplate.errors import ModelServerError
from contemplate.testing import ScriptedModel

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_vote_decides() -> None:
    model = ScriptedModel(['{"team": "billing"}', '{"team": "technical"}', *['{"team": "billing"}'] * 3])
    with capture_logs() as lines:
        assert await triage(sorter(model), "r7", "I was charged twice.") == Ticket(team="billing")
    assert "I was charged twice." in model.requests[0].messages[-1].text
    (line,) = (line for line in lines if line["event"] == "sorted")
    assert line["votes"] == {'{"team":"billing"}': 3, '{"team":"technical"}': 1}


async def test_a_person_looks_at_what_models_fail_at() -> None:
    model = ScriptedModel(lambda request: ModelServerError("overloaded", model="scripted"))
    with capture_logs() as lines:
        assert await triage(sorter(model), "r7", "Help!") == Ticket(team="unknown")
    assert [line["log_level"] for line in lines if line["event"] == "not_sorted"] == ["warning"]
