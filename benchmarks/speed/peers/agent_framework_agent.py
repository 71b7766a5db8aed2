"""Microsoft's agent-framework: an agent, and its `run`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient

from . import KEY, MODEL, QUESTION, Ways, parts


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Ways]:
    """Ask `url`."""
    async with Agent(client=OpenAIChatCompletionClient(model=MODEL, base_url=url, api_key=KEY)) as agent:

        async def ask(prompt: str) -> str:
            return str((await agent.run(prompt)).text)

        async def fan_out(n: int) -> None:
            await ask(QUESTION)
            answers = await asyncio.gather(*(ask(part) for part in parts(n)))
            assert await ask("\n".join(answers))

        async def read(prompt: str) -> int:
            return len([update async for update in agent.run(prompt, stream=True) if update.text])

        async def stream(n: int) -> int:
            return sum(await asyncio.gather(*(read(part) for part in parts(n))))

        yield fan_out, stream
