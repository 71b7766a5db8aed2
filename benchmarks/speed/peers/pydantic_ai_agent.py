"""pydantic-ai: an agent, its `run` and `run_stream`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from . import KEY, MODEL, QUESTION, Ways, parts


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Ways]:
    """Ask `url`."""
    async with Agent(OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=url, api_key=KEY))) as agent:

        async def ask(prompt: str) -> str:
            return str((await agent.run(prompt)).output)

        async def fan_out(n: int) -> None:
            await ask(QUESTION)
            answers = await asyncio.gather(*(ask(part) for part in parts(n)))
            assert await ask("\n".join(answers))

        async def read(prompt: str) -> int:
            async with agent.run_stream(prompt) as result:
                return len([text async for text in result.stream_text(delta=True, debounce_by=None)])

        async def stream(n: int) -> int:
            return sum(await asyncio.gather(*(read(part) for part in parts(n))))

        yield fan_out, stream
