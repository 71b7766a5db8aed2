"""dspy: a module of three predictors, its `acall`. Its cache is off: the model is to be asked each time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import dspy

from . import KEY, MODEL, QUESTION, Ways, parts


class FanOut(dspy.Module):  # type: ignore[misc]
    """Plan, work, aggregate."""

    def __init__(self) -> None:
        super().__init__()
        self.plan = dspy.Predict("question -> answer")
        self.work = dspy.Predict("question -> answer")
        self.aggregate = dspy.Predict("question, answers: list[str] -> answer")

    async def aforward(self, n: int) -> dspy.Prediction:
        """Answer with n subagents."""
        await self.plan.acall(question=QUESTION)
        done = await asyncio.gather(*(self.work.acall(question=part) for part in parts(n)))
        return await self.aggregate.acall(question=QUESTION, answers=[each.answer for each in done])


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Ways]:
    """Ask `url`."""
    dspy.configure(lm=dspy.LM(f"openai/{MODEL}", api_base=url, api_key=KEY, cache=False))
    module = FanOut()

    async def fan_out(n: int) -> None:
        assert (await module.acall(n=n)).answer

    async def read(prompt: str) -> int:
        listener = dspy.streaming.StreamListener(signature_field_name="answer")
        program = dspy.streamify(dspy.Predict("question -> answer"), stream_listeners=[listener], is_async_program=True)
        pieces = program(question=prompt)
        return len([piece async for piece in pieces if isinstance(piece, dspy.streaming.StreamResponse)])

    async def stream(n: int) -> int:
        return sum(await asyncio.gather(*(read(part) for part in parts(n))))

    yield fan_out, stream
