"""What a run keeps open until its end, for itself and the runs within it: connections, toolsets, its journal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from anyio.abc import TaskGroup

from ..models import Connectable, Model
from ..tools.toolset import Toolsets, toolsets
from .context_windows import ContextWindows
from .kept_toolsets import kept

if TYPE_CHECKING:
    from ..journal.recording import Recording


class Resources:
    """What is open during a run.

    Attributes:
        toolsets: opens toolsets.
        recording: records calls in the journal; None without one.
        windows: what is known of the models' contexts.
    """

    def __init__(self, stack: AsyncExitStack, toolsets: Toolsets, recording: Recording | None) -> None:
        self.toolsets = toolsets
        self.recording = recording
        self.windows = ContextWindows()
        self._stack = stack
        self._connected: set[int] = set()

    @property
    def group(self) -> TaskGroup:
        """The task group for what runs beside the run's tasks, cancelled at the end of the run."""
        return self.toolsets.group

    def is_connected(self, model: Model) -> bool:
        """Return whether the connections of `model` are kept, or are about to be."""
        return id(model) in self._connected

    async def connect(self, model: Model) -> None:
        """Keep the connections of `model` open until the end of the run."""
        self._connected.add(id(model))
        if isinstance(model, Connectable):
            try:
                await self._stack.enter_async_context(model.connect())
            except BaseException:
                # The next call tries again.
                self._connected.discard(id(model))
                raise


@asynccontextmanager
async def resources(recording: Recording | None = None) -> AsyncIterator[Resources]:
    """Open the resources of a run, and close them at the end of the block, however it ends."""
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(toolsets(kept))
        yield Resources(stack, opened, recording)
