"""The patience with streams: which silence is given up, and which is not."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from contemplate import Message, ModelSettings
from contemplate.errors import ModelTimeoutError
from contemplate.models import Delta, ModelRequest, OpenAIModel, Retry
from contemplate.testing import FaultyServer
from contemplate.testing.faulty import ChatAnswer, Exchange, Reply, Silence
from contemplate.testing.faulty.http import HttpConnection

pytestmark = pytest.mark.anyio

FIRST = ModelSettings(first_token_timeout=0.1)
IDLE = ModelSettings(idle_timeout=0.1)
LONG = 30.0


def asking(settings: ModelSettings) -> ModelRequest:
    return ModelRequest((Message.user("hello"),), settings=settings)


@pytest.mark.parametrize(
    ("reply", "settings", "said"),
    [
        (Silence(), FIRST, "no first token within 0.1 s .raise ModelSettings.first_token_timeout"),
        (Silence(ping=0.01), FIRST, "no first token within 0.1 s"),
        (Silence(after_first_token=True), IDLE, "nothing more within 0.1 s .raise ModelSettings.idle_timeout"),
        (
            Silence(after_first_token=True),
            ModelSettings(first_token_timeout=LONG, idle_timeout=0.1),
            "nothing more within 0.1 s",
        ),
    ],
)
async def test_silence_is_given_up(reply: Reply, settings: ModelSettings, said: str) -> None:
    with FaultyServer(reply) as server:
        model = OpenAIModel("m", base_url=server.url)
        with pytest.raises(ModelTimeoutError, match=said) as caught:
            await model.request(asking(settings), lambda _: None)
        assert caught.value.transient
        assert server.wait_for(lambda: server.connections == 0)


# A busy machine is silent for a moment, too.
FIRST_SECOND = ModelSettings(first_token_timeout=1.0)
IDLE_SECOND = ModelSettings(idle_timeout=1.0)
BOTH = ModelSettings(first_token_timeout=1.0, idle_timeout=1.0)
SPEAKING = [
    # The limit is on silence: the whole takes longer than either.
    (ChatAnswer("x" * 16, chunk=1, gap=0.1), BOTH),
    # Neither limit stands in for the other.
    (ChatAnswer("later", first_token_delay=1.5), IDLE_SECOND),
    (ChatAnswer("slow", chunk=2, gap=1.5), FIRST_SECOND),
    # What thinks aloud is not silent, nor is what calls a tool.
    (ChatAnswer("well", reasoning="hm", first_token_delay=1.5), FIRST_SECOND),
    (ChatAnswer("", pieces=(), tool_calls=[("look", "{}")]), BOTH),
]


async def test_what_speaks_is_heard_out() -> None:
    heard: dict[str, str] = {}

    async def hear(reply: ChatAnswer, settings: ModelSettings) -> None:
        with FaultyServer(reply) as server:
            response = await OpenAIModel("m", base_url=server.url).request(asking(settings), lambda _: None)
        heard[reply.text] = response.message.text

    # At once, as they do nothing but wait.
    async with anyio.create_task_group() as group:
        for reply, settings in SPEAKING:
            group.start_soon(hear, reply, settings)
    assert heard == {reply.text: reply.text for reply, _ in SPEAKING}


class LateBody:
    """A whole response whose head comes at once, and whose body does not."""

    async def send(self, connection: HttpConnection, exchange: Exchange) -> None:
        body = b'{"choices": [{"message": {"content": "whole"}, "finish_reason": "stop"}]}'
        await connection.head(200, {"content-type": "application/json", "content-length": str(len(body))})
        await asyncio.sleep(1.3)
        await connection.raw(body)


@pytest.mark.parametrize("stream", [True, False])
async def test_what_comes_in_one_piece_is_not_held_to_the_limits_of_streams(stream: bool) -> None:
    with FaultyServer(LateBody()) as server:
        model = OpenAIModel("m", base_url=server.url)
        settings = ModelSettings(first_token_timeout=1.0, idle_timeout=0.2)
        response = await model.request(asking(settings), (lambda _: None) if stream else None)
    assert response.message.text == "whole"


async def test_a_stream_that_fell_silent_is_asked_for_again() -> None:
    replies: list[Reply] = [Silence(), Silence(after_first_token=True), ChatAnswer("at last")]
    deltas: list[Delta] = []
    with FaultyServer(lambda exchange: replies[min(exchange.number, 2)]) as server:
        # On a busy machine, a good answer may be late as well.
        model = Retry(OpenAIModel("m", base_url=server.url), attempts=100, share=100)
        settings = ModelSettings(first_token_timeout=0.1, idle_timeout=0.1)
        response = await model.request(asking(settings), deltas.append)
        assert len(server.exchanges) >= 3
    assert response.message.text == "at last"
    heard = ""
    for delta in deltas:
        heard = delta.text if delta.restart else heard + delta.text
    assert heard == "at last"
