"""The official client, from async code."""

from __future__ import annotations

import threading
from typing import Any

import anyio
import openai
import pytest

from contemplate import Contemplator
from contemplate.testing import ScriptedModel

from ...patience import PATIENCE
from ..conftest import Serve
from ..test_server_clients import StepByStep
from .conftest import MERGED, expert, instant

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    # The client's own transport knows no other event loop.
    return "asyncio"


def connect(url: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", timeout=PATIENCE, max_retries=0)


async def test_everything_about_a_response(serve: Serve) -> None:
    async with connect(serve({"m": Contemplator(ScriptedModel(expert))})) as api:
        made = await api.responses.create(model="m", input="Why?")
        assert made.output_text == MERGED
        assert await api.responses.retrieve(made.id) == made
        async with api.responses.stream(model="m", input="And?", previous_response_id=made.id) as stream:
            told = [event.type async for event in stream]
            following = await stream.get_final_response()
        assert (told[0], told[-1]) == ("response.created", "response.completed")
        items = [item async for item in api.responses.input_items.list(following.id, limit=2)]
        assert [item.type for item in items] == ["message", "message", "reasoning", "message"]
        await api.responses.delete(made.id)
        with pytest.raises(openai.NotFoundError):
            await api.responses.retrieve(made.id)


async def test_many_at_once(serve: Serve) -> None:
    def echo(request: Any) -> str:
        return f"You said {request.messages[-1].text}"

    async with connect(serve(instant(ScriptedModel(echo)))) as api:
        found: dict[int, str] = {}

        async def ask(number: int) -> None:
            async with api.responses.stream(model="m", input=str(number)) as stream:
                found[number] = (await stream.get_final_response()).output_text

        async with anyio.create_task_group() as group:
            for number in range(50):
                group.start_soon(ask, number)
    assert found == {number: f"You said {number}" for number in range(50)}


async def test_a_background_run_is_cancelled(serve: Serve) -> None:
    async with connect(serve(instant(StepByStep(["The ", threading.Event()]), stream=True))) as api:
        made = await api.responses.create(model="m", input="Why?", background=True)
        assert (await api.responses.cancel(made.id)).status == "cancelled"
