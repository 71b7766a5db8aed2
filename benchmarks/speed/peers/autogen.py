"""autogen: an `AssistantAgent` for each subagent, since it remembers what it was asked, and one client for all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.messages import ModelClientStreamingChunkEvent
from autogen_ext.models.openai import OpenAIChatCompletionClient

from . import KEY, MODEL, QUESTION, Ways, parts


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Ways]:
    """Ask `url`."""
    client = OpenAIChatCompletionClient(model=MODEL, base_url=url, api_key=KEY)

    async def ask(prompt: str) -> str:
        result = await AssistantAgent("assistant", model_client=client).run(task=prompt)
        return str(result.messages[-1].content)

    async def fan_out(n: int) -> None:
        await ask(QUESTION)
        answers = await asyncio.gather(*(ask(part) for part in parts(n)))
        assert await ask("\n".join(answers))

    async def read(prompt: str) -> int:
        agent = AssistantAgent("assistant", model_client=client, model_client_stream=True)
        said = [message async for message in agent.run_stream(task=prompt)]
        return sum(isinstance(message, ModelClientStreamingChunkEvent) for message in said)

    async def stream(n: int) -> int:
        return sum(await asyncio.gather(*(read(part) for part in parts(n))))

    yield fan_out, stream
    await client.close()
