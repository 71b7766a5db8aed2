"""contemplate's model in a gather: no planner, no tasks, no run. What the rest of contemplate adds, it adds to this."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from contemplate.messages import Message
from contemplate.models import ModelRequest, OpenAIModel

from . import KEY, MODEL, QUESTION, Ways, parts


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Ways]:
    """Ask `url`."""
    model = OpenAIModel(MODEL, base_url=url, api_key=KEY)

    async def ask(prompt: str) -> str:
        return (await model.request(ModelRequest((Message.user(prompt),)))).message.text

    async def fan_out(n: int) -> None:
        await ask(QUESTION)
        answers = await asyncio.gather(*(ask(part) for part in parts(n)))
        pieces: list[str] = []
        # The aggregation is streamed, as contemplate's is.
        last = ModelRequest((Message.user("\n".join(answers)),))
        assert (await model.request(last, lambda delta: pieces.append(delta.text))).message.text

    async with model.connect():
        yield fan_out, None
