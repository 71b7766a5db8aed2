"""The `openai` package with its aiohttp client, and a gather."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from openai import AsyncOpenAI, DefaultAioHttpClient

from . import KEY, Ways
from .openai_gather import ways


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Ways]:
    """Ask `url`."""
    async with AsyncOpenAI(base_url=url, api_key=KEY, http_client=DefaultAioHttpClient()) as client:
        yield ways(client)
