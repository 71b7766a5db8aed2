"""A call that waits for its turn in an event loop, while a thread finds out about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from uuid import uuid4

import anyio
from anyio.lowlevel import EventLoopToken, current_token

from ....boot_clock import boot_clock
from ....errors import JournalError
from ....event_loops import call_soon
from ...base import RunMark
from .account_state import Pass


@dataclass(slots=True, eq=False)
class WaitingCall:
    """A call that waits for its turn, in an event loop.

    Attributes:
        permit: is there when its turn has come.
        starts, latest: when it may start, and until when, by `boot_clock`.
        error: why its turn will not come.
        seen: set when it is known whether it has to wait.
        over: set when it need not wait any more.
    """

    run: RunMark | None
    tokens: float
    permit: Pass | None = None
    starts: float = -inf
    latest: float = inf
    error: JournalError | None = None
    told: bool = False
    name: str = field(default_factory=lambda: uuid4().hex)
    came: float = field(default_factory=boot_clock)
    seen: anyio.Event = field(default_factory=anyio.Event)
    over: anyio.Event = field(default_factory=anyio.Event)
    _loop: EventLoopToken = field(default_factory=current_token)

    def wake(self) -> None:
        """Let it see what has become of it."""
        call_soon(self._loop, self._wake)

    def _wake(self) -> None:
        self.seen.set()
        if self.permit is not None or self.error is not None:
            self.over.set()
