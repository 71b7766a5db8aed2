"""No library at all but aiohttp: what cannot be undercut by much."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from . import KEY, MODEL, QUESTION, Ways, parts


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Ways]:
    """Ask `url`."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=None),
        headers={"Authorization": f"Bearer {KEY}"},
    ) as session:

        def post(prompt: str, **more: bool) -> aiohttp.client._RequestContextManager:
            body = {"model": MODEL, "messages": [{"role": "user", "content": prompt}], **more}
            return session.post(f"{url}/chat/completions", json=body)

        async def ask(prompt: str) -> str:
            async with post(prompt) as response:
                answer: str = json.loads(await response.read())["choices"][0]["message"]["content"]
                return answer

        async def fan_out(n: int) -> None:
            await ask(QUESTION)
            answers = await asyncio.gather(*(ask(part) for part in parts(n)))
            assert await ask("\n".join(answers))

        async def read(prompt: str) -> int:
            seen = 0
            async with post(prompt, stream=True) as response:
                async for line in response.content:
                    if line.startswith(b"data: {"):
                        choices = json.loads(line[6:])["choices"]
                        seen += bool(choices and choices[0]["delta"].get("content"))
            return seen

        async def stream(n: int) -> int:
            return sum(await asyncio.gather(*(read(part) for part in parts(n))))

        yield fan_out, stream
