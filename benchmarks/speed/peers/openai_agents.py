"""openai-agents: `Runner.run` and `Runner.run_streamed`. Its traces, which go to OpenAI, are off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agents import Agent, OpenAIChatCompletionsModel, Runner, set_tracing_disabled
from openai import AsyncOpenAI
from openai.types.responses import ResponseTextDeltaEvent

from . import KEY, MODEL, QUESTION, Ways, parts


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Ways]:
    """Ask `url`."""
    set_tracing_disabled(True)
    async with AsyncOpenAI(base_url=url, api_key=KEY) as client:
        agent = Agent(name="Assistant", model=OpenAIChatCompletionsModel(model=MODEL, openai_client=client))

        async def ask(prompt: str) -> str:
            return str((await Runner.run(agent, prompt)).final_output)

        async def fan_out(n: int) -> None:
            await ask(QUESTION)
            answers = await asyncio.gather(*(ask(part) for part in parts(n)))
            assert await ask("\n".join(answers))

        async def read(prompt: str) -> int:
            seen = 0
            async for event in Runner.run_streamed(agent, prompt).stream_events():
                seen += event.type == "raw_response_event" and isinstance(event.data, ResponseTextDeltaEvent)
            return seen

        async def stream(n: int) -> int:
            return sum(await asyncio.gather(*(read(part) for part in parts(n))))

        yield fan_out, stream
