"""Apps of recipes on loopback, and models that answer when they may."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import anyio
import pytest
from starlette.applications import Starlette

from contemplate.models import ModelRequest
from contemplate.testing import ScriptedModel

from ..patience import PATIENCE
from ..server.conftest import serving_app

Serve = Callable[[Starlette], str]
# FastAPI, aiosqlite and what speaks to the browser need it.
ON_ASYNCIO = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves apps until the test is over, as uvicorn does by itself, and returns the address of each."""
    with ExitStack() as stack:
        yield lambda app: stack.enter_context(serving_app(app, "auto"))


async def until(condition: Callable[[], object]) -> None:
    """Wait for what another thread changes."""
    with anyio.fail_after(PATIENCE):
        while not condition():
            await anyio.sleep(0.005)


class Stuck:
    """A script of a model whose parts but the first do not end: they wait until they are cancelled.

    Attributes:
        stuck: whether they wait, or are answered.
        asked: the prompts that were answered, or wait.
        waiting, cancelled: how many wait, and how many did until they were cancelled.
    """

    def __init__(self, plan: str) -> None:
        self.stuck = True
        self.asked: list[str] = []
        self.waiting = self.cancelled = 0
        self._plan = plan
        self.model = ScriptedModel(self)

    async def __call__(self, request: ModelRequest) -> str:
        told = request.messages[-1].text
        self.asked.append(told)
        if request.output_schema is not None:
            return self._plan
        if not self.stuck or "Rent?" in told:
            return "Yes."
        self.waiting += 1
        try:
            await anyio.sleep_forever()
        finally:
            self.waiting -= 1
            self.cancelled += 1
        return "Never."
