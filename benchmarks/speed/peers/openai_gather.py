"""The `openai` package as it comes, and a gather."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from openai import AsyncOpenAI

from . import KEY, MODEL, QUESTION, Ways, parts


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Ways]:
    """Ask `url`."""
    async with AsyncOpenAI(base_url=url, api_key=KEY) as client:
        yield ways(client)


def ways(client: AsyncOpenAI) -> Ways:
    """What one would write by hand with a client."""

    async def ask(prompt: str) -> str:
        completion = await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": prompt}])
        return completion.choices[0].message.content or ""

    async def fan_out(n: int) -> None:
        await ask(QUESTION)
        answers = await asyncio.gather(*(ask(part) for part in parts(n)))
        assert await ask("\n".join(answers))

    async def read(prompt: str) -> int:
        stream = await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": prompt}], stream=True
        )
        return len([chunk async for chunk in stream if chunk.choices and chunk.choices[0].delta.content])

    async def stream(n: int) -> int:
        return sum(await asyncio.gather(*(read(part) for part in parts(n))))

    return fan_out, stream
