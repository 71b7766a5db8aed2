"""What a contemplator keeps open between runs: connections and toolsets, by event loop and task."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AsyncExitStack

import anyio
from anyio.lowlevel import EventLoopToken, current_token

from ..models import Connectable, Model
from ..run.kept_toolsets import keeping
from ..tools.toolset import Toolset


class HeldOpen:
    """The blocks `async with mind:` that are entered, each in its event loop and its task."""

    def __init__(self) -> None:
        self._stacks: dict[tuple[EventLoopToken, int], list[AsyncExitStack]] = {}

    async def enter(self, model: Model, toolsets: Iterable[Toolset]) -> None:
        """Open the model's connections, and keep the toolsets that runs of this event loop open."""
        stack = AsyncExitStack()
        if isinstance(model, Connectable):
            await stack.enter_async_context(model.connect())
        await stack.enter_async_context(keeping(toolsets))
        self._stacks.setdefault(_here(), []).append(stack)

    async def leave(self) -> None:
        """Close what the last block kept open that was entered here.

        Raises:
            RuntimeError: none was entered in this event loop.
        """
        task = _here()
        if task not in self._stacks:
            # Opened in another task of this event loop, as frameworks do with what lives as long as they do.
            task = next((each for each in reversed(list(self._stacks)) if each[0] == task[0]), task)
        opened = self._stacks.get(task)
        if opened is None:
            raise RuntimeError("this contemplator is not open in this event loop: `async with mind:` opens it")
        stack = opened.pop()
        if not opened:
            del self._stacks[task]
        await stack.aclose()


def _here() -> tuple[EventLoopToken, int]:
    """Return the event loop and the task in which this code runs."""
    return current_token(), anyio.get_current_task().id
